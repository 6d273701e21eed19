"""Why a task ran, waited, or was given an output; and if it ran, why nothing earlier would do.

Everything is said from the viewer's place: "nothing earlier" means nothing that the viewer may see.
"""

from typing import Literal

import msgspec

from coordinator.claims_state import UNSHARED
from readmodel import queries
from readmodel.connection import Connection
from readmodel.differences import Difference, differences
from readmodel.nearest import Nearest, Work, nearest_to
from readmodel.rows import Disagreement, Execution, Named, Row, Task
from readmodel.sight import sight
from readmodel.waiting import Heard, Wait, wait_of, with_life
from schemas.spec import TaskSpec

How = Literal["todo", "requested", "waiting", "running", "executed", "reused", "refused", "failed", "cancelled"]


class Why(Row, frozen=True):
    """One reason why a task was executed although others had run: a word of the list in `reasons`, and a line."""

    code: str
    text: str


class Explanation(Row, frozen=True):
    """What became of a task. `source`: whose output it has, or on whose it waits; null if that may not be seen.

    `since`: ms since 1970. `rules`: the version of the rules that decided. `why_executed`: empty if it was not.
    `earlier`: visible executions of the same fingerprint granted before its own. `nearest`: only where there are none.
    `waiting`: what it waits for, as far as that may be seen.
    `proved`: it was given what is shared by inputs, for the proof that its owner may read them all, made at `since`.
    `sides`: where a disagreement kept it from reuse, the executions that disagree, each with its output.
    """

    task: Task
    how: How
    waited: bool
    source: Named | None
    since: int | None
    rules: int
    proved: bool = False
    why_executed: tuple[Why, ...] = ()
    earlier: tuple[Execution, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    waiting: Wait | None = None
    sides: tuple[Execution, ...] = ()


class Compared(Row, frozen=True):
    """Two tasks, and all in which the work of the one differs from that of the other; empty: it is the same work."""

    mine: Task
    other: Task
    different: tuple[Difference, ...]


def explain(connection: Connection, viewer: str, uuid: str) -> Explanation | None:
    """The explanation, or None for a task that the viewer does not know. Raises ReadModelError."""
    seen = sight(connection, viewer)
    task = queries.task(connection, viewer, uuid, seen)
    if task is None:
        return None
    how, since = outcome_of(task)
    decided = task.decided_at or task.created_at
    told = Explanation(
        task=task,
        how=how,
        waited=task.waited,
        source=task.waiting_on if how == "waiting" else task.reused_from,
        since=since,
        rules=queries.rules_at(connection, decided),
        waiting=wait_of(connection, seen, task) if how == "waiting" else None,
        proved=how == "reused" and queries.is_proved(connection, task),
    )
    if task.state == "copied" or not (task.attempt or task.decision == "promoted"):
        return told
    known = queries.executions_of(connection, viewer, task.fingerprint, seen)
    own = next((rank for rank, e in enumerate(known) if e.task == task.task), len(known))
    earlier = tuple(known[:own])
    why = reasons(task, earlier, own_access(known[own:], task))
    nearest = () if own else nearest_to(connection, seen, work_of(task))
    disagree = any(one.code == "conflict" for one in why)
    sides = sides_of(queries.disagreements(connection, viewer, task.fingerprint), earlier) if disagree else ()
    return msgspec.structs.replace(told, why_executed=why, earlier=earlier, nearest=nearest, sides=sides)


def with_signs_of_life(told: Explanation, heard: Heard) -> Explanation:
    """The same with the last sign of life of the node that the task waits for, if it waits for one."""
    if told.waiting is None:
        return told
    return msgspec.structs.replace(told, waiting=with_life(told.waiting, heard))


def compare(connection: Connection, viewer: str, uuid: str, other: str) -> Compared | None:
    """In what two tasks differ; None where the viewer does not know both. Raises ReadModelError."""
    seen = sight(connection, viewer)
    mine, its = (queries.task(connection, viewer, one, seen) for one in (uuid, other))
    if mine is None or its is None:
        return None
    return Compared(mine=mine, other=its, different=differences(mine.spec, mine.bound, its.spec, its.bound))


def work_of(task: Task) -> Work:
    """What of the task is compared, with what had finished before it was decided."""
    return Work(task.spec, task.bound, task.fingerprint, task.decided_at or task.created_at)


def own_access(executions: list[Execution], task: Task) -> str:
    """What cost the task's own executions their purity; empty: nothing."""
    return next((e.access for e in executions if e.task == task.task and e.access), "")


def sides_of(pairs: list[Disagreement], executions: tuple[Execution, ...]) -> tuple[Execution, ...]:
    """Those that disagree, with what each had as its output, also if it said so too late. Pure."""
    outputs = {pair.earlier: pair.earlier_output for pair in pairs} | {pair.later: pair.later_output for pair in pairs}
    kept = (e for e in executions if e.token in outputs and e.status in (*FINISHED, *GIVEN_UP))
    return tuple(msgspec.structs.replace(e, output=outputs[e.token]) for e in kept)


def outcome_of(task: Task) -> tuple[How, int | None]:
    """How it stands or ended, and since when."""
    match task.state:
        case "complete":
            return "executed", task.finished_at
        case "copied":
            return "reused", task.finished_at
        case "failed":
            was_run = task.attempt or task.decision == "promoted"
            return "failed" if was_run else "refused", task.finished_at
        case "cancelled":
            return "cancelled", task.finished_at
        case "running":
            return "running", task.started_at
    if task.waiting_since is not None:
        return "waiting", task.waiting_since
    return ("todo", task.created_at) if task.state == "todo" else ("requested", task.decided_at)


# --- Why it was executed ----------------------------------------------------------------------------------------------


def reasons(task: Task, earlier: tuple[Execution, ...], access: str = "") -> tuple[Why, ...]:
    """Why the task was executed: all that there is to say, its author's own doing first. Pure.

    `access`: what the task's own execution read that its fingerprint does not cover.
    """
    spec = msgspec.json.decode(task.spec, type=TaskSpec)
    return (*own_reasons(spec, task.is_pure, access), *_reasons_of_the_claim(task, earlier)) or (NONE_EARLIER,)


def own_reasons(spec: TaskSpec, is_pure: bool, access: str = "") -> list[Why]:
    """What keeps a task from reuse by its author's, or its own, doing. `is_pure`: whether it is that still. Pure."""
    found = []
    if not spec.is_pure and not is_pure:
        found.append(Why(code="not_pure", text="the task is not declared pure (is_pure)"))
    elif not is_pure:
        found.append(Why(code="purity_lost", text="the task was declared pure, and is not any more"))
    if access:
        found.append(Why(code="impure_access", text=f"it turned out not to be pure: it read {access}"))
    for line in filter(None, spec.ineligible.split("\n")):
        found.append(Why(code="ineligible", text=f"it can't be reused although it is declared pure: {line}"))
    if spec.no_reuse:
        found.append(Why(code="no_reuse", text="its author asked for no reuse (no_reuse)"))
    if spec.refresh:
        found.append(Why(code="refresh", text="its author asked for a fresh execution (refresh)"))
    return found


FINISHED = ("done", "missing", "removed")  # what is lost or tidied away is not judged by that
GIVEN_UP = ("lost", "failed")  # attempts that may end all the same, with an output that comes too late
NONE_EARLIER = Why(code="none_earlier", text="nothing visible to you has done, or does, the same work")
CLAIMS: dict[str, str] = {
    "conflict": "earlier executions of the same work have different outputs",
    "quarantined": "an operator took the earlier executions out of use",
    "promoted": "it took over an execution whose own task was withdrawn",
    "imported": "it ran in another system, and this is its history",
}


def _reasons_of_the_claim(task: Task, earlier: tuple[Execution, ...]) -> list[Why]:
    said = [code for code in CLAIMS if code in (task.why, task.decision)]
    found = [Why(code=code, text=CLAIMS[code]) for code in said]
    passed_over = bool(said) or task.why == "refresh"  # then a finished one is no riddle
    decided = None if task.waited else task.decided_at or task.created_at
    kept = [e for e in earlier if not (passed_over and e.status == "done")]
    return found + [useless(execution, task.owner, decided) for execution in kept]


USELESS = {
    "granted": "had not started, or is too small for this task",
    "running": "is too small for this task",
    "not_finished": "had not finished when this was decided, and was too small for it",
    "done": "is done, but could not be given when this was decided: you could not see it then",
    "failed": "failed",
    "lost": "was lost with its node",
    "superseded": "was replaced by another attempt",
    "missing": "has lost its output: blocks are gone from the store",
    "removed": "was taken out of the cache",
    "invalidated": "was taken out of use for good",
    "impure": "turned out not to be pure",
    "private": "ran under the {runner} runner, whose outputs are shared with nobody else",
}


def useless(execution: Execution, asker: str, decided: int | None = None) -> Why:
    """Why an execution of the same work could not be given to, or waited on by, who asks. Pure.

    `asker`: the owner of who asks. `decided`: ms since 1970; what ended later was live then. None: it is asked now.
    """
    code = _code(execution, asker, decided)
    more = "; ".join(filter(None, (execution.detail, execution.access and f"it read {execution.access}")))
    text = f"the earlier execution {execution.token} {USELESS[code].format(runner=execution.runner)}"
    return Why(code=code, text=f"{text} ({more})" if more else text)


def _code(execution: Execution, asker: str, decided: int | None) -> str:
    if execution.is_impure:
        return "impure"
    status = execution.status
    if is_private(execution) and execution.owner != asker and status in ("running", "done"):
        return "private"
    ended = decided is not None and execution.ended_at is not None and execution.ended_at > decided
    return "not_finished" if ended else status


def is_private(execution: Execution) -> bool:
    """Whether nothing held it to its inputs, so that it is its owner's alone."""
    return execution.runner in UNSHARED
