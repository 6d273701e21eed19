"""What has to outlive a trim or a process and is no record of the log: floors, and the Genesis of a trimmed partition.

They stand in a topic beside the log's own, compacted. A floor's key names who wrote it, so that each writer's last one
stays, and the highest of all counts: a zombie's late word changes nothing. (A committed offset of Kafka's would be the
last one written, not the highest, and is forgotten when nobody commits for `offsets.retention.minutes`.)
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

    def others(self, reader: str, place: Place, writer: str) -> list[Pair]:
        """What takes away all other writers' floors: to be appended after one of one's own that is as high."""
        with self._lock:
            return [(msgspec.json.encode(key), None) for key in self._floors(reader, place) if key[-1] != writer]

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
        """Write a floor, unless it is not higher than one that this instance wrote or found."""
        if self._thrown_away != self._writer.thrown_away:  # and with them perhaps what they were to write
            self._thrown_away = self._writer.thrown_away
            self._moved.clear()
        moved = self._moved.get((reader, place))
        superseded: list[Pair] = []
        if moved is None:
            present = self._notes.floor(reader, place)
            moved = present.offset if present else -1
            superseded = self._notes.others(reader, place, self._me)
        if floor.offset > moved:
            key = msgspec.json.encode(("floor", reader, str(place), self._me))
            self._writer.put(self._name, [(key, msgspec.json.encode(floor)), *superseded])
            moved = floor.offset
        self._moved[reader, place] = moved

    def keep_genesis(self, topic_id: str, place: Place, value: bytes) -> None:
        """Keep a partition's Genesis, before it is trimmed."""
        self._writer.put(self._name, [(msgspec.json.encode(_genesis_key(topic_id, place)), value)])


def _genesis_key(topic_id: str, place: Place) -> Key:
    return ("genesis", topic_id, str(place.partition))
