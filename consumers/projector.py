"""The projector: writes what the facts say into the read model, exactly once in effect.

The rows of a batch, how far each partition was read, and the highest cause read from each source are written in one
transaction. A crash before it loses nothing, one after it repeats nothing; a fact that was appended twice is dropped by
its cause. A second projector on the same tables is harmless: it finds that the positions moved, and goes on from there.

Nothing that a machine said is skipped: a fact that can't be read or projected stops it, with a line that says which.
What anybody else puts into the topic is told from it by its cause: it names none of this log, and counts for nothing.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from threading import Event

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
from schemas.codec import Undecodable, decode
from schemas.log import Genesis
from schemas.topics import Topic
from streams.caused import cause_if_any, log_ids_of
from streams.log import Log, LogMismatch, Place, Stored
from streams.marks import Marks, is_new

LOGGER = logging.getLogger(__name__)
BATCH = 1_000  # facts read from one partition at a time
ANSWERS_KEPT = 1_000_000  # an answer is forgotten when its partition has grown by so many facts since
PATIENCE = 15.0  # seconds in which a Postgres that went away may come back
RESTARTS = 5  # how often it may go away with nothing projected in between
IDLE = 0.25  # seconds without a new fact after which the stop signal is looked at
REMEDY = "rebuild the read model from the log: crunch-reuse projector rebuild"

Batches = dict[int, list[Stored]]


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
        self._marks: dict[int, Marks] = {}
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
        batches = {n: self._read(n, offset, ends.get(n)) for n, offset in self._positions.items()}
        read = sum(map(len, batches.values()))
        if read:
            self._project(batches)
            self.projected += read
        return read

    def _read(self, number: int, offset: int, end: int | None) -> list[Stored]:
        most = self._batch if end is None else min(self._batch, end - offset)
        return self._log.read(_place(number), offset, most) if most > 0 else []

    def catch_up_to(self, ends: Mapping[int, int]) -> None:
        """Project each partition up to before this offset, and no further."""
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
        self._positions = {}
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
        self._positions, self._marks = positions, stands.marks
        return False

    def _check(self, place: Place, position: progress.Position) -> None:
        if self._log.genesis(place).log_id != position.log_id:
            raise LogMismatch(f"the read model was made from another log than this one ({place}): {REMEDY}")
        if self._log.end(place) < position.next_offset:
            raise LogMismatch(
                f"{place} ends before offset {position.next_offset}, which was projected: it was truncated"
            )

    # --- One batch ----------------------------------------------------------------------------------------------------

    def _project(self, batches: Batches) -> None:
        facts = [fact for number, batch in batches.items() for fact in self._new_facts(number, batch)]
        changed = Batch()
        for fact in facts:
            _add(changed, fact)
        try:
            with translated(), self._connection.transaction():
                self._share()
                if self._is_current():  # else another projector was faster, and this batch is out of date
                    self._write(changed, batches)
                    self._positions |= {number: batch[-1].offset + 1 for number, batch in batches.items() if batch}
        except ReadModelError as error:
            if isinstance(error.__cause__, psycopg.DataError | psycopg.IntegrityError | psycopg.ProgrammingError):
                raise self._blame(facts, error) from error
            raise

    def _new_facts(self, number: int, batch: list[Stored]) -> Iterator[Fact]:
        for offset, time, _, value in batch:
            envelope = decode(Topic.FACTS, value)
            if isinstance(envelope, Undecodable):
                if self._is_of_a_machine(value):
                    raise _stopped(number, offset, f"is no fact ({envelope.detail})")
                self._leave_out(number, offset, envelope.detail)
            elif isinstance(envelope.body, Genesis):
                continue
            elif envelope.cause is None:
                self._leave_out(number, offset, "it names no cause, so no machine wrote it")
            elif envelope.cause.log_id not in self._log_ids:
                self._leave_out(number, offset, "its cause is in no partition of this log")
            elif is_new(self._marks[number], envelope.cause):
                yield Fact(number, offset, time, envelope.cause, envelope.body)

    def _is_of_a_machine(self, value: bytes) -> bool:
        """Whether it names a cause in this log: then it counts, and whoever can't read it must not go on."""
        cause = cause_if_any(value)
        return cause is not None and cause.log_id in self._log_ids

    def _leave_out(self, number: int, offset: int, why: str) -> None:
        self.left_out += 1
        LOGGER.error("%s offset %d is no fact of this log and counts for nothing: %s", _place(number), offset, why)

    def _write(self, changed: Batch, batches: Batches) -> None:
        with self._connection.pipeline():
            changed.write(self._connection)
            for number, batch in batches.items():
                if batch:
                    reached = progress.Reached(batch[-1].offset + 1, batch[-1].time)
                    progress.move(self._connection, number, reached, self._marks[number], self._answers_kept)
            progress.notify(self._connection)

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


def _place(number: int) -> Place:
    return Place(Topic.FACTS, number)


def _stopped(number: int, offset: int, what: str) -> ProjectionStopped:
    return ProjectionStopped(f"the fact at {_place(number)} offset {offset} {what}: {REMEDY}")
