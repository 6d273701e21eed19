"""What can be counted about a log in Kafka: our own counts, and what the clients' statistics say."""

import threading
import time
from collections import Counter

import msgspec

from streams.kafka_settings import STATISTICS, KafkaSettings

KEPT = 3 * STATISTICS / 1000  # seconds: who is silent for longer was closed


class _Window(msgspec.Struct, frozen=True):
    p99: int = 0  # us


class _Broker(msgspec.Struct):
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


_DECODER = msgspec.json.Decoder(_Statistics)


class Metrics:
    """Of all instances of one log in a process; from any thread.

    `records_appended`, `records_read`, `appends_failed`, `errors` (of connections); of the clients, as of their last
    statistics: `records_unacknowledged`, `requests_failed`, `requests_retried`, `requests_timed_out`,
    `connections_lost`, `round_trip_ms` (the slowest broker's 99th percentile); and `lag_TOPIC_PARTITION`, records that
    were not fetched yet, of each partition that is read, by the reader that is furthest behind.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(records_appended=0, records_read=0, appends_failed=0, errors=0)
        self._clients: dict[str, tuple[float, _Statistics]] = {}

    def count(self, name: str, number: int = 1) -> None:
        """So many more of something happened."""
        with self._lock:
            self._counts[name] += number

    def hear(self, statistics: str) -> None:
        """For a client's `stats_cb`."""
        decoded = _DECODER.decode(statistics)
        with self._lock:
            self._clients[decoded.name] = (time.monotonic(), decoded)

    def now(self) -> dict[str, float]:
        """All of them."""
        with self._lock:
            oldest = time.monotonic() - KEPT
            self._clients = {name: heard for name, heard in self._clients.items() if heard[0] > oldest}
            clients = [statistics for _, statistics in self._clients.values()]
            counts: dict[str, float] = dict(self._counts)
        brokers = [broker for client in clients for broker in client.brokers.values()]
        counts["records_unacknowledged"] = sum(client.msg_cnt for client in clients)
        counts["requests_failed"] = sum(broker.txerrs + broker.rxerrs for broker in brokers)
        counts["requests_retried"] = sum(broker.txretries for broker in brokers)
        counts["requests_timed_out"] = sum(broker.req_timeouts for broker in brokers)
        counts["connections_lost"] = sum(broker.disconnects for broker in brokers)
        counts["round_trip_ms"] = max((broker.rtt.p99 for broker in brokers), default=0) / 1000
        for client in clients:
            self._lags(client, counts)
        return counts

    def _lags(self, client: _Statistics, counts: dict[str, float]) -> None:
        for name, topic in client.topics.items():
            ours = self._settings.topic(name)
            for number, partition in topic.partitions.items():
                if ours is not None and partition.consumer_lag >= 0:
                    key = f"lag_{ours}_{number}"
                    counts[key] = max(counts.get(key, 0), partition.consumer_lag)
