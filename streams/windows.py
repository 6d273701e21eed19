"""What the live views count: from each fact, how much of what happened in which minute. streams/views.py keeps it.

Facts come at least once. Those of one partition come in order, and a row of one minute holds the highest cause that it
has counted from each source, so a fact that comes again changes nothing: the row is exact, whatever else was lost.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from schemas import facts as f
from schemas.fields import NULL
from schemas.log import Cause
from schemas.spec import TaskSpec

MINUTE = 60_000  # ms in a window
KINDS = ("ended", "waited", "executed", "failed_on_node", "failed_with_image")


class Counted(NamedTuple):
    """One thing that a fact adds to a window. `kind`: of KINDS; `label`: of that kind; `amount`: ms, or nothing."""

    kind: str
    label: str
    amount: int = 0


class Window(msgspec.Struct):
    """A row: of one kind, label, minute and partition. `marks`: log id to the highest cause counted (offset, index)."""

    count: int = 0
    amount: int = 0
    marks: dict[str, tuple[int, int]] = {}

    def add(self, counted: Counted, cause: Cause) -> bool:
        """Count it, unless it was counted before; whether it was new."""
        rank = (cause.offset, cause.index)
        if rank <= self.marks.get(cause.log_id, (-1, -1)):
            return False
        self.marks[cause.log_id] = rank
        self.count += 1
        self.amount += counted.amount
        return True


class Open(msgspec.Struct):
    """A task that has not ended. `since`: when it was created, ms since 1970; `has_begun`: it has started."""

    since: int
    image: str
    has_begun: bool = False


class Told(NamedTuple):
    """What follows from a fact: what is counted, and the task that it is about as it is then; None: it has ended."""

    counted: tuple[Counted, ...] = ()
    task: str = ""
    open: Open | None = None


def window_of(time: int) -> int:
    """The minute that a time (ms since 1970) is in: its first ms."""
    return time - time % MINUTE


def tell(fact: Any, time: int, known: Open | None) -> Told:
    """What a fact of this append time leads to. `known`: its task, where it is about one that has not ended.

    Source: the same questions are asked of the read model in readmodel/sql/windows.sql, with the same answers.
    """
    match fact:
        case f.Granted(why=why) if why != "imported":
            return Told((Counted("executed", fact.fingerprint),))
        case f.ExecutionChanged(status="failed" | "lost"):
            return Told((Counted("failed_on_node", fact.node),))
        case f.TaskChanged() if not fact.at:
            return _of_a_task(fact, time, known)
    return Told()


def task_of(fact: Any) -> str:
    """The task that has to be known before `tell` is asked; empty: none."""
    return fact.task if isinstance(fact, f.TaskChanged) and not fact.at else ""


def _of_a_task(fact: f.TaskChanged, time: int, known: Open | None) -> Told:
    if fact.spec != NULL:
        known = Open(time, msgspec.json.decode(fact.spec, type=TaskSpec).image)
    if known is None:  # of an import, or ended before
        return Told()
    counted = tuple(_counted(fact, time, known))
    if fact.state in ("complete", "copied", "failed", "cancelled"):
        return Told(counted, fact.task)
    known.has_begun = known.has_begun or fact.state == "running"
    return Told(counted, fact.task, known)


def _counted(fact: f.TaskChanged, time: int, known: Open) -> Iterator[Counted]:
    if fact.state in ("running", "copied") and not known.has_begun:
        yield Counted("waited", "", time - known.since)
    if fact.state in ("complete", "copied", "failed", "cancelled"):
        saved = max(fact.finished_at - fact.started_at, 0) if fact.state == "copied" else 0
        yield Counted("ended", fact.state, saved)
    if fact.state == "failed":
        yield Counted("failed_with_image", known.image)


def merged(rows: Iterator[tuple[int, str, str, int, int]]) -> list[dict[str, Any]]:
    """Rows of partitions, (window, kind, label, count, amount), as one list: newest window first, then by name."""
    total: dict[tuple[int, str, str], list[int]] = {}
    for window, kind, label, count, amount in rows:
        sums = total.setdefault((window, kind, label), [0, 0])
        sums[0], sums[1] = sums[0] + count, sums[1] + amount
    ordered = sorted(total.items(), key=lambda row: (-row[0][0], row[0][1], row[0][2]))
    return [
        {"window": window, "kind": kind, "label": label, "count": count, "amount": amount}
        for (window, kind, label), (count, amount) in ordered
    ]
