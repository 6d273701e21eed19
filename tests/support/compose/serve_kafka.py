"""In a container of our own image: a Kafka broker in the place of the public image. `serve_kafka.py DATA`"""

import signal
import sys
from pathlib import Path

from streams.broker import LocalBroker

LISTENERS = {
    "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
    "advertised.listeners": "PLAINTEXT://kafka:9092",
    "controller.quorum.bootstrap.servers": "127.0.0.1:9093",
}


def main(data: Path) -> None:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with LocalBroker(data, port=9092, properties=LISTENERS):
        signal.sigwait(signals)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
