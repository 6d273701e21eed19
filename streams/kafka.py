"""The log in Kafka: the adapter for many processes on many machines.

Its parts: `kafka_cluster` asks, `kafka_topics` makes and checks topics, `kafka_writer` appends, `kafka_reader` reads
and waits, `kafka_notes` keeps floors. No transactions are used: an append is durable when all replicas in sync have it,
and a repeat is dropped by its cause. A topic made anew, a partition added or a log truncated under a process stops it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import TopicPartition

from schemas.codec import encode
from schemas.log import Genesis
from schemas.topics import Topic
from streams.address import Address
from streams.genesis import random_id, read_genesis
from streams.kafka_cluster import Cluster, Described
from streams.kafka_metrics import Metrics
from streams.kafka_notes import Notes, NoteWriter
from streams.kafka_reader import OURS, SPARSE, Reader
from streams.kafka_settings import MAKE, NOTES, KafkaSettings
from streams.kafka_tape import HEADER
from streams.kafka_topics import Survey, check_broker, check_count, check_settings, make_topics, survey
from streams.kafka_watch import Watch
from streams.kafka_writer import More, Writer
from streams.log import Append, Floor, LogError, LogMismatch, Place, Stored

GENESIS_SECONDS = 5.0  # in which who makes topics has written the first record of each partition, unless it died


class Shared:
    """What all instances of one log in a process know together."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.cluster = Cluster(settings)
        self.notes = Notes(self.cluster)
        self.lock = threading.Lock()
        self.topics: dict[str, Described] = {}
        self.genesis: dict[Place, Genesis] = {}
        self.ends: dict[Place, int] = {}  # as far as partitions are known to go
        self.metrics = Metrics(settings)
        self.watch = Watch(self.cluster, self.topics)
        self._users = 0

    def enter(self) -> None:
        """One more instance uses this."""
        with self.lock:
            self._users += 1

    def leave(self) -> None:
        """One less; the last one releases what all have used."""
        with self.lock:
            self._users -= 1
            if not self._users:
                self.watch.close()
                self.notes.close()


