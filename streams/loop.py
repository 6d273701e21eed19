"""The loop that runs one machine on one partition: read, decide, append what follows, and only then move the floor.

Position and floor are two things. The position is how far the machine's state has come; the floor is how far outputs
are known to be appended, and every runner of the partition sees it. A runner that starts takes an older state, steps
silently up to the floor, and emits everything above it, whether or not it was emitted before: who reads it drops
repeats by their causes. So a crash at any point, a second runner of the same partition, or a frozen one that wakes up,
do no harm.

A runner that raised is done for: its machine may stand in the middle of a step. Whoever drives it makes a new one.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

from msgspec import Raw

from coordinator.machine import RULES_VERSION, Machine, Output, Seen, refused
from schemas.codec import Undecodable, cause_head, decode, encode_output
from schemas.fields import MAX_RECORD_BYTES
from schemas.partition import partition_of
from schemas.reasons import Reason
from schemas.topics import Topic
from streams.checkpoints import Checkpoint, CheckpointStore
from streams.log import Append, Floor, Log, LogError, LogMismatch, Place, Stored, to_append
from streams.marks import is_new
from streams.resume import Start, find_start
from streams.routes import Routes, key_of

BATCH = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
MAX_ABOUT = 96
REFUSALS = {
    Reason.UNDECODABLE: "the value is no record of this topic",
    Reason.TOO_LARGE: f"the value has more than {MAX_RECORD_BYTES} bytes",
    Reason.TOO_DEEP: "the value is nested too deep",
    Reason.WRONG_KEY: "the record's key is not the one that its content says",
    Reason.WRONG_PARTITION: "the record's key belongs in another partition",
}


class MachineStopped(Exception):
    """The machine can't go on; one line that names the record it stopped at, and why."""


class MachineType(Protocol):
    """What makes machines of one topic: a machine class."""

    @property
    def topic(self) -> Topic:
        """The topic whose partitions they run on."""
        ...

    def __call__(self) -> Machine:
        """A machine that has seen nothing."""
        ...

    def restore(self, snapshot: bytes) -> Machine:
        """The machine that made the snapshot."""
        ...


