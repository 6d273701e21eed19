"""Appending to Kafka so that nothing is ever skipped.

One producer, idempotent and gapless: what it sends to a partition lands there in order, once, and nothing after a
record that did not. Messages have no time limit of their own, so the client never drops one and goes on with the next;
we give up instead, on all of them. A producer that we gave up on, or that failed, is thrown away with all that it
still held: what it had on its way may land later, as anybody's late append may.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from schemas.topics import Topic
from streams.kafka_cluster import Cluster
from streams.kafka_metrics import Metrics
from streams.kafka_settings import LARGEST_BATCH, STATISTICS, translated
from streams.log import Append, LogError, LogUnreachable, Place

SLICE = 0.1  # seconds in one wait, at most
CLOSING = 0.5  # seconds in which what was begun may still land
OURS: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,  # never: patience ends before it would
    "linger.ms": 0,
    "message.max.bytes": LARGEST_BATCH,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 1024 * 1024,
}

More = Mapping[str, Any]
"""What else the client is told of one record: `headers`, `timestamp` (ms since 1970)."""
NO_MORE: More = {}
Acked = Callable[[KafkaError | None, Any], None]


class Writer:
    """Appends for one thread. `closed`: set from any thread, ends a wait.

    `thrown_away`: how many producers were, with what they had still to send.
    """

    def __init__(self, cluster: Cluster, closed: Event, metrics: Metrics) -> None:
        self._cluster = cluster
        self._closed = closed
        self._metrics = metrics
        self._names = {topic: cluster.settings.name(topic) for topic in Topic}
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self.thrown_away = 0

    def append(self, records: Sequence[Append], more: Sequence[More] | None = None) -> list[int]:
        """Append durably; the offsets. Raises LogError: then it may have taken effect in part.

        `more`: of each record.
        """
        deadline = time.monotonic() + self._cluster.patience
        landed: dict[Place, list[int]] = {}
        callbacks: dict[Place, Acked] = {}
        names, produce = self._names, self._ready().produce
        if more is not None:
            produce = _with_more(produce, more)
        for number, (place, key, value) in enumerate(records):
            if place not in landed:
                landed[place] = []
                callbacks[place] = self._acked(landed[place])
            try:
                produce(names[place.topic], value, key, place.partition, callbacks[place])
            except (BufferError, KafkaException):  # the client's queue is full, or it refuses
                message = (names[place.topic], value, key, place.partition, callbacks[place])
                self._send(deadline, message, more[number] if more else NO_MORE)
        self._settle(deadline)
        self._metrics.count("records_appended", len(records))
        if len(landed) == 1:
            return next(iter(landed.values()))
        following = {place: iter(offsets) for place, offsets in landed.items()}
        return [next(following[place]) for place, _, _ in records]

    def put(self, name: str, pairs: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Begin to append keys and values to partition 0 of a topic, named as in Kafka. Raises LogError.

        What became of it, `settle` says, and so does the next append.
        """
        deadline = time.monotonic() + self._cluster.patience
        for key, value in pairs:
            self._send(deadline, (name, value, key, 0, self._acked([])))

    def settle(self) -> None:
        """Wait until all that was begun has landed. Raises LogError."""
        if self._producer is not None:
            self._settle(time.monotonic() + self._cluster.patience)

    def close(self) -> None:
        """Release the producer. What it has begun may land or not."""
        if self._producer is not None:
            self._flush(self._producer, CLOSING)
        self._throw_away()

    def _ready(self) -> Producer:
        if self._closed.is_set():
            raise LogError("the log is closed")
        if self._producer is None:
            self._failed = None
            self._producer = self._cluster.made(
                Producer,
                {**OURS, "error_cb": self._hear, "stats_cb": self._metrics.hear, "statistics.interval.ms": STATISTICS},
            )
        return self._producer

    def _acked(self, offsets: list[int]) -> Acked:
        """What a partition's records are told when they have landed, in their order, or not."""

        def acked(error: KafkaError | None, message: Any) -> None:
            if error is None:
                offsets.append(message.offset())
            elif self._failed is None:
                self._failed = error

        return acked

    def _send(self, deadline: float, message: tuple[Any, ...], more: More = NO_MORE) -> None:
        producer = self._ready()
        while True:
            try:
                producer.produce(*message, **more)
            except BufferError:  # its queue is full: some of it has to land first
                self._flush(producer, SLICE)
                self._check(deadline)
            except KafkaException as error:
                self._throw_away()
                raise translated(error, self._cluster.settings.servers) from error
            else:
                return

    def _settle(self, deadline: float) -> None:
        """Wait until all that was sent has landed."""
        producer = self._ready()
        while self._flush(producer, min(SLICE, max(deadline - time.monotonic(), 0.0))):
            self._check(deadline)
        self._check(None)

    def _flush(self, producer: Producer, seconds: float) -> int:
        """Wait so long for what was sent to land, or to fail for good; how much is left of it."""
        try:
            return producer.flush(seconds)
        except KafkaException as error:  # a fatal error is raised wherever callbacks are served, and not told to them
            self._failed = self._failed or error.args[0]
            return 0

    def _check(self, deadline: float | None) -> None:
        problem = self._problem(deadline)
        if problem:
            self._throw_away()
            self._metrics.count("appends_failed")
            raise problem

    def _problem(self, deadline: float | None) -> LogError | None:
        if self._failed is not None:
            return translated(self._failed, self._cluster.settings.servers)
        if deadline is None:
            return None
        if self._closed.is_set():
            return LogError("the log is closed")
        if time.monotonic() < deadline:
            return None
        why = self._cluster.health.unreachable("no acknowledgement came in time")
        return why if isinstance(why, LogUnreachable) else LogUnreachable(str(why))

    def _hear(self, error: KafkaError) -> None:
        self._cluster.health.hear(error)
        self._metrics.count("errors")
        if error.fatal() and self._failed is None:
            self._failed = error

    def _throw_away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self.thrown_away += 1
            producer.purge()
            with suppress(KafkaException):  # to purge is what its promise of no gaps forbids: that is ours to keep
                producer.flush(0)


def _with_more(produce: Callable[..., None], more: Iterable[More]) -> Callable[..., None]:
    """Produces the records, each with what else there is of it."""
    following = iter(more)
    return lambda *record: produce(*record, **next(following))