class KafkaLog:
    """The log in the Kafka that `settings` name. `new_id`: makes log ids."""

    def __init__(
        self, settings: KafkaSettings, new_id: Callable[[], str] = random_id, shared: Shared | None = None
    ) -> None:
        self.settings = settings
        self._new_id = new_id
        self._shared = shared or Shared(settings)
        self._shared.enter()
        self._closed, self._woken = threading.Event(), threading.Event()
        self._is_released = False
        self._busy = threading.RLock()
        cluster = self._shared.cluster
        self._writer = Writer(cluster, self._closed, self._shared.metrics)
        self._notes = NoteWriter(cluster, self._shared.notes, self._writer)
        self._reader, self._waiter, self._prober = self._make_reader(OURS), self._make_reader(), self._make_reader()

    def create(self, partitions: dict[Topic, int]) -> None:
        """Make the topics that are missing, each partition with its Genesis. Raises LogMismatch on another count."""
        made = make_topics(self._shared.cluster, partitions)
        self._begin({place: partitions[topic] for topic in made for place in _places(topic, partitions[topic])})
        self._learn(partitions)
        for topic, count in partitions.items():
            check_count(topic, self._shared.topics[topic], count)

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of the topic. Raises LogMismatch if it does not exist."""
        return self._described(topic).partitions

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record, also after a trim."""
        return self._find(place)

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append durably, in order; their offsets. LogUnreachable: each partition has a prefix of them, or will."""
        return self._append(records, None)

    def append_beside(self, records: Sequence[Append], beside: Sequence[str]) -> list[int]:
        """As `append`, each with a header; nothing rests on that it comes through."""
        return self._append(records, [{"headers": [(HEADER, text.encode())]} if text else {} for text in beside])

    def _append(self, records: Sequence[Append], more: Sequence[More] | None) -> list[int]:
        if not records:
            return []
        for place in {record.place for record in records}:
            self._find(place)
        self._shared.watch.look()
        with self._busy:
            offsets = self._writer.append(records, more)
        ends = self._shared.ends
        for record, offset in zip(records, offsets, strict=True):
            if ends.get(record.place, 0) <= offset:
                ends[record.place] = offset + 1
        return offsets

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on. Raises LogMismatch below the start or beyond the end."""
        self._find(place)
        with self._busy:
            if limit > 1 or self._reader.follows({place: offset}):
                return self._reader.read(place, offset, limit)
            return self._prober.read(place, offset, limit)

    def read_beside(self, place: Place, offset: int, limit: int) -> tuple[list[Stored], dict[int, str]]:
        """As `read`, and by offset what came with the header; nothing of single records looked up elsewhere."""
        if limit == 1 and not self._reader.follows({place: offset}):
            return self.read(place, offset, limit), {}
        self._find(place)
        with self._busy:
            return self._reader.read_beside(place, offset, limit)

    def end(self, place: Place) -> int:
        """Offset that the next record of the partition will get."""
        return self._bounds(place)[1]

    def start(self, place: Place) -> int:
        """Lowest offset still there."""
        return self._bounds(place)[0]

    def trim(self, place: Place, before: int) -> None:
        """Forget records below `before`, at most all there are."""
        genesis = self._find(place)
        start, end = self._bounds(place)
        if before <= start:
            return
        if start == 0:
            with self._busy:
                self._notes.keep_genesis(self._shared.topics[place.topic].id, place, encode(genesis))
                self._writer.settle()
        self._shared.cluster.delete({self.settings.name(place.topic): (place.partition, min(before, end))})

    def wait(self, positions: dict[Place, int], timeout: float) -> set[Place]:
        """Places with a record at or beyond their position, once there is one; none after `timeout` seconds."""
        for place in positions:
            self._find(place)
        with self._busy:
            if self._closed.is_set():
                return set()
            waiter = self._reader if self._reader.follows(positions) else self._waiter
            try:
                return waiter.wait(positions, timeout, self._woken)
            except LogError:
                if self._closed.is_set():
                    return set()
                raise

    def wake(self) -> None:
        """End the wait that is under way here, or else the next one."""
        self._woken.set()

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The reader's emitted floor in this partition, or None if it never had one."""
        self._find(place)
        with self._busy:
            self._writer.settle()
        return self._shared.notes.floor(reader, place)

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Raise the floor; one that is not higher is ignored. It is on its way then: the next append waits for it."""
        self._find(place)
        with self._busy:
            self._notes.move_floor(reader, place, floor)

    def address(self) -> Address:
        """The cluster's, which may hold a password."""
        return Address(opener="streams.kafka:open_kafka", arguments=msgspec.to_builtins(self.settings))

    def clone(self) -> "KafkaLog":
        """The same log for another thread. It connects when it is first used."""
        return KafkaLog(self.settings, self._new_id, self._shared)

    def close(self) -> None:
        """Wake who waits, and hang up once what is being done is done."""
        self._closed.set()
        with self._busy:
            if self._is_released:
                return
            self._is_released = True
            self._shared.leave()
            self._writer.close()
            for reader in (self._reader, self._waiter, self._prober):
                reader.close()

    @property
    def metrics(self) -> Metrics:
        """What was counted so far, of this instance and its clones together. From any thread."""
        return self._shared.metrics

    def survey(self) -> dict[str, Survey]:
        """What there is of each topic, the one of notes too, and what is wrong with it."""
        return survey(self._shared.cluster)

    # --- What is known of the topics ----------------------------------------------------------------------------------

    def _described(self, topic: Topic) -> Described:
        if topic not in self._shared.topics:
            self._learn(Topic)
        try:
            return self._shared.topics[topic]
        except KeyError:
            raise LogMismatch(f"the log has no topic {topic}: {MAKE}") from None

    def _find(self, place: Place) -> Genesis:
        genesis = self._shared.genesis.get(place)
        if genesis is None:
            self._described(place.topic)
            genesis = self._shared.genesis.get(place)
        if genesis is None:
            raise LogMismatch(f"the log has no partition {place}: {MAKE}")
        return genesis

    def _learn(self, topics: Iterable[Topic]) -> None:
        """Look at topics for the first time: whether they are as they must be, and the Genesis of each partition."""
        cluster = self._shared.cluster
        with self._shared.lock:
            asked = list(topics)
            wanted = [topic for topic in (*asked, NOTES) if topic not in self._shared.topics]
            found = cluster.describe(self.settings.name(topic) for topic in wanted)
            described = {topic: found[name] for topic in wanted if (name := self.settings.name(topic)) in found}
            new = {topic: described[topic] for topic in asked if topic in described}
            if not new:
                return
            check_broker(cluster)
            if NOTES in wanted and NOTES not in described:
                raise LogMismatch(f"the log has no topic {NOTES}, where it says how far it was worked off: {MAKE}")
            check_settings(cluster, described)
            self._shared.genesis.update(self._read_genesis(new))
            self._shared.topics.update(described)

    def _read_genesis(self, described: dict[Topic, Described]) -> dict[Place, Genesis]:
        """Each partition's Genesis, as the log holds it, or as it was kept when that was trimmed."""
        counts = {place: one.partitions for topic, one in described.items() for place in _places(topic, one.partitions)}
        starts = {place: start for place, (start, _) in self._all_bounds(counts).items()}
        values = {place: self._kept(described[place.topic], place) for place, start in starts.items() if start > 0}
        whole = [place for place, start in starts.items() if start == 0]
        values |= self._firsts(whole, min(GENESIS_SECONDS, self.settings.patience))
        unread = [place for place in whole if place not in values]
        if unread:
            # Where nothing is, who made these topics died before it came to this; elsewhere the broker is slow.
            unborn = {place: counts[place] for place, (_, end) in self._all_bounds(unread).items() if end == 0}
            if unborn:
                self._begin(unborn)
            values |= self._firsts(unread, self._shared.cluster.patience)
        if missing := [place for place in counts if place not in values]:
            raise self._shared.cluster.health.unreachable(f"the first record of {missing[0]} can't be read")
        return {place: read_genesis(place, values[place]) for place in counts}

    def _kept(self, described: Described, place: Place) -> bytes:
        kept = self._shared.notes.genesis(described.id, place)
        if kept is None:
            raise LogMismatch(f"{place} was trimmed, and its Genesis was not kept: restore the log from a backup")
        return kept

    def _firsts(self, places: list[Place], timeout: float) -> dict[Place, bytes]:
        reader = self._make_reader()
        try:
            return reader.firsts(places, timeout)
        finally:
            reader.close()

    def _all_bounds(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        named = {place: TopicPartition(self.settings.name(place.topic), place.partition) for place in places}
        bounds = self._shared.cluster.bounds(named.values())
        return {place: bounds[partition] for place, partition in named.items()}

    def _begin(self, places: dict[Place, int]) -> None:
        """Write the Genesis of partitions that were just made: each with the number that its topic has."""
        records = [
            Genesis(log_id=self._new_id(), topic=place.topic, partition=place.partition, partitions=count)
            for place, count in places.items()
        ]
        with self._busy:
            self._writer.append(
                [Append(place, "", encode(record)) for place, record in zip(places, records, strict=True)]
            )

    def _bounds(self, place: Place) -> tuple[int, int]:
        return self._all_bounds([place])[place]

    def _make_reader(self, ours: Mapping[str, Any] = SPARSE) -> Reader:
        shared = self._shared
        return Reader(shared.cluster, self._closed, shared.metrics, shared.watch, shared.ends, ours)


def open_kafka(**settings: Any) -> KafkaLog:
    """The log at an address: the fields of KafkaSettings."""
    return KafkaLog(msgspec.convert(settings, KafkaSettings))


def _places(topic: Topic, count: int) -> list[Place]:
    return [Place(topic, number) for number in range(count)]