class Runner:
    """One machine on one partition of its topic.

    `every`: records between two checkpoints. `rules`: newest rules version that the machine knows.
    Raises LogMismatch if the log is not the one that the floor and the checkpoints speak of.
    """

    def __init__(
        self,
        log: Log,
        machine: MachineType,
        partition: int,
        checkpoints: CheckpointStore,
        *,
        every: int = 50_000,
        rules: int = RULES_VERSION,
    ) -> None:
        self.place = Place(machine.topic, partition)
        self.reader = f"{machine.topic}-machine"
        self._log = log
        self._routes = Routes(log)
        self._log_id = self._routes.log_ids[str(self.place)]
        self._checkpoints = checkpoints
        self._every = every
        self._rules = rules
        self._pending: list[Append] = []
        self._bytes = 0
        self._whole = 0  # how many of the pending outputs belong to finished steps
        self._usable = True
        self._begin(machine, find_start(log, self.reader, self.place, self._routes, checkpoints, rules))

    def _begin(self, machine: MachineType, start: Start) -> None:
        self.machine = machine() if start.state is None else machine.restore(bytes(start.state))
        self.position = self._kept = start.offset
        self.floor = start.floor
        self._last: bytes | str = start.digest
        self._marks = start.marks

    def poll(self, limit: int = BATCH) -> int:
        """Take up to `limit` records, append what follows, move the floor; how many were taken, 0 at the log's end.

        Raises MachineStopped where a step fails, after the outputs of the steps before it are appended; LogError
        where the log does.
        """
        assert self._usable, "this runner has failed: make a new one"
        batch = self._log.read(self.place, self.position, limit)
        if batch:
            self._usable = False
            self._check_before()
            self._take_all(batch)
            self._acknowledge()
            self._usable = True
            if self.position - self._kept >= self._every:
                self.checkpoint()
        return len(batch)

    def _check_before(self) -> None:
        """The record before the position must be the one that was read: a log that was truncated grows again."""
        if self.position == 0:
            return
        try:
            (before,) = self._log.read(self.place, self.position - 1, 1)
        except LogMismatch:  # trimmed up to the position: there is nothing left to compare with
            return
        if sha256(before.value).hexdigest() != self._digest():
            raise LogMismatch(
                f"{self.place} has another record at {before.offset} than was read there: the log was truncated and has"
                " grown again; restore it from a backup"
            )

    def checkpoint(self) -> None:
        """Keep the present state, so that the next runner needs no replay up to here."""
        if self.position == self._kept or not self._usable:
            return
        self._checkpoints.save(
            Checkpoint(
                topic=self.place.topic,
                partition=self.place.partition,
                log_id=self._log_id,
                targets=self._routes.log_ids,
                offset=self.position,
                digest=self._digest(),
                rules=self._rules,
                marks=dict(self._marks),
                state=Raw(self.machine.snapshot()),
            )
        )
        self._kept = self.position

    def _take_all(self, batch: list[Stored]) -> None:
        first, last = batch[0].offset, batch[-1].offset
        if first != self.position or last - first + 1 != len(batch):
            raise LogMismatch(
                f"{self.place} has a gap between {self.position} and {last}: restore the log from a backup"
            )
        for record in batch:
            try:
                self._take(record)
            except LogError:
                raise
            except Exception as error:
                del self._pending[self._whole :]
                self._acknowledge()
                raise MachineStopped(f"{self.place} stopped at offset {record.offset}: {_story(error)}") from error

    def _take(self, record: Stored) -> None:
        offset = record.offset
        outputs = self._decide(record)
        if offset >= self.floor:
            self._emit(offset, outputs)
        else:
            for _ in outputs:
                pass
        self.position = offset + 1
        self._last = record.value

    def _digest(self) -> str:
        """Digest of the record before the position: needed once a batch, so not worked out for every record."""
        last = self._last
        return last if isinstance(last, str) else sha256(last).hexdigest()

    def _decide(self, record: Stored) -> Iterable[Output]:
        """What follows from a record; nothing from a repeat, a refusal from one that should not stand here."""
        offset, time, key, value = record
        topic, partition = self.place
        envelope = decode(topic, value)
        if isinstance(envelope, Undecodable):
            return (_refusal(key, envelope.reason),)
        cause = envelope.cause
        if not is_new(self._marks, cause):
            return ()
        belongs = key_of(envelope.body)
        if belongs:
            if belongs != key:
                return (_refusal(key, Reason.WRONG_KEY),)
            # What has a cause was placed by a loop like this one, from the same Genesis.
            if cause is None and partition_of(key, self._routes.counts[topic]) != partition:
                return (_refusal(key, Reason.WRONG_PARTITION),)
        return self.machine.step(Seen(self._log_id, offset, time, value, envelope.body))

    def _emit(self, offset: int, outputs: Iterable[Output]) -> None:
        pending, place_of = self._pending, self._routes.place_of
        head = cause_head(self._log_id, offset)
        for index, output in enumerate(outputs):
            value = encode_output(head, index, output.body)
            size = len(value)
            if size > MAX_RECORD_BYTES:
                raise ValueError(f"output {index} ({type(output.body).__name__}) has {size} bytes")
            place, key = place_of(output)
            pending.append(to_append((place, key, value)))
            self._bytes += size
            if len(pending) >= BATCH or self._bytes >= CHUNK_BYTES:
                self._flush()
        self._whole = len(pending)

    def _flush(self) -> None:
        self._log.append(self._pending)
        self._pending.clear()
        self._bytes = self._whole = 0

    def _acknowledge(self) -> None:
        """Append what is pending, and when that is durable, move the floor."""
        if self._pending:
            self._flush()
        if self.position > self.floor:
            self._log.move_floor(self.reader, self.place, Floor(self.position, self._digest(), self._log_id))
            self.floor = self.position


def _refusal(key: str, reason: Reason) -> Output:
    """The loop's own answer. Its words are fixed: a library's message would make two versions say two things."""
    return refused(key[:MAX_ABOUT], reason, REFUSALS[reason])


def _story(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
