"""What the live views count: from each fact, how much of what happened in which minute. streams/views.py keeps it.

Facts come at least once. Those of one partition come in order, and a row of one minute holds the highest cause that it
has counted from each source, so a fact that comes again changes nothing: the row is exact, whatever else was lost.
Each partition's rows say how far it was counted: whoever goes on from there misses nothing, wherever else it may stand.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import msgspec

from schemas import facts as f
from schemas.fields import NULL
from schemas.log import Cause
from schemas.spec import TaskSpec
from streams.marks import Marks, is_new

MINUTE = 60_000  # ms in a window
KINDS = ("ended", "waited", "executed", "failed_on_node", "failed_with_image")


class At(NamedTuple):
    """Where a fact stands: partition and offset in `facts`, and when it was appended, ms since 1970."""

    partition: int
    offset: int
    time: int


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


_WINDOWS = msgspec.json.Decoder(Window)
_OPEN = msgspec.json.Decoder(Open)
_MARKS = msgspec.json.Decoder(dict[str, tuple[int, int]])
_HERE = ""
"""Stands among a partition's marks, where no log has this id, for itself: the next offset to count, and 0."""


class Rows:
    """What is kept, in a table whose changes are kept in their order: keys say partition and kind, values are JSON.

    Whoever loses the last changes and reads again from before them comes to the same rows.
    """

    def __init__(self, table: MutableMapping[str, bytes]) -> None:
        self._table = table

    def next(self, partition: int) -> int:
        """The offset from which on a partition is to be counted: all before it was."""
        return self._marks(partition).get(_HERE, (0, 0))[0]

    def take(self, at: At, body: Any, cause: Cause) -> None:
        """Count one fact, unless it was counted."""
        partition, offset, time = at
        task = task_of(body)
        kept = self._table.get(f"{partition} open {task}") if task else None
        told = tell(body, time, _OPEN.decode(kept) if kept else None)
        marks = self._marks(partition)
        if not (told.counted or told.task) or not is_new(marks, cause):
            return
        for counted in told.counted:
            self._count(partition, window_of(time), counted, cause)
        if told.open is not None:
            self._table[f"{partition} open {told.task}"] = msgspec.json.encode(told.open)
        elif kept:
            del self._table[f"{partition} open {told.task}"]
        marks[_HERE] = (offset + 1, 0)
        self._table[f"{partition} marks"] = msgspec.json.encode(marks)  # last: what stands before it was counted

    def windows(self, partitions: frozenset[int], since: int) -> Iterator[tuple[int, str, str, int, int]]:
        """Window, kind, label, count, amount of each row of these partitions."""
        for key, value in list(self._table.items()):
            partition, kind, *rest = key.split(" ", 3)
            if kind == "window" and int(partition) in partitions and int(rest[0]) >= since:
                row, (what, _, label) = _WINDOWS.decode(value), rest[1].partition(" ")
                yield int(rest[0]), what, label, row.count, row.amount

    def forget(self, partition: int, before: int) -> None:
        """Drop a partition's windows that began before."""
        for key in list(self._table.keys()):
            number, kind, *rest = key.split(" ", 3)
            if kind == "window" and int(number) == partition and int(rest[0]) < before:
                del self._table[key]

    def _marks(self, partition: int) -> Marks:
        kept = self._table.get(f"{partition} marks")
        return _MARKS.decode(kept) if kept else {}

    def _count(self, partition: int, window: int, counted: Counted, cause: Cause) -> None:
        key = f"{partition} window {window} {counted.kind} {counted.label}"
        kept = self._table.get(key)
        row = _WINDOWS.decode(kept) if kept else Window()
        if row.add(counted, cause):
            self._table[key] = msgspec.json.encode(row)


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
