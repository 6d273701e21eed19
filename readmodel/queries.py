"""What people and the API ask of the read model. Small functions: a connection, who asks, what about.

`viewer` is the uuid of the user who asks. What they may not see is, for them, not there: an unknown uuid and somebody
else's give the same answer, and a reference to what they may not see is null. All raise ReadModelError.
"""

from typing import Any, TypeVar

import msgspec
from psycopg.rows import dict_row

from coordinator.claims_state import LOSSES_TOLD
from coordinator.config import Config
from readmodel import rows as r
from readmodel.connection import Connection, translated
from readmodel.sight import Sight, sight
from readmodel.sql import statements

SQL = statements("queries.sql")
LIVE = ("todo", "claimed", "running")
PAGE = 100

T = TypeVar("T", bound=r.Row)
Found = dict[str, Any]


def jobs(connection: Connection, viewer: str, limit: int = PAGE, offset: int = 0) -> list[r.Job]:
    """Jobs, newest first."""
    asked = {"root": None, "limit": limit, "offset": offset}
    return _all(r.Job, fetch(connection, "jobs", sight(connection, viewer), asked))


def job(connection: Connection, viewer: str, root: str) -> r.Job | None:
    """One job, or None."""
    asked = {"root": root, "limit": 1, "offset": 0}
    return _first(r.Job, fetch(connection, "jobs", sight(connection, viewer), asked))


def tree(connection: Connection, viewer: str, root: str) -> list[r.Task]:
    """A job's tasks in tree order: each before the tasks it queued, siblings by rank; nothing for an unknown job."""
    seen = sight(connection, viewer)
    return tasks_of(connection, seen, fetch(connection, "tree", seen, {"root": root}))


def task(connection: Connection, viewer: str, uuid: str, seen: Sight | None = None) -> r.Task | None:
    """One task, or None. `seen`: the viewer's sight, where it is known."""
    seen = seen or sight(connection, viewer)
    found = tasks_of(connection, seen, fetch(connection, "task", seen, {"task": uuid}))
    return found[0] if found else None


def is_proved(connection: Connection, task: r.Task) -> bool:
    """Whether a task was given an output for the proof that its owner may read all that it names."""
    [row] = fetch(connection, "is_proved", None, {"root": task.root, "task": task.task})
    return bool(row["is_proved"])


def waiting(connection: Connection, viewer: str, root: str | None = None, limit: int | None = None) -> list[r.Waiting]:
    """Tasks that wait on an execution or a verification now, longest first: of one job, or of all; at most `limit`."""
    seen = sight(connection, viewer)
    found = fetch(connection, "waiting", seen, {"root": root, "limit": limit})
    known = tokens_named(connection, seen, [row["waiting_on"] for row in found])
    for row in found:
        row |= {"on": known.get(row["waiting_on"]), "kind": row["waiting_kind"], "since": row["waiting_since"]}
    return _all(r.Waiting, found)


def execution(connection: Connection, viewer: str, token: str) -> r.Execution | None:
    """One execution that the viewer sees by its owner or by who holds a copy of its output, or None."""
    return _first(r.Execution, masked(fetch(connection, "execution", sight(connection, viewer), {"token": token})))


def executions_of(
    connection: Connection, viewer: str, fingerprint: str, seen: Sight | None = None
) -> list[r.Execution]:
    """The executions of a fingerprint that the viewer sees, in order of grant. `seen`: as for `task`."""
    found = fetch(connection, "executions_of", seen or sight(connection, viewer), {"fingerprint": fingerprint})
    return _all(r.Execution, masked(found))


def disagreements(connection: Connection, viewer: str, fingerprint: str) -> list[r.Disagreement]:
    """Pairs of executions with different outputs, both of which the viewer sees."""
    seen = sight(connection, viewer)
    found = _all(r.Disagreement, fetch(connection, "disagreements", seen, {"fingerprint": fingerprint}))
    known = tokens_named(connection, seen, [token for pair in found for token in (pair.earlier, pair.later)])
    return [pair for pair in found if pair.earlier in known and pair.later in known]


def quarantine(connection: Connection, viewer: str, fingerprint: str) -> Found | None:
    """Why and since when a fingerprint is out of use: `reason`, `changed_at`. None also where they may not know it.

    As in a forecast: an operator's word is for who sees an execution of it; that nodes were lost, for who sees as many.
    """
    seen = sight(connection, viewer)
    told = next(iter(fetch(connection, "quarantine", None, {"fingerprint": fingerprint})), None)
    if told is None or seen.everything:
        return told
    known = executions_of(connection, viewer, fingerprint)
    if told["reason"].endswith(LOSSES_TOLD):
        needed = numbers(connection).get("quarantine_losses", Config().quarantine_losses)
        return told if sum(one.status == "lost" for one in known) >= needed else None
    return told if known else None


def counts(connection: Connection, viewer: str, root: str | None = None) -> r.Counts:
    """Tasks by state, executions and savings: of one job, or of all."""
    seen = sight(connection, viewer)
    (tasks,) = fetch(connection, "counts", seen, {"root": root})
    (executions,) = fetch(connection, "counts_of_executions", seen, {"root": root})
    return msgspec.convert(tasks | executions, r.Counts)


