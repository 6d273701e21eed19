"""The projector: writes what the facts say into the read model, exactly once in effect.

The rows of a batch, how far each partition was read, and the highest cause read from each source are written in one
transaction. A crash before it loses nothing, one after it repeats nothing; a fact that was appended twice is dropped by
its cause. A second projector on the same tables is harmless: it finds that the positions moved, and goes on from there.

Nothing that a machine said is skipped: a fact that can't be read or projected stops it, with a line that says which.
What anybody else puts into the topic is told from it by its cause: it names none of this log, and counts for nothing.

While Postgres writes one batch of many, the next is made ready.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from threading import Event
from typing import NamedTuple

import psycopg
from msgspec import DecodeError

from readmodel import beside, progress
from readmodel.batch import Batch
from readmodel.connection import (
    Connection,
    ReadModelConflict,
    ReadModelError,
    ReadModelUnreachable,
    connect,
    reconnect,
    translated,
)
from readmodel.migrate import READ_MODEL, migrate
from readmodel.projection import Fact, UnknownFact, effects
from schemas.codec import Undecodable
from schemas.topics import Topic
from streams.caused import Foreign, fact_of, log_ids_of
from streams.log import Log, LogError, LogMismatch, Place, Stored
from streams.marks import Marks, is_new
from streams.resume import digest_at

LOGGER = logging.getLogger(__name__)
BATCH = 1_000  # facts read from one partition at a time
ANSWERS_KEPT = 1_000_000  # an answer is forgotten when its partition has grown by so many facts since
PATIENCE = 15.0  # seconds in which a Postgres that went away may come back
RESTARTS = 5  # how often it may go away with nothing projected in between
IDLE = 0.25  # seconds without a new fact after which the stop signal is looked at
BEGIN = "the tables that serve have nothing of it; start one (crunch-reuse projector), and check again"
REMEDY = "rebuild the read model from the log: crunch-reuse projector rebuild"

AllMarks = dict[int, Marks]


class LeftOut(NamedTuple):
    """A record that is no fact of this log, and why."""

    partition: int
    offset: int
    why: str


class Ready(NamedTuple):
    """A batch to be written: its facts and what they change; by partition, what was reached and the marks with it."""

    facts: list[Fact]
    left_out: list[LeftOut]
    changed: Batch
    reached: dict[int, progress.Reached]
    marks: AllMarks
    records: int
    is_full: bool


class NotBegun(ReadModelError):
    """Nothing says up to where a partition is to be projected; the log may grow for ever."""


class ProjectionStopped(Exception):
    """A fact can't be projected; one line that names its place and what to do."""


