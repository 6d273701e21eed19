"""A job's log in words: one line for each fact that concerns a reader. What the reader may not see is left unsaid."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from readmodel import queries
from readmodel.connection import Connection
from readmodel.rows import Line, Named
from readmodel.sight import Sight, sight

PAGE = 1_000


class Told(NamedTuple):
    """A row of `job_log`, with names for what it refers to: the task a copy came from, whose execution it speaks of."""

    kind: str
    subject: str
    number: int = 0
    detail: str = ""
    source: Named | None = None
    whose: Named | None = None


def job_log(
    connection: Connection, viewer: str, root: str, *, task: str | None = None, after: int = -1, limit: int = PAGE
) -> list[Line]:
    """Lines of a job's log, or of one of its tasks, from beyond position `after`; none for an unknown job."""
    seen = sight(connection, viewer)
    return _lines(connection, seen, _page(connection, seen, root, task, after, limit))


def told_to_all(connection: Connection, root: str, owner: str) -> Iterator[Line]:
    """A job's whole log as whoever may read the job may read it: it names nothing that is not its owner's."""
    seen, after = Sight(everything=False, owners=[owner]), -1
    while found := _page(connection, seen, root, None, after, PAGE):
        yield from _lines(connection, seen, found)
        after = found[-1]["position"]


def _page(
    connection: Connection, seen: Sight, root: str, task: str | None, after: int, limit: int
) -> list[queries.Found]:
    return queries.fetch(connection, "job_log", seen, {"root": root, "task": task, "after": after, "limit": limit})


def _lines(connection: Connection, seen: Sight, found: list[queries.Found]) -> list[Line]:
    sources = queries.tasks_named(connection, seen, [row["other"] for row in found])
    tokens = queries.tokens_named(connection, seen, [row["token"] for row in found])
    lines = []
    for row in found:
        source, whose = sources.get(row["other"]), tokens.get(row["token"])
        if row["kind"] == "redecided" and whose is None:  # it may never have known that there was anything to wait on
            continue
        told = Told(row["kind"], row["name"] or row["task"], row["number"], row["detail"], source, whose)
        lines.append(Line(position=row["position"], said_at=row["said_at"], task=row["task"], text=sentence(told)))
    return lines


def sentence(told: Told) -> str:
    """The line for people."""
    return SENTENCES[told.kind](told)


def label(named: Named | None, otherwise: str) -> str:
    """How a line refers to a task."""
    if named is None:
        return otherwise
    return f"{named.name} ({named.task})" if named.name else named.task


def _of_the_job(told: Told) -> str:
    return f"job {told.kind}{_why(told)}"


def _copied(told: Told) -> str:
    queued = f" and queued {_tasks(told)}" if told.number else ""
    return f"{told.subject}: copied output from {label(told.source, 'an earlier execution')}{queued}"


def _complete(told: Told) -> str:
    return f"{told.subject}: complete{f', queued {_tasks(told)}' if told.number else ''}"


def _failed(told: Told) -> str:
    return f"{told.subject}: failed{_why(told)}"


def _cancelled(told: Told) -> str:
    return f"{told.subject}: cancelled{_why(told)}"


WHY_GRANTED = {
    "redecided": ", decided anew",
    "refresh": ", as a fresh execution was asked for",
    "conflict": ", as the executions so far disagree",
    "quarantined": ", as what there is was taken out of use",
    "imported": " in another system, taken over from there",
}


def _granted(told: Told) -> str:
    if told.detail == "retry":
        return f"{told.subject}: granted again, attempt {told.number}"
    return f"{told.subject}: granted{WHY_GRANTED.get(told.detail, '')}"


def _waiting(told: Told) -> str:
    whose = label(told.whose, "another task")
    if told.detail == "verification":
        return f"{told.subject}: waiting for a look whether the output of {whose} is still there"
    return f"{told.subject}: waiting on {whose}"


def _promoted(told: Told) -> str:
    return f"{told.subject}: took over the execution it had waited on"


def _redecided(told: Told) -> str:
    return f"{told.subject}: no longer waiting on {label(told.whose, 'another task')}"


def _impure(told: Told) -> str:
    return f"{told.subject}: no longer pure"


def _why(told: Told) -> str:
    return f": {told.detail.replace('_', ' ')}" if told.detail else ""


def _tasks(told: Told) -> str:
    return f"{told.number} task{'' if told.number == 1 else 's'}"


SENTENCES: dict[str, Callable[[Told], str]] = {
    "queued": _of_the_job,
    "running": _of_the_job,
    "assembling": _of_the_job,
    "importing": lambda _: "job of another system, being taken over",
    "complete": _of_the_job,
    "failed": _of_the_job,
    "cancelled": _of_the_job,
    "prioritised": lambda told: f"job has priority {told.number} now",
    "task_copied": _copied,
    "task_complete": _complete,
    "task_failed": _failed,
    "task_cancelled": _cancelled,
    "granted": _granted,
    "waiting": _waiting,
    "promoted": _promoted,
    "redecided": _redecided,
    "impure": _impure,
}