def answer(connection: Connection, log_id: str, offset: int) -> r.Answer | None:
    """What became of the command at this offset of the partition with this log id; None while it is not projected.

    For who appended the command: nobody else knows its place. Old answers are forgotten.
    """
    return _first(r.Answer, fetch(connection, "answer", None, {"log_id": log_id, "offset": offset}))


def answers(connection: Connection, commands: list[tuple[str, int]]) -> dict[tuple[str, int], r.Answer]:
    """As `answer`, for many commands (log id, offset): of those that are projected."""
    log_ids, offsets = zip(*commands, strict=True)
    found = fetch(connection, "answers", None, {"log_ids": list(log_ids), "offsets": list(offsets)})
    return {(row.pop("log_id"), row.pop("command_offset")): msgspec.convert(row, r.Answer) for row in found}


def user_named(connection: Connection, name: str) -> r.User | None:
    """The user with this login name, or None."""
    return _first(r.User, fetch(connection, "user_named", None, {"name": name}))


def users(connection: Connection) -> list[r.User]:
    """All users, by uuid. For operators."""
    return _all(r.User, fetch(connection, "users", None, {}))


def numbers(connection: Connection) -> dict[str, int]:
    """The settings that were changed from their defaults, by name; `rules_version` among them."""
    return {row["name"]: row["value"] for row in fetch(connection, "settings", None, {})}


def rules_at(connection: Connection, moment: int) -> int:
    """The version of the rules that decided at a moment (ms since 1970): 1 until another was set."""
    [row] = fetch(connection, "rules_at", None, {"moment": moment})
    return int(row["version"])


def doubled(connection: Connection) -> tuple[int, int | None]:
    """How many executions were granted although another would have done, and when the last one, ms since 1970.

    For operators. It should be none: `audit verify` says which.
    """
    [row] = fetch(connection, "doubled", None, {})
    return row["number"], row["latest"]


def assembling(connection: Connection) -> list[r.Assembling]:
    """Jobs whose outputs are to be joined, or whose log is to be saved. For the assembler."""
    found = fetch(connection, "assembling", None, {})
    return [
        r.Assembling(root=row["root"], owner=row["owner"], tasks=row["task_count"], is_cancelled=row["is_cancelled"])
        for row in found
    ]


def left_in_tree_order(connection: Connection, root: str) -> list[r.Left]:
    """What each of a job's tasks left, in tree order. For the assembler."""
    return _all(r.Left, fetch(connection, "left", None, {"root": root}))


# --- Shared with explain and story -----------------------------------------------------------------------------------


def fetch(connection: Connection, name: str, seen: Sight | None, asked: Found) -> list[Found]:
    """The rows of a named query as dicts."""
    return select(connection, SQL[name], seen, asked)


def select(connection: Connection, statement: bytes, seen: Sight | None, asked: Found) -> list[Found]:
    """The rows of a statement as dicts. No parameter may have the name of one that says what `seen` may see."""
    sight_of_viewer = {} if seen is None else seen._asdict()
    assert not asked.keys() & sight_of_viewer.keys(), "a parameter would be taken for the viewer's sight"
    parameters = asked | sight_of_viewer
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def tokens_named(connection: Connection, seen: Sight, tokens: list[str]) -> dict[str, r.Named]:
    """For each token of a visible execution or entry, a visible task that has its output or for which it runs."""
    found = fetch(connection, "visible_tokens", seen, {"tokens": sorted({token for token in tokens if token})})
    return {row["token"]: named(row) for row in found}


def tasks_named(connection: Connection, seen: Sight, tasks: list[str]) -> dict[str, r.Named]:
    """The visible ones among these tasks."""
    found = fetch(connection, "visible_tasks", seen, {"tasks": sorted({task for task in tasks if task})})
    return {row["task"]: named(row) for row in found}


def named(row: Found) -> r.Named:
    """The task of a row that has its uuid, root, name and owner's name."""
    return r.Named(task=row["task"], root=row["root"], name=row["name"] or "", owner=row["owner"])


def tasks_of(connection: Connection, seen: Sight, found: list[Found]) -> list[r.Task]:
    """Rows of `job_tasks` with their owner and depth as tasks, what they refer to named where it may be seen."""
    for row in found:
        row["live"] = row["state"] in LIVE
        row["token"] = (row["running_token"] if row["live"] else "") or row["token"]
        row["on"] = row["waiting_on"] if row["live"] else ""
    tokens = tokens_named(connection, seen, [token for row in found for token in (row["token"], row["on"])])
    sources = tasks_named(connection, seen, [row["source"] for row in found])
    for row in found:
        row["token"] = row["token"] if row["token"] in tokens else None
        row["reused_from"] = sources.get(row["source"])
        row["waiting_on"] = tokens.get(row["on"])
        if not row["live"]:
            row |= {"waiting_kind": "", "waiting_since": None}
    return _all(r.Task, found)


HIDDEN = ("owner", "task", "root", "replaces", "why", "node", "incarnation", "environment", "detail", "access")


def masked(found: list[Found]) -> list[Found]:
    """Rows of executions, without whose they are and where they ran for who sees only a copy of the output."""
    return [row if row["is_own"] else row | dict.fromkeys(HIDDEN) for row in found]


def _all(kind: type[T], found: list[Found]) -> list[T]:
    return msgspec.convert(found, list[kind])  # type: ignore[valid-type]


def _first(kind: type[T], found: list[Found]) -> T | None:
    return msgspec.convert(found[0], kind) if found else None
