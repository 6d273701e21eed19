"""What the dashboard shows: pages of jobs, tasks, claims, conflicts and savings, as one viewer may see them.

Every function is bounded: a page costs the same however much there is. All raise ReadModelError.
"""

from typing import Any, Literal, TypeVar

import msgspec

from readmodel import queries
from readmodel import rows as r
from readmodel.connection import Connection
from readmodel.queries import Found
from readmodel.sight import Sight, sight
from readmodel.sql import statements

SQL = statements("board.sql")
Shown = Literal["all", "active", "complete", "failed", "cancelled"]
STATES: dict[Shown, list[str] | None] = {"all": None, "active": ["queued", "running", "assembling"]}
LATEST = 10_000  # copies that are looked at for the work that is copied most
MOST_WAITERS = 1_000  # that are counted
HOUR = 3_600_000  # ms
T = TypeVar("T", bound=r.Row)


class Job(r.Row, frozen=True):
    """A job, and what became of its tasks. `tasks`: all; `saved`: ms of execution that copying saved."""

    root: str
    owner: str
    owner_name: str
    name: str
    state: str
    output: str
    reason: str
    failed_task: str
    detail: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    tasks: int
    executed: int
    copied: int
    failed: int
    cancelled: int
    saved: int

    @property
    def open(self) -> int:
        """Tasks that have not ended."""
        return self.tasks - self.executed - self.copied - self.failed - self.cancelled


class Flight(r.Row, frozen=True):
    """An execution that is granted or runs. `waiters`: tasks that the viewer sees wait on it, up to MOST_WAITERS."""

    token: str
    fingerprint: str
    status: str
    task: str
    root: str
    owner: str
    name: str | None
    node: str
    runner: str
    attempt: int
    progress: int
    granted_at: int
    running_at: int | None
    waiters: int


class Hot(r.Row, frozen=True):
    """Work that is copied often: `name` and `task` are of the newest copy, `saved` in ms."""

    fingerprint: str
    copies: int
    saved: int
    last_at: int
    name: str
    task: str


class Hour(r.Row, frozen=True):
    """What ended in the hour that begins at `hour`, ms since 1970; `saved` and `spent` in ms of execution."""

    hour: int
    executed: int
    copied: int
    failed: int
    saved: int
    spent: int


class Conflict(r.Row, frozen=True):
    """Two executions of one fingerprint with different outputs. `is_open`: nobody has decided between them."""

    fingerprint: str
    earlier: r.Execution
    later: r.Execution
    told_at: int
    quarantined: bool
    is_open: bool


class Held(r.Row, frozen=True):
    """A task that has an output, or will: `state` says how it came by it."""

    task: str
    root: str
    name: str
    state: str
    created_at: int | None = None
    finished_at: int | None = None


class Projected(r.Row, frozen=True):
    """How far a partition of the facts is projected. `as_of`: append time of the last one, ms since 1970."""

    partition: int
    next_offset: int
    as_of: int


def jobs(connection: Connection, viewer: str, shown: Shown, limit: int, offset: int) -> list[Job]:
    """Jobs, newest first."""
    asked = {"root": None, "states": STATES.get(shown, [shown]), "limit": limit, "offset": offset}
    return _all(Job, _select(connection, "jobs", sight(connection, viewer), asked))


def job(connection: Connection, viewer: str, root: str) -> Job | None:
    """One job, or None."""
    asked = {"root": root, "states": None, "limit": 1, "offset": 0}
    found = _all(Job, _select(connection, "jobs", sight(connection, viewer), asked))
    return found[0] if found else None


def task(connection: Connection, viewer: str, uuid: str) -> r.Task | None:
    """One task, or None; also where it, or its job, was deleted."""
    found = queries.task(connection, viewer, uuid)
    if found is None:
        return None
    [deleted] = _select(connection, "is_deleted", None, {"uuids": [found.task, found.root]})
    return None if deleted["is_deleted"] else found


def children(connection: Connection, viewer: str, root: str, parent: str, limit: int, offset: int) -> list[r.Task]:
    """The tasks of a job that `parent` queued, by rank; empty: those that no task queued."""
    seen, asked = sight(connection, viewer), {"root": root, "parent": parent, "limit": limit, "offset": offset}
    return queries.tasks_of(connection, seen, _select(connection, "children", seen, asked))


