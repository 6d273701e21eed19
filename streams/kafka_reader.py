"""Reading from Kafka: a consumer whose partitions are taken by hand, and what it has fetched ahead of each.

A partition that is read in sequence is a tape: the consumer fetches ahead, a read takes from what is there. Only a
read elsewhere winds it. Offsets that hold no record for anybody (the end marks of somebody's transaction; the log
itself has none) come as an empty record, so that a partition has no gaps and everybody sees the same there.
"""

import time
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.kafka_cluster import Cluster
from streams.kafka_metrics import Metrics
from streams.kafka_settings import GONE, LOGGER, MISSING, STATISTICS, plain, translated
from streams.kafka_tape import READ_BYTES, Tape
from streams.kafka_watch import REMEDY, Watch
from streams.log import LogError, Place, Stored, out_of_range

SLICE = 0.05  # seconds in one wait, at most: as long as it may take until a wait hears of `close`
FETCHED = 2_000  # records taken from the client at a time
AHEAD = 20_000  # records fetched ahead of one partition, at which it is told to pause
OURS: dict[str, Any] = {
    "group.id": "crunch-reuse",  # asked for, and never joined: nothing is subscribed to
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
    "allow.auto.create.topics": False,
    "check.crcs": True,
    "fetch.wait.max.ms": 50,  # a partition that is added has to wait for a fetch under way
    "fetch.error.backoff.ms": 20,
    "fetch.queue.backoff.ms": 5,  # its default of a second is felt by who fetches little ahead
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 32 * 1024,
}
SPARSE: dict[str, Any] = OURS | {"queued.min.messages": 1, "fetch.message.max.bytes": 64 * 1024}
"""For who looks at single records: next to nothing is fetched ahead."""


