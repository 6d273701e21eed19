"""What can be counted about a log in Kafka: our own counts, and what the clients' statistics say."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from schemas.topics import Topic
from streams.kafka_settings import STATISTICS, KafkaSettings

if TYPE_CHECKING:  # needed by processes that are asked for it alone
    from prometheus_client import Metric

KEPT = 3 * STATISTICS / 1000  # seconds: who is silent for longer was closed, or stands still
FORGOTTEN = 3600.0  # seconds: who is silent for longer was closed

# Every name there is: what may be counted, and what is asked of a client's statistics.
COUNTED = {
    "records_appended": "Records that were acknowledged",
    "records_read": "Records that were handed to readers",
    "appends_failed": "Appends after which the producer was thrown away",
    "errors": "Errors that clients told of, of connections most of all",
    "sent_bytes": "Bytes sent to brokers",
    "received_bytes": "Bytes received from brokers",
    "requests_failed": "Requests to brokers, and answers of theirs, that ended with an error",
    "requests_retried": "Requests that were sent again",
    "requests_timed_out": "Requests without an answer in time",
    "connections_lost": "Connections that broke off",
}


class _Window(msgspec.Struct, frozen=True):
    p99: int = 0  # us


class _Broker(msgspec.Struct):
    txbytes: int = 0
    rxbytes: int = 0
    txerrs: int = 0
    rxerrs: int = 0
    txretries: int = 0
    req_timeouts: int = 0
    disconnects: int = 0
    rtt: _Window = _Window()


class _Partition(msgspec.Struct):
    consumer_lag: int = -1


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Statistics(msgspec.Struct):
    name: str
    msg_cnt: int = 0
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}


class _Client(msgspec.Struct):
    """A client as it was last heard, at a time of the monotonic clock."""

    heard_at: float
    said: _Statistics


_DECODER = msgspec.json.Decoder(_Statistics)


class Metrics:
    """Of all instances of one log in a process; from any thread. A client that was closed stays in the totals."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._clients: dict[str, _Client] = {}
        self._counted: dict[str, Counter[str]] = {}

    def count(self, name: str, number: int = 1) -> None:
        """So many more of something in COUNTED happened."""
        with self._lock:
            self._totals[name] += number

    def hear(self, statistics: str) -> None:
        """For a client's `stats_cb`."""
        said = _DECODER.decode(statistics)
        with self._lock:
            counted = _totals(said)
            self._totals.update(counted)
            self._totals.subtract(self._counted.get(said.name, {}))
            self._counted[said.name] = counted
            now = time.monotonic()
            self._clients[said.name] = _Client(now, said)
            # Long silent: closed, most likely. What it has counted is remembered, for should it speak again.
            self._clients = {name: one for name, one in self._clients.items() if one.heard_at > now - FORGOTTEN}

    def collect(self) -> "Iterator[Metric]":
        """All of it, for Prometheus."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            totals = dict(self._totals)
            oldest = time.monotonic() - KEPT
            clients = [client.said for client in self._clients.values() if client.heard_at > oldest]
        for name, about in COUNTED.items():
            yield CounterMetricFamily(f"crunch_reuse_kafka_{name}", about, value=totals[name])
        waiting = sum(client.msg_cnt for client in clients)
        yield GaugeMetricFamily("crunch_reuse_kafka_unacknowledged_records", "Records on their way", value=waiting)
        slowest = max((broker.rtt.p99 for client in clients for broker in client.brokers.values()), default=0)
        about = "Round trip to the slowest broker, 99th percentile of the last few seconds"
        yield GaugeMetricFamily("crunch_reuse_kafka_round_trip_seconds", about, value=slowest / 1e6)
        about = "Records not fetched yet, by the reader of the partition that is furthest behind"
        lag = GaugeMetricFamily("crunch_reuse_kafka_fetch_lag_records", about, labels=["topic", "partition"])
        for (topic, number), records in sorted(self._lags(clients).items()):
            lag.add_metric([topic, number], records)
        yield lag

    def _lags(self, clients: list[_Statistics]) -> dict[tuple[Topic, str], int]:
        lags: dict[tuple[Topic, str], int] = {}
        for client in clients:
            for name, topic in client.topics.items():
                ours = self._settings.topic(name)
                for number, partition in topic.partitions.items():
                    if ours is not None and partition.consumer_lag >= 0:
                        lags[ours, number] = max(lags.get((ours, number), 0), partition.consumer_lag)
        return lags


def _totals(said: _Statistics) -> Counter[str]:
    totals: Counter[str] = Counter()
    for broker in said.brokers.values():
        totals["sent_bytes"] += broker.txbytes
        totals["received_bytes"] += broker.rxbytes
        totals["requests_failed"] += broker.txerrs + broker.rxerrs
        totals["requests_retried"] += broker.txretries
        totals["requests_timed_out"] += broker.req_timeouts
        totals["connections_lost"] += broker.disconnects
    return totals
