"""Where the outputs of some executions went: every task and job that received them, whatever the way.

Directly: a task has the output of an execution, its own or as a copy; copies of copies have it under the same token.
Further: a task that reads that output, or the joined output of a job that has it, was made from it; and so were those
that have its output in turn. Content is known by its hash: who reads the same content counts, wherever it is from.
For operators: it looks at everything.
"""

from typing import Any, Literal

import msgspec

from readmodel.connection import Connection
from readmodel.queries import named, select
from readmodel.rows import Named, Row
from readmodel.sql import statements

SQL = statements("spread.sql")
NOTHING = ("", "d41d8cd98f00b204e9800998ecf8427e+0")  # content that says nothing of where it came from
How = Literal["executed", "copied", "waits", "read"]
Found = dict[str, Any]


class Selection(Row, frozen=True):
    """Which executions: those that meet all that is given. Times in ms since 1970: they ran at some moment between."""

    task: str | None = None
    fingerprint: str | None = None
    node: str | None = None
    script: str | None = None
    commits: tuple[str, ...] | None = None
    image: str | None = None
    since: int | None = None
    until: int | None = None


class Chosen(Row, frozen=True):
    """An execution that was selected. `running_at`, `ended_at`: ms since 1970."""

    token: str
    fingerprint: str
    owner: str
    task: str
    root: str
    status: str
    node: str
    output: str
    running_at: int | None
    ended_at: int | None


class Received(Row, frozen=True):
    """A task that was reached. `depth`: 0 has the output itself; each further one was made from one before."""

    task: Named
    state: str
    how: How
    depth: int


class ReceivedJob(Row, frozen=True):
    """A job with such a task."""

    root: str
    name: str
    owner: str
    state: str
    depth: int


class Spread(Row, frozen=True):
    """What was reached. `tokens`: the executions whose outputs are concerned, the given ones first."""

    tokens: tuple[str, ...]
    tasks: tuple[Received, ...]
    jobs: tuple[ReceivedJob, ...]


def chosen(connection: Connection, selection: Selection) -> list[Chosen]:
    """The executions that are meant, in order of grant. Raises ReadModelError."""
    asked = {**msgspec.structs.asdict(selection), "commits": list(selection.commits) if selection.commits else None}
    return msgspec.convert(select(connection, SQL["selected"], None, asked), list[Chosen])


def of_tokens(connection: Connection, tokens: list[str]) -> list[Chosen]:
    """These executions, in order of grant. Raises ReadModelError."""
    return msgspec.convert(select(connection, SQL["of_tokens"], None, {"tokens": tokens}), list[Chosen])


def spread(connection: Connection, tokens: list[str]) -> Spread:
    """All that received the outputs of these executions. Raises ReadModelError."""
    return _Spreading(connection).of(tokens)


class _Spreading:
    """What was reached so far; each thing is looked at once, so that circles of equal content end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.tokens: dict[str, None] = {}
        self.tasks: dict[tuple[str, str], Received] = {}
        self.jobs: dict[str, ReceivedJob] = {}
        self.contents: dict[str, None] = dict.fromkeys(NOTHING)

    def of(self, tokens: list[str]) -> Spread:
        """Everything, one generation after the other."""
        ahead, depth = list(dict.fromkeys(tokens)), 0
        while ahead or any(root not in self.jobs for root, _ in self.tasks):
            self.tokens |= dict.fromkeys(ahead)
            receivers = self._ask("receivers", tokens=ahead)
            for row in receivers:
                self._reach(row, _how(row, ahead), depth)
            contents = [row["output"] for row in receivers if row["token"] in ahead] + self._job_outputs(depth)
            readers = self._readers(contents)
            for row in readers:
                self._reach(row, "read", depth + 1)
            ahead = [token for token in dict.fromkeys(row["token"] for row in readers) if self._is_new(token)]
            depth += 1
        return Spread(tokens=tuple(self.tokens), tasks=tuple(self.tasks.values()), jobs=tuple(self.jobs.values()))

    def _reach(self, row: Found, how: How, depth: int) -> None:
        place = (row["root"], row["task"])
        if place not in self.tasks:
            self.tasks[place] = Received(task=named(row), state=row["state"], how=how, depth=depth)

    def _job_outputs(self, depth: int) -> list[str]:
        """The joined outputs of jobs that have just been reached."""
        roots = dict.fromkeys(root for root, _ in self.tasks if root not in self.jobs)
        rows = self._ask("jobs_among", roots=list(roots))
        for row in rows:
            self.jobs[row["root"]] = msgspec.convert({**row, "depth": depth}, ReceivedJob)
        return [row["output"] for row in rows]

    def _readers(self, contents: list[str]) -> list[Found]:
        fresh = [content for content in dict.fromkeys(contents) if content not in self.contents]
        self.contents |= dict.fromkeys(fresh)
        return self._ask("readers", contents=fresh) if fresh else []

    def _is_new(self, token: str) -> bool:
        return bool(token) and token not in self.tokens

    def _ask(self, name: str, **asked: Any) -> list[Found]:
        return select(self.connection, SQL[name], None, asked)


def _how(row: Found, tokens: list[str]) -> How:
    if row["token"] not in tokens:
        return "waits"
    return "copied" if row["state"] == "copied" else "executed"