class Reader:
    """Tapes of one consumer, for one thread. `closed`: set from any thread, ends a wait.

    `ends`: how far partitions are known to go, by all instances together.
    """

    def __init__(
        self,
        cluster: Cluster,
        closed: Event,
        metrics: Metrics,
        watch: Watch,
        ends: dict[Place, int],
        ours: Mapping[str, Any] = OURS,
    ) -> None:
        self._cluster = cluster
        self._closed = closed
        self._metrics = metrics
        self._watch = watch
        self._ends = ends
        self._ours = ours
        self._consumer: Consumer | None = None
        self._tapes: dict[Place, Tape] = {}
        self._by_name: dict[tuple[str, int], Tape] = {}
        self._notes_headers = False

    def read_beside(self, place: Place, offset: int, limit: int) -> tuple[list[Stored], dict[int, str]]:
        """As `read`, and what came beside the records as a header, from the first such read on."""
        if not self._notes_headers:
            self._notes_headers = True
            for tape in self._tapes.values():
                tape.beside = {}
        taken = self.read(place, offset, limit)
        return taken, self._tapes[place].beside_of(taken)

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on. Raises LogMismatch below the start or beyond the end."""
        tape = self._wound(place, offset)
        if not tape.holds(limit):
            self._fetch(place, tape, limit)
        taken = tape.take(limit)
        self._metrics.count("records_read", len(taken))
        return taken

    def follows(self, positions: Mapping[Place, int]) -> bool:
        """Whether all these partitions are being read here at these positions."""
        return all(
            place in self._tapes and self._tapes[place].position == offset for place, offset in positions.items()
        )

    def wait(self, positions: Mapping[Place, int], timeout: float, woken: Event) -> set[Place]:
        """Partitions that have a record at or beyond their position, within `timeout` seconds or until `woken`."""
        deadline = time.monotonic() + timeout
        tapes = [(place, self._wound_for_wait(place, offset), offset) for place, offset in positions.items()]
        while not self._closed.is_set():
            self._pump(0)
            if moved := {place for place, tape, offset in tapes if tape.next > offset}:
                return moved
            remaining = deadline - time.monotonic()
            if remaining <= 0 or woken.is_set():
                woken.clear()
                return set()
            self._pump(min(remaining, SLICE))
        return set()

    def firsts(self, places: Sequence[Place], timeout: float) -> dict[Place, bytes]:
        """The value at offset 0 of each of these partitions, where there is one within `timeout` seconds."""
        self._assign(dict.fromkeys(places, 0))
        deadline = time.monotonic() + timeout
        while not all(tape.records for tape in self._tapes.values()) and time.monotonic() < deadline:
            self._pump(SLICE)
        return {place: tape.records[0].value for place, tape in self._tapes.items() if tape.records}

    def close(self) -> None:
        """Release the consumer. Not while another thread reads."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
            self._tapes.clear()
            self._by_name.clear()

    # --- Winding ------------------------------------------------------------------------------------------------------

    def _wound(self, place: Place, offset: int) -> Tape:
        """The partition's tape, at this offset."""
        tape = self._tapes.get(place)
        if tape is not None and tape.wind_to(offset):
            return tape
        start, end = self._bounds(place)
        if not start <= offset <= end:
            self._watch.verify()
            raise out_of_range(place, offset, start, end)
        tape = self._begin(place, offset)
        tape.end = end
        return tape

    def _wound_for_wait(self, place: Place, offset: int) -> Tape:
        """The partition's tape, at this offset, or the nearest that there is."""
        tape = self._tapes.get(place)
        if tape is not None and (tape.wind_to(offset) or tape.next > offset):
            return tape
        start, end = self._bounds(place)
        return self._begin(place, min(max(offset, start), end))

    def _end(self, place: Place, tape: Tape) -> int:
        """How far the partition goes, as far as anybody here has heard. Costs no question."""
        _, heard = self._client().get_watermark_offsets(self._named(place), cached=True)
        return max(heard, tape.end, self._ends.get(place, 0))

    def _bounds(self, place: Place) -> tuple[int, int]:
        partition = self._named(place)
        return self._cluster.bounds([partition])[partition]

    def _begin(self, place: Place, offset: int) -> Tape:
        """A tape that begins at this offset."""
        partition = self._named(place, offset)
        if place not in self._tapes:
            return self._assign({place: offset})[0]
        self._resume(place, self._tapes[place])
        tape = self._tapes[place] = self._by_name[partition.topic, partition.partition] = self._tape(offset)
        self._go_to(partition)
        return tape

    def _go_to(self, partition: TopicPartition) -> None:
        """Have the consumer go on at this offset of a partition that it has."""
        try:
            self._client().seek(partition)
        except KafkaException:  # it was never fetched from yet
            self._client().incremental_unassign([partition])
            self._client().incremental_assign([partition])

    def _resume(self, place: Place, tape: Tape) -> None:
        if tape.paused:
            tape.paused = False
            self._client().resume([self._named(place)])

    def _assign(self, offsets: Mapping[Place, int]) -> list[Tape]:
        """Begin to fetch partitions."""
        partitions = [self._named(place, offset) for place, offset in offsets.items()]
        tapes = [self._tape(offset) for offset in offsets.values()]
        self._tapes.update(zip(offsets, tapes, strict=True))
        names = [(partition.topic, partition.partition) for partition in partitions]
        self._by_name.update(zip(names, tapes, strict=True))
        self._client().incremental_assign(partitions)
        return tapes

    def _tape(self, offset: int) -> Tape:
        tape = Tape(offset)
        tape.beside = {} if self._notes_headers else None
        return tape

    def _named(self, place: Place, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._cluster.settings.name(place.topic), place.partition, offset)

    def _client(self) -> Consumer:
        if self._closed.is_set():
            raise LogError("the log is closed")
        if self._consumer is None:
            hearing = {"error_cb": self._hear_error, "stats_cb": self._metrics.hear}
            self._consumer = self._cluster.made(
                Consumer, {**self._ours, **hearing, "statistics.interval.ms": STATISTICS}
            )
        return self._consumer

    # --- Fetching -----------------------------------------------------------------------------------------------------

    def _fetch(self, place: Place, tape: Tape, limit: int) -> None:
        """Wait until there is enough for a read, or the partition's end."""
        self._resume(place, tape)
        deadline = time.monotonic() + self._cluster.patience
        self._pump(0)
        while not tape.holds(limit) and tape.next < self._end(place, tape):
            if time.monotonic() > deadline:
                raise self._cluster.health.unreachable(f"no answer about {place}")
            self._pump(SLICE)
            self._pump(0)

    def _pump(self, timeout: float) -> None:
        """Take what the consumer has; wait up to `timeout` seconds for the first."""
        self._watch.look()
        client = self._client()
        try:
            messages = client.consume(1 if timeout else FETCHED, timeout)
        except KafkaException as error:
            raise translated(error, self._cluster.settings.servers) from error
        problems = []  # told when all is taken in: the consumer hands out nothing twice
        for message in messages:
            tape = self._by_name.get((message.topic(), message.partition()))  # type: ignore[arg-type]
            if tape is None or tape.broken:  # of a partition that is read no more, or of which all was said
                continue
            if problem := message.error():
                try:
                    self._hear(problem, message, tape)
                except LogError as error:
                    problems.append(error)
            else:
                tape.add(message)
        if messages:
            self._note()
        if problems:
            raise problems[0]

    def _hear(self, error: KafkaError, message: "Message[Any, Any]", tape: Tape) -> None:
        code = error.name()
        if code == "_PARTITION_EOF":
            tape.stop(message.offset() or 0)
        elif code in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "_LOG_TRUNCATION"):
            tape.tear()  # before anything else: the consumer says it once
            self._refuse(next(place for place, one in self._tapes.items() if one is tape), tape.next)
        elif error.retriable() or code in GONE | MISSING:  # the client goes on trying; what is gone, the watch tells
            LOGGER.info("Kafka: %s", plain(error))
        else:
            tape.tear()  # it may be about a record, which the consumer leaves out
            raise translated(error, self._cluster.settings.servers)

    def _refuse(self, place: Place, offset: int) -> None:
        """Raise LogMismatch where the partition can't be read on: trimmed, truncated, made anew."""
        self._watch.verify()
        start, end = self._bounds(place)
        if offset >= start:  # it may have grown again meanwhile, and must not be read on then either
            self._watch.condemn(f"{place} was truncated below {offset}, which was read: {REMEDY}")
        raise out_of_range(place, offset, start, end)

    def _hear_error(self, error: KafkaError) -> None:
        self._cluster.health.hear(error)
        self._metrics.count("errors")

    def _note(self) -> None:
        """Tell the others how far partitions go, have gaps read again, keep what is fetched ahead within bounds."""
        for place, tape in self._tapes.items():
            if tape.next > self._ends.get(place, 0):
                self._ends[place] = tape.next
            if tape.has_gap:
                self._resume(place, tape)
                self._go_to(self._named(place, tape.next))
                tape.ask_again()
            has_come = tape.next != tape.asked  # before that a pause would undo that it was told to go there
            if has_come and not tape.paused and (len(tape.records) > AHEAD or tape.bytes > 2 * READ_BYTES):
                tape.paused = True
                self._client().pause([self._named(place)])
