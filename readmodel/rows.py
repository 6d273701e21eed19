"""What the queries return. Times are append times, ms since 1970, unless they are said to be a node's; null: not yet.

A field that would speak of things the viewer may not see is null.
"""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A result of a query."""


class User(Row, frozen=True):
    """Someone who asks for jobs."""

    uuid: str
    name: str
    is_admin: bool
    is_active: bool


class Job(Row, frozen=True):
    """What a user asked for, with the number of its tasks: all, in a last state, and copied."""

    root: str
    owner: str
    name: str
    state: str
    output: str
    log: str
    reason: str
    failed_task: str
    detail: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    tasks: int
    finished: int
    copied: int


class Named(Row, frozen=True):
    """A task as others refer to it: its uuid, its job's, its label, and the name of who owns the job."""

    task: str
    root: str
    name: str
    owner: str = ""


class Task(Row, frozen=True):
    """A task of a job. `depth`: 0 for a first task. `token`: the execution that runs for it or whose output it has.

    `reused_from`: the task it was copied from; `waiting_on`: whose execution or entry it waits for.
    `source_started_at`, `source_finished_at`: for a copy, the execution's own times by its node's clock, else 0.
    """

    root: str
    task: str
    owner: str
    created_by: str
    sequence: int
    qsequence: int
    depth: int
    name: str
    state: str
    is_pure: bool
    ineligible: str
    fingerprint: str
    spec: str
    bound: str
    token: str | None
    output: str
    log: str
    children: int
    progress: int
    reason: str
    failure: str
    exit_code: int
    detail: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    source_started_at: int
    source_finished_at: int
    decision: str
    why: str
    decided_at: int | None
    attempt: int
    waited: bool
    reused_from: Named | None
    waiting_on: Named | None
    waiting_kind: str
    waiting_since: int | None

    @property
    def saved(self) -> int:
        """Milliseconds of execution that copying saved; 0 for a task that ran."""
        return max(self.source_finished_at - self.source_started_at, 0)


class Execution(Row, frozen=True):
    """A unit of work under one token. Whose it is and where it ran is null to who sees only a copy of its output.

    `node_started_at`, `node_finished_at`: by the node's clock, 0 if it never ran. `exit_code`: -1 if there is none.
    """

    token: str
    fingerprint: str
    status: str
    is_impure: bool
    owner: str | None
    task: str | None
    root: str | None
    attempt: int
    replaces: str | None
    why: str | None
    node: str | None
    incarnation: str | None
    runner: str
    environment: str | None
    exit_code: int
    failure: str
    detail: str | None
    output: str
    log: str
    progress: int
    access: str | None
    granted_at: int | None
    running_at: int | None
    ended_at: int | None
    node_started_at: int
    node_finished_at: int


class Disagreement(Row, frozen=True):
    """Two executions of one fingerprint, both visible, with different outputs.

    `kept_at`: when an operator kept the later one against what the earlier one, an attempt before it, said too late.
    """

    fingerprint: str
    earlier: str
    later: str
    earlier_output: str
    later_output: str
    told_at: int
    kept_at: int | None = None


class Answer(Row, frozen=True):
    """What became of a command: `done`, `nothing` or `refused`, and why."""

    outcome: str
    reason: str
    about: str
    detail: str
    answered_at: int


class Counts(Row, frozen=True):
    """Tasks by state; `waited`: how many waited on another's work; `saved`: ms of execution that copying saved.

    `granted`, `started`: executions for the viewer's tasks; `spent`: ms they ran, by their nodes' clocks.
    """

    todo: int
    claimed: int
    running: int
    complete: int
    copied: int
    failed: int
    cancelled: int
    waited: int
    saved: int
    granted: int
    started: int
    spent: int


class Waiting(Row, frozen=True):
    """A task that waits, on what and since when. `kind`: execution or verification."""

    task: str
    root: str
    name: str
    on: Named | None
    kind: str
    since: int


class Assembling(Row, frozen=True):
    """A job whose outputs are to be joined and whose log is to be saved; of a cancelled one the log alone.

    `tasks`: how many tasks it has.
    """

    root: str
    owner: str
    tasks: int
    is_cancelled: bool


class Left(Row, frozen=True):
    """What a task left: portable data hashes, empty where there is none."""

    task: str
    output: str
    log: str


class Line(Row, frozen=True):
    """A line of a job's log. `position` orders the lines of one job."""

    position: int
    said_at: int
    task: str
    text: str