class Projector:
    """Projects the topic `facts` of `log` into the Postgres at `dsn`. Used by one thread.

    `partitions`: of `facts`, those to project; None: all. `batch`: facts of one partition in one transaction.
    `answers_kept`: facts of a partition after which its answers are forgotten. `tables`: the schema of others than
    those that serve; empty: those. `projected`: facts so far; `left_out`: what was none.
    Raises ReadModelError, and LogMismatch if the tables were made from another log.
    """

    def __init__(
        self,
        log: Log,
        dsn: str,
        *,
        partitions: Iterable[int] | None = None,
        batch: int = BATCH,
        answers_kept: int = ANSWERS_KEPT,
        tables: str = "",
    ) -> None:
        self._log = log
        self._own = None if partitions is None else sorted(partitions)
        self._dsn = dsn
        self._batch = batch
        self._answers_kept = answers_kept
        self._positions: dict[int, int] = {}
        self._marks: AllMarks = {}
        self._ahead: Ready | None = None
        self._log_ids: frozenset[str] = frozenset()
        self.projected = self.left_out = 0
        self._tables = tables
        self._connection = self._directed(connect(dsn))
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def positions(self) -> dict[int, int]:
        """By partition, the offset of the next fact to project; from any thread."""
        return self._positions.copy()

    def run(self, stop: Event) -> None:
        """Project until `stop` is set; closing `log` then ends it at once.

        When Postgres goes away and comes back, or another projector is in the way, it goes on. Raises what `step`
        raises.
        """
        failures = 0
        while not stop.is_set():
            try:
                if self.step():
                    failures = 0
                else:
                    self._log.wait({_place(number): offset for number, offset in self._positions.items()}, IDLE)
            except ReadModelConflict:
                self._start_over()
            except ReadModelUnreachable:
                failures += 1
                if failures > RESTARTS:
                    raise
                self._reconnect()

    def catch_up(self) -> int:
        """Project until there is nothing new; the number of records read."""
        total = 0
        while read := self.step():
            total += read
        return total

    def step(self) -> int:
        """Project a batch of every partition in one transaction; the number of records read, 0 when all is done.

        Raises ProjectionStopped, LogError, ReadModelError; then this projector is done for, a new one goes on.
        """
        return self._project_up_to({})

    def _project_up_to(self, ends: Mapping[int, int]) -> int:
        ready, self._ahead = self._ahead or self._make_ready(self._positions, self._marks, ends), None
        if ready.records:
            self._project(ready, ends)
            self.projected += ready.records
        return ready.records

    def _make_ready(self, positions: Mapping[int, int], known: AllMarks, ends: Mapping[int, int]) -> Ready:
        """The next batch, from these positions and marks on, which stay as they are."""
        marks = {number: known[number].copy() for number in positions}
        batches = {n: self._read(n, offset, ends.get(n)) for n, offset in positions.items()}
        found = [one for n, batch in batches.items() for one in self._new_facts(n, batch, marks[n])]
        facts = [one for one in found if isinstance(one, Fact)]
        left_out = [one for one in found if isinstance(one, LeftOut)]
        changed = Batch()
        for fact in facts:
            _add(changed, fact)
        reached = {number: _reached(batch[-1]) for number, batch in batches.items() if batch}
        sizes = list(map(len, batches.values()))
        return Ready(facts, left_out, changed, reached, marks, sum(sizes), max(sizes, default=0) == self._batch)

    def _read(self, number: int, offset: int, end: int | None) -> list[Stored]:
        most = self._batch if end is None else min(self._batch, end - offset)
        return self._log.read(_place(number), offset, most) if most > 0 else []

    def catch_up_to(self, ends: Mapping[int, int]) -> None:
        """Project each partition up to before this offset, and no further. Raises NotBegun where one has none."""
        others = [number for number in self._positions if number not in ends]
        if others:
            raise NotBegun(f"no projector has begun {', '.join(map(str, map(_place, others)))} yet: {BEGIN}")
        self._ahead = None
        while self._project_up_to(ends):
            continue

    def close(self) -> None:
        """Release the connection to Postgres."""
        self._connection.close()

    def _reconnect(self) -> None:
        self.close()
        self._connection = self._directed(reconnect(self._dsn, PATIENCE))
        self._start_over()

    def _directed(self, connection: Connection) -> Connection:
        if self._tables:
            beside.direct(connection, self._tables)
        return connection

    def _start_over(self) -> None:
        """What became of the last batch is unknown, or it was not written: the tables say where it goes on."""
        self._positions, self._ahead = {}, None
        self._begin()

    # --- Where it stands ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        migrate(self._connection, READ_MODEL._replace(name=self._tables or READ_MODEL.name))
        own = range(self._log.partitions(Topic.FACTS)) if self._own is None else self._own
        log_ids = {n: self._log.genesis(_place(n)).log_id for n in own}
        self._log_ids = log_ids_of(self._log)
        with translated(), self._connection.transaction():
            self._share()
            progress.begin(self._connection, log_ids)
            self._is_current()

    def _share(self) -> None:
        if not self._tables:
            progress.share(self._connection)

    def _is_current(self) -> bool:
        """Whether the tables are where this projector left them; if not, it goes on from where they are."""
        stands = progress.load(self._connection, self._own)
        positions = {number: position.next_offset for number, position in stands.positions.items()}
        if positions == self._positions:
            return True
        for number, position in stands.positions.items():
            self._check(_place(number), position)
        self._positions, self._marks, self._ahead = positions, stands.marks, None
        return False

    def _check(self, place: Place, position: progress.Position) -> None:
        if self._log.genesis(place).log_id != position.log_id:
            raise LogMismatch(f"the read model was made from another log than this one ({place}): {REMEDY}")
        if self._log.end(place) < position.next_offset:
            raise LogMismatch(
                f"{place} ends before offset {position.next_offset}, which was projected: it was truncated; {REMEDY}"
            )
        if position.next_offset > self._log.start(place):  # else there is nothing left to compare with
            self._check_last(place, position)

    def _check_last(self, place: Place, position: progress.Position) -> None:
        """See that the log still holds what was projected last: it may have been truncated and have grown again."""
        last = position.next_offset - 1
        digest = digest_at(self._log, place, last)
        if not position.digest:  # the tables are of an earlier version: from now on it is known
            progress.keep_digest(self._connection, place.partition, digest)
        elif digest != position.digest:
            raise LogMismatch(
                f"{place} has another record at {last} than was projected: the log was truncated and has grown again;"
                f" {REMEDY}"
            )

    # --- One batch ----------------------------------------------------------------------------------------------------

    def _project(self, ready: Ready, ends: Mapping[int, int]) -> None:
        try:
            with translated(), self._connection.transaction():
                self._share()
                if not self._is_current():  # another projector was faster, and this batch is out of date
                    return
                ahead = self._write(ready, ends)
            self._leave_out(ready.left_out)
            self._positions = self._after(ready)
            self._marks, self._ahead = ready.marks, ahead
        except ReadModelError as error:
            if isinstance(error.__cause__, psycopg.DataError | psycopg.IntegrityError | psycopg.ProgrammingError):
                raise self._blame(ready.facts, error) from error
            raise

    def _new_facts(self, number: int, batch: list[Stored], marks: Marks) -> Iterator[Fact | LeftOut]:
        for offset, time, _, value in batch:
            found = fact_of(value, self._log_ids)
            if isinstance(found, Undecodable):
                raise _stopped(number, offset, f"is no fact ({found.detail})")
            if isinstance(found, Foreign):
                yield LeftOut(number, offset, found.why)
            elif found is not None and found.cause is not None and is_new(marks, found.cause):
                yield Fact(number, offset, time, found.cause, found.body)

    def _leave_out(self, left_out: list[LeftOut]) -> None:
        self.left_out += len(left_out)
        for number, offset, why in left_out:
            LOGGER.error("%s offset %d is no fact of this log and counts for nothing: %s", _place(number), offset, why)

    def _write(self, ready: Ready, ends: Mapping[int, int]) -> Ready | None:
        """Write it; of many, the batch after it, which is made ready meanwhile."""
        with self._connection.pipeline():
            ready.changed.write(self._connection)
            for number, reached in ready.reached.items():
                progress.move(self._connection, number, reached, ready.marks[number], self._answers_kept)
            progress.notify(self._connection)
            return self._look_ahead(ready, ends) if ready.is_full else None

    def _look_ahead(self, ready: Ready, ends: Mapping[int, int]) -> Ready | None:
        try:
            ahead = self._make_ready(self._after(ready), ready.marks, ends)
        except (ProjectionStopped, LogError):
            return None  # said when its turn comes: this batch is good, and is written
        return ahead if ahead.records else None

    def _after(self, ready: Ready) -> dict[int, int]:
        return self._positions | {number: reached.next_offset for number, reached in ready.reached.items()}

    def _blame(self, facts: list[Fact], error: Exception) -> Exception:
        """Which fact it was: the batch once more, one fact at a time, and nothing of it kept."""
        with self._connection.transaction(force_rollback=True):
            for fact in facts:
                alone = Batch()
                _add(alone, fact)
                try:
                    alone.write(self._connection)
                except psycopg.Error as cause:
                    return _stopped(fact.partition, fact.position, f"can't be projected ({cause.diag.message_primary})")
        return error


def _add(batch: Batch, fact: Fact) -> None:
    try:
        for effect in effects(fact):
            batch.add(effect)
    except (UnknownFact, DecodeError) as error:
        raise _stopped(fact.partition, fact.position, f"can't be projected ({error})") from error


def _reached(last: Stored) -> progress.Reached:
    return progress.Reached(last.offset + 1, last.time, sha256(last.value).hexdigest())


def _place(number: int) -> Place:
    return Place(Topic.FACTS, number)


def _stopped(number: int, offset: int, what: str) -> ProjectionStopped:
    return ProjectionStopped(f"the fact at {_place(number)} offset {offset} {what}: {REMEDY}")
