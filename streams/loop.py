"""The loop that runs one machine on one partition: read, decide, append what follows, and only then move the floor.

Position and floor are two things. The position is how far the machine's state has come; the floor is how far outputs
are known to be appended, and every runner of the partition sees it. A runner that starts takes an older state, steps
silently up to the floor, and emits everything above it, whether or not it was emitted before: who reads it drops
repeats by their causes. So a crash at any point, a second runner of the same partition, or a frozen one that wakes up,
do no harm.

A runner that raised is done for: its machine may stand in the middle of a step. Whoever drives it makes a new one.
"""

import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from coordinator.machine import RULES_VERSION, Output, Seen, refused
from schemas.codec import Undecodable, cause_head, decode, encode_output, log_head
from schemas.fields import MAX_RECORD_BYTES
from schemas.partition import partition_of
from schemas.reasons import Reason
from streams.checkpoints import CheckpointStore
from streams.keeping import Keeper, LastKept
from streams.log import Append, Floor, Log, LogError, LogMismatch, Place, Stored, to_append
from streams.marks import is_new
from streams.resume import REMEDY, Start, find_start
from streams.routes import Routes, key_of
from streams.standby import Following, Patience
from streams.state import Header
from streams.state import MachineType as MachineType

if TYPE_CHECKING:  # heavy, and needed by few
    from streams.localstore import LocalStore

LOGGER = logging.getLogger(__name__)
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


