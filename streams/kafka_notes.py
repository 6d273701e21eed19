"""What has to outlive a trim or a process and is no record of the log: floors, and the Genesis of a trimmed partition.

They stand in a topic beside the log's own, compacted. A floor's key names who wrote it, so that each writer's last one
stays, and the highest of all counts: a zombie's late word changes nothing. (A committed offset of Kafka's would be the
last one written, not the highest, and is forgotten when nobody commits for `offsets.retention.minutes`.)

The key names, too, the span of offsets in which the floor lies: what is written under it never leaves that span. Keys
that are outdone are taken away, or there would be one more for each process that ever was. But a writer takes away only
keys of lower spans than the floor that it puts just before. So in the topic a higher floor stands before whatever takes
one away, and the highest that was ever written is always there: also where the writer was frozen between any two steps,
and others have come much further since it looked. Nothing rests on clocks, or on who looked when. What remains are the
keys of those who wrote in the span that the log has reached.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.kafka_cluster import Cluster
from streams.kafka_reader import OURS, SLICE
from streams.kafka_settings import LOGGER, NOTES, translated
from streams.kafka_writer import Writer
from streams.log import Floor, Place

Key = tuple[str, ...]
Pair = tuple[bytes, bytes | None]

SPANNED = 4  # where a floor's key has its span
SPAN_BITS = 4  # of an offset, from the highest: a span is an eighth of the offset or less
_KEYS: "msgspec.json.Decoder[Key]" = msgspec.json.Decoder(Key)
_FLOORS = msgspec.json.Decoder(Floor)


class Notes:
    """The topic of notes as far as it was read, for all instances of one log in a process."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._name = cluster.settings.name(NOTES)
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._next = 0
        self._values: dict[Key, bytes] = {}

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The highest floor that anybody wrote."""
        with self._lock:
            self._refresh()
            floors = [_FLOORS.decode(self._values[key]) for key in self._floors(reader, place)]
        return max(floors, key=lambda floor: floor.offset, default=None)

    def genesis(self, topic_id: str, place: Place) -> bytes | None:
        """The Genesis of a trimmed partition, if it was kept."""
        with self._lock:
            self._refresh()
            return self._values.get(_genesis_key(topic_id, place))

    def outdone(self, reader: str, place: Place, floor: Floor) -> list[Key]:
        """The keys that one may take away who has put this floor, as far as was read.

        Not those of earlier versions, which named no span: nothing bounds what is written under them.
        """
        with self._lock:
            return [key for key in self._floors(reader, place) if _is_below(key, floor)]

    def close(self) -> None:
        """Release the consumer."""
        with self._lock:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _floors(self, reader: str, place: Place) -> Iterator[Key]:
        wanted = ("floor", reader, str(place))
        return (key for key in list(self._values) if key[:3] == wanted)

    def _refresh(self) -> None:
        """Read up to the topic's present end."""
        partition = TopicPartition(self._name, 0, self._next)
        _, end = self._cluster.bounds([partition])[partition]
        if self._consumer is None:
            self._consumer = self._cluster.made(
                Consumer, {**OURS, "error_cb": self._cluster.health.hear, "auto.offset.reset": "earliest"}
            )
            self._consumer.assign([partition])
        deadline = time.monotonic() + self._cluster.patience
        while self._next < end:
            try:
                self._take(self._consumer)
            except BaseException:  # it hands out nothing twice: the next one begins after what was kept
                self._hang_up()
                raise
            if time.monotonic() > deadline:
                raise self._cluster.health.unreachable(f"no answer about {self._name}")

    def _take(self, consumer: Consumer) -> None:
        try:
            messages = consumer.consume(1, SLICE) + consumer.consume(10_000, 0)
        except KafkaException as error:
            raise translated(error, self._cluster.settings.servers) from error
        for message in messages:
            problem = message.error()
            offset: Any = message.offset()
            if problem is None:
                self._next = offset + 1
                self._keep(message.key(), message.value())
            elif problem.name() == "_PARTITION_EOF":
                self._next = max(self._next, offset)
            elif not problem.retriable():
                raise translated(problem, self._cluster.settings.servers)

    def _keep(self, key: bytes | None, value: bytes | None) -> None:
        try:
            named = _KEYS.decode(key or b"[]")
        except msgspec.DecodeError as error:
            LOGGER.warning("%s holds a note that none of us wrote, which counts for nothing: %s", self._name, error)
            return
        if value is None:
            self._values.pop(named, None)
        else:
            self._values[named] = value


class NoteWriter:
    """Writes notes for one instance, under a name of its own."""

    def __init__(self, cluster: Cluster, notes: Notes, writer: Writer) -> None:
        self._notes = notes
        self._name = cluster.settings.name(NOTES)
        self._writer = writer
        self._me = uuid4().hex
        self._moved: dict[tuple[str, Place], int] = {}
        self._thrown_away = 0  # producers, when these were written

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Write a floor, unless it is not higher than one that this instance wrote or found.

        One that is said again is waited for, until it has landed.
        """
        is_repeated = floor.offset <= self._moved.get((reader, place), -1)
        if self._thrown_away != self._writer.thrown_away:
            self._begin_anew()
        moved = self._moved.get((reader, place))
        outdone: list[Key] = []
        if moved is None:
            present = self._notes.floor(reader, place)
            moved = present.offset if present else -1
            outdone = self._notes.outdone(reader, place, floor)
        elif _is_below(ours := self._key(reader, place, moved), floor):
            outdone = [ours]
        if floor.offset > moved:
            self._put(self._key(reader, place, floor.offset), floor, outdone)
            moved = floor.offset
        self._moved[reader, place] = moved
        if is_repeated:
            self._writer.settle()

    def _begin_anew(self) -> None:
        """The producer was thrown away, perhaps with what it was to write.

        Or that lands late, below what is written from now on: under the same key it would be the last one.
        """
        self._thrown_away = self._writer.thrown_away
        self._me = uuid4().hex
        self._moved.clear()

    def _key(self, reader: str, place: Place, offset: int) -> Key:
        return ("floor", reader, str(place), self._me, _span(offset))

    def _put(self, key: Key, floor: Floor, outdone: list[Key]) -> None:
        """The floor first, then what it takes away: they land in this order, or only the first of them."""
        taken_away: list[Pair] = [(msgspec.json.encode(one), None) for one in outdone]
        self._writer.put(self._name, [(msgspec.json.encode(key), msgspec.json.encode(floor)), *taken_away])

    def keep_genesis(self, topic_id: str, place: Place, value: bytes) -> None:
        """Keep a partition's Genesis, before it is trimmed."""
        self._writer.put(self._name, [(msgspec.json.encode(_genesis_key(topic_id, place)), value)])


def _genesis_key(topic_id: str, place: Place) -> Key:
    return ("genesis", topic_id, str(place.partition))


def _span(offset: int) -> str:
    """The first offset of the span that this one lies in, so that spans are in order as texts are."""
    lower = max(offset.bit_length() - SPAN_BITS, 0)
    return f"{offset >> lower << lower:020d}"


def _is_below(key: Key, floor: Floor) -> bool:
    """Whether the key is of a lower span than the floor."""
    return len(key) > SPANNED and key[SPANNED] < _span(floor.offset)