def queued_by(connection: Connection, root: str, tasks: list[str]) -> dict[str, int]:
    """How many tasks each of these queued, where it queued any."""
    found = _select(connection, "queued_by", None, {"root": root, "tasks": tasks})
    return {row["task"]: row["queued"] for row in found}


def in_flight(
    connection: Connection, viewer: str, limit: int, offset: int = 0, node: str | None = None
) -> list[Flight]:
    """Executions of the viewer's sight that are granted or run, longest first: all, or those on a node."""
    asked = {"limit": limit, "offset": offset, "node": node, "most": MOST_WAITERS}
    return _all(Flight, _select(connection, "in_flight", sight(connection, viewer), asked))


def hot(connection: Connection, viewer: str, limit: int) -> list[Hot]:
    """The work that was copied most, among the latest copies."""
    return _all(Hot, _select(connection, "hot", sight(connection, viewer), {"latest": LATEST, "limit": limit}))


def hours(connection: Connection, viewer: str, since: int) -> list[Hour]:
    """What ended in each hour that begins at `since` (ms since 1970) or later; hours without anything are left out."""
    return _all(Hour, _select(connection, "hours", sight(connection, viewer), {"since": since}))


def conflicts(
    connection: Connection, viewer: str, limit: int, offset: int = 0, fingerprint: str | None = None
) -> list[Conflict]:
    """Disagreements both sides of which the viewer sees, open ones first."""
    seen = sight(connection, viewer)
    asked = {"limit": limit, "offset": offset, "fingerprint": fingerprint}
    found = _select(connection, "conflicts", seen, asked)
    tokens = sorted({row[side] for row in found for side in ("earlier", "later")})
    rows = queries.masked(_select(connection, "sides", seen, {"tokens": tokens}))
    sides = {row["token"]: msgspec.convert(row, r.Execution) for row in rows}
    made = []
    for row in found:
        if row["earlier"] in sides and row["later"] in sides:
            told = row["quarantined"] and queries.quarantine(connection, viewer, row["fingerprint"]) is not None
            made.append(_pair(row, sides, quarantined=told))
    return made


def _pair(row: Found, sides: dict[str, r.Execution], *, quarantined: bool) -> Conflict:
    """Both sides with the outputs in which they differ: of an attempt that was given up nothing else says its own."""
    earlier, later = (
        msgspec.structs.replace(sides[row[side]], output=row[f"{side}_output"]) for side in ("earlier", "later")
    )
    return Conflict(
        fingerprint=row["fingerprint"],
        earlier=earlier,
        later=later,
        told_at=row["told_at"],
        quarantined=quarantined,
        is_open=row["is_open"],
    )


def holders(connection: Connection, seen: Sight, token: str, limit: int) -> list[Held]:
    """Tasks in sight that have an execution's output, first the one that ran."""
    return _all(Held, _select(connection, "holders", seen, {"token": token, "limit": limit}))


def makers(connection: Connection, seen: Sight, contents: list[str]) -> dict[str, Held]:
    """For each of these portable data hashes a task in sight that made it, where there is one."""
    found = _select(connection, "makers", seen, {"contents": sorted(set(contents))})
    return {row["output"]: msgspec.convert(row, Held) for row in found}


def tasks_of_fingerprint(
    connection: Connection, viewer: str, fingerprint: str, limit: int, offset: int = 0
) -> list[Held]:
    """Tasks of a fingerprint, newest first."""
    asked = {"fingerprint": fingerprint, "limit": limit, "offset": offset}
    return _all(Held, _select(connection, "tasks_of_fingerprint", sight(connection, viewer), asked))


def projected(connection: Connection) -> list[Projected]:
    """How far each partition of the facts is projected."""
    return _all(Projected, _select(connection, "projected", None, {}))


def _select(connection: Connection, name: str, seen: Sight | None, asked: dict[str, Any]) -> list[Found]:
    return queries.select(connection, SQL[name], seen, asked)


def _all(kind: type[T], found: list[Found]) -> list[T]:
    return msgspec.convert(found, list[kind])  # type: ignore[valid-type]