class Runner:
    """One machine on one partition of its topic.

    `checkpoints`: states that others may start from. `local`: where this process keeps the state; None: in memory.
    `every`: records between two states in `checkpoints`, at least. `rules`: newest rules version the machine knows.
    `standby`: it follows another runner of the partition, and leads when that one falls silent; None: it leads.
    `following`: whether somebody else says what it would say. `taken`, `emitted`: records and outputs so far.

    Raises LogMismatch if the log is not the one that the floor and the states speak of, other LogErrors.
    """

    def __init__(
        self,
        log: Log,
        machine: MachineType,
        partition: int,
        checkpoints: CheckpointStore,
        *,
        local: "LocalStore | None" = None,
        every: int = 50_000,
        rules: int = RULES_VERSION,
        standby: Patience | None = None,
    ) -> None:
        self.place = Place(machine.topic, partition)
        self.reader = f"{machine.topic}-machine"
        self._log = log
        self._routes = Routes(log)
        self._log_id = self._routes.log_ids[str(self.place)]
        self._head = log_head(self._log_id)
        self._keeper = Keeper(self.place, checkpoints, local, every, self._routes.log_ids, log.start(self.place))
        self._rules = rules
        self._pending: list[Append] = []
        self._bytes = 0
        self._whole = 0  # how many of the pending outputs belong to finished steps
        self._usable = True
        self.taken = self.emitted = 0
        self.following = standby is not None
        self._standby = Following(standby) if standby else None
        self._begin(machine, find_start(log, self.reader, self.place, self._routes, self._keeper, rules))

    def _begin(self, machine: MachineType, start: Start) -> None:
        self.machine = self._keeper.begin(machine, start.state)
        self.position = start.offset
        self.floor, self._floor_digest = start.floor[:2] if start.floor else (0, "")
        self._last: bytes | str = start.digest
        self._marks = start.marks
        self._moved: Floor | None = None  # the floor, if we moved it there and it may still be on its way

    def poll(self, limit: int = BATCH) -> int:
        """Take up to `limit` records, append what follows, move the floor; how many were taken, 0 at the log's end.

        A follower appends nothing, and takes nothing either while it has to wait for the floor (see `due_in`).
        Raises MachineStopped where a step fails, after the outputs of the steps before it are appended; LogError
        where the log does.
        """
        assert self._usable, "this runner has failed: make a new one"
        if self._standby:
            self._look(self._standby)
            self._keep_if_due()
        taken = 0
        if self.is_held_up():
            self._look_back()
        else:
            taken = self._take_batch(limit)
        self._keep_if_due()
        return taken

    def _keep_if_due(self) -> None:
        if self._keeper.is_due(self.position):
            self.checkpoint()

    def _take_batch(self, limit: int) -> int:
        ahead = max(self.floor - self.position, 0)
        if ahead:
            self._check_end()
        batch = self._read(limit)
        if batch:
            self._usable = False
            if ahead:
                self._take_all(batch[:ahead])
                self._check_floor(Floor(self.floor, self._floor_digest, self._log_id))
            if len(batch) > ahead:
                self._take_all(batch[ahead:] if ahead else batch)
            self._acknowledge()
            self._usable = True
            self.taken += len(batch)
        return len(batch)

    def _read(self, limit: int) -> list[Stored]:
        """What comes next, after a look at the record before it: a log that was truncated may have grown again."""
        before = self._read_from_before(limit) if self.position else []
        if not before:  # trimmed up to the position: there is nothing left to compare with; or truncated below it
            return self._log.read(self.place, self.position, limit)
        self._check_same(before[0])
        # A read may be short: that it ended with the record before says nothing of those that follow.
        return before[1:] or self._log.read(self.place, self.position, limit)

    def _check_end(self) -> None:
        """See that the log still holds what leads to the floor, which others reached."""
        end = self._log.end(self.place)
        if end < self.floor:
            raise LogMismatch(
                f"{self.place} ends at {end}, the floor of {self.reader} is at {self.floor}: the log was truncated;"
                f" {REMEDY}"
            )

    def _check_floor(self, floor: Floor) -> None:
        """Where we stand at the floor, we have read what those who moved it had."""
        differs = floor.offset == self.position and floor.digest != self._digest()
        if floor.log_id != self._log_id or differs:
            raise LogMismatch(f"the floor of {self.reader} is not of {self.place} as it was read: {REMEDY}")

    def _look_back(self) -> None:
        """See that the log still holds what was read, without reading on."""
        before = self._read_from_before(0) if self.position else []
        if before:
            self._check_same(before[0])
        else:
            self._log.read(self.place, self.position, 1)

    def _check_same(self, before: Stored) -> None:
        if sha256(before.value).hexdigest() != self._digest():
            raise LogMismatch(
                f"{self.place} has another record at {before.offset} than was read there: the log was truncated and"
                " has grown again; restore it from a backup"
            )

    def _read_from_before(self, limit: int) -> list[Stored]:
        try:
            return self._log.read(self.place, self.position - 1, limit + 1)
        except LogMismatch:
            return []

    def checkpoint(self) -> None:
        """Keep the present state, so that the next runner needs no replay up to here.

        Not above the floor, where nobody could start from: not where a follower stands there, and not before the log
        has the floor that was moved here.
        """
        if self._usable and self.position <= self.floor:
            self._settle_floor()
            self._keeper.keep(self.header(), self.machine, share=not self.following)

    def _settle_floor(self) -> None:
        """Wait for the floor that was moved last: once for each state that is kept, not for each batch."""
        if self._moved is not None:
            self._log.move_floor(self.reader, self.place, self._moved)
            self._moved = None

    def close(self) -> None:
        """Let go of the state's files, without keeping what came since the last checkpoint."""
        self._usable = False
        self._keeper.close()

    def header(self) -> Header:
        """What the present state is of."""
        return Header(
            topic=self.place.topic,
            partition=self.place.partition,
            log_id=self._log_id,
            targets=self._routes.log_ids,
            offset=self.position,
            digest=self._digest(),
            rules=self._rules,
            marks=dict(self._marks),
        )

    @property
    def kept(self) -> LastKept:
        """The state that was kept last."""
        return self._keeper.kept

    # --- As a standby -------------------------------------------------------------------------------------------------

    def due_in(self) -> float | None:
        """Seconds until it wants to be polled although no record has come; None: never."""
        if self._standby is None or not self.following or self.position <= self.floor:
            return None
        return self._standby.watch.due_in()

    def hesitation(self) -> float:
        """Seconds that a follower waits before it does what the runner that leads should have done."""
        return self._standby.patience.silence / 1000 if self._standby and self.following else 0.0

    def is_held_up(self) -> bool:
        """Whether it takes no records until the floor has moved: the hand is full, or the state is to be kept."""
        if self._standby is None or not self.following or self.position <= self.floor:
            return False
        return self._standby.hand.is_full() or self._keeper.is_due(self.position)

    def in_hand(self) -> int:
        """How many outputs a follower holds."""
        return self._standby.hand.outputs if self._standby else 0

    def lead(self) -> None:
        """Say what is in hand, and lead from now on, whoever else does."""
        assert self._usable, "this runner has failed: make a new one"
        if self._standby and self.following:
            self._take_over(self._standby)
        self._standby = None

    def _look(self, standby: Following) -> None:
        """See how far the floor has come, and whether it still moves."""
        if not standby.watch.is_time():
            return
        floor = self._log.floor(self.reader, self.place)
        if floor is not None and floor.offset > self.floor:
            self._follow(standby, floor)
        elif self.position <= self.floor:
            standby.watch.moved()
        elif standby.watch.is_over():
            self._take_over(standby)

    def _follow(self, standby: Following, floor: Floor) -> None:
        """Somebody else has raised the floor."""
        self._check_floor(floor)
        self.following = True
        self.floor, self._floor_digest = floor.offset, floor.digest
        standby.hand.drop(self.floor)
        standby.watch.moved()

    def _take_over(self, standby: Following) -> None:
        LOGGER.warning("%s: the floor stands at %d, this runner leads from there", self.place, self.floor)
        self._usable = False
        self._look_back()
        for chunk in standby.hand.chunks(BATCH, CHUNK_BYTES):
            self._log.append(chunk)
        standby.hand.clear()
        self.following = False
        self._acknowledge()
        self._usable = True

    # --- Deciding -----------------------------------------------------------------------------------------------------

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
        if self.following and self._pending:
            self._flush()  # now, while the position says what it follows from
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
        head = cause_head(self._head, offset)
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
        if self._standby and self.following:
            self._standby.hand.hold(self.position, self._pending.copy(), self._bytes)
        else:
            self._log.append(self._pending)
        self.emitted += len(self._pending)
        self._pending.clear()
        self._bytes = self._whole = 0

    def _acknowledge(self) -> None:
        """Append what is pending, and when that is durable, move the floor. A follower moves none."""
        if self._pending:
            self._flush()
        if self.position > self.floor and not self.following:
            self._moved = Floor(self.position, self._digest(), self._log_id)
            self._log.move_floor(self.reader, self.place, self._moved)
            self.floor = self.position


def _refusal(key: str, reason: Reason) -> Output:
    """The loop's own answer. Its words are fixed: a library's message would make two versions say two things."""
    return refused(key[:MAX_ABOUT], reason, REFUSALS[reason])


def _story(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
