"""Why a task ran, waited, or was given an output; and if it ran, why nothing earlier would do.

Everything is said from the viewer's place: "nothing earlier" means nothing that the viewer may see.
"""

from typing import Literal

import msgspec

from coordinator.claims_state import UNSHARED
from coordinator.fingerprint import COMPONENT_ORDER
from readmodel import queries
from readmodel.connection import Connection
from readmodel.rows import Execution, Named, Row, Task
from readmodel.sight import Sight, sight
from readmodel.story import label
from schemas.spec import TaskSpec

How = Literal["todo", "requested", "waiting", "running", "executed", "reused", "failed", "cancelled"]
CANDIDATES = 100  # newest tasks looked at for each of the telling components


class Nearest(Row, frozen=True):
    """The most similar earlier task with an output, and the components that are not the same."""

    task: Named
    finished_at: int | None
    same: tuple[str, ...]
    different: tuple[str, ...]


class Why(Row, frozen=True):
    """One reason why a task was executed although others had run: a word of the list in `reasons`, and a line."""

    code: str
    text: str


class Explanation(Row, frozen=True):
    """What became of a task. `source`: whose output it has, or on whose it waits; null if that may not be seen.

    `since`: ms since 1970. `why_executed`: empty if it was not. `earlier`: visible executions of the same fingerprint
    granted before its own. `nearest`: only where there are none.
    """

    task: Task
    how: How
    waited: bool
    source: Named | None
    since: int | None
    why_executed: tuple[Why, ...] = ()
    earlier: tuple[Execution, ...] = ()
    nearest: Nearest | None = None


def explain(connection: Connection, viewer: str, uuid: str) -> Explanation | None:
    """The explanation, or None for a task that the viewer does not know. Raises ReadModelError."""
    task = queries.task(connection, viewer, uuid)
    if task is None:
        return None
    how, since = outcome_of(task)
    source = task.waiting_on if how == "waiting" else task.reused_from
    was_executed = task.attempt > 0 and task.state != "copied"
    earlier = _earlier(queries.executions_of(connection, viewer, task.fingerprint), task) if was_executed else ()
    return Explanation(
        task=task,
        how=how,
        waited=task.waited,
        source=source,
        since=since,
        why_executed=reasons(task, earlier) if was_executed else (),
        earlier=earlier,
        nearest=nearest_to(connection, sight(connection, viewer), task) if was_executed and not earlier else None,
    )


def outcome_of(task: Task) -> tuple[How, int | None]:
    """How it stands or ended, and since when."""
    match task.state:
        case "complete":
            return "executed", task.finished_at
        case "copied":
            return "reused", task.finished_at
        case "failed":
            return "failed", task.finished_at
        case "cancelled":
            return "cancelled", task.finished_at
        case "running":
            return "running", task.started_at
    if task.waiting_since is not None:
        return "waiting", task.waiting_since
    return ("todo", task.created_at) if task.state == "todo" else ("requested", task.decided_at)


def _earlier(executions: list[Execution], task: Task) -> tuple[Execution, ...]:
    """Those granted before the task's own first attempt."""
    own = next((rank for rank, e in enumerate(executions) if e.task == task.task), len(executions))
    return tuple(executions[:own])


def reasons(task: Task, earlier: tuple[Execution, ...]) -> tuple[Why, ...]:
    """Why the task was executed, the telling ones first. Pure."""
    spec = msgspec.json.decode(task.spec, type=TaskSpec)
    found = _own_reasons(task, spec) or _reasons_of_the_claim(task, earlier)
    return tuple(found) or (
        Why(code="none_earlier", text="no earlier execution that you can see has this fingerprint"),
    )


def _own_reasons(task: Task, spec: TaskSpec) -> list[Why]:
    if not spec.is_pure and not task.is_pure:
        return [Why(code="not_pure", text="the task is not declared pure (is_pure)")]
    if not task.is_pure:
        return [Why(code="purity_lost", text="the task was declared pure, and is not any more")]
    if task.ineligible:
        return [Why(code="ineligible", text=f"it can't be reused although it is declared pure: {task.ineligible}")]
    if spec.no_reuse:
        return [Why(code="no_reuse", text="its author asked for no reuse (no_reuse)")]
    if spec.refresh:
        return [Why(code="refresh", text="its author asked for a fresh execution (refresh)")]
    return []


def _reasons_of_the_claim(task: Task, earlier: tuple[Execution, ...]) -> list[Why]:
    found = []
    if task.why == "conflict":
        found.append(Why(code="conflict", text="earlier executions of the same work have different outputs"))
    if task.why == "quarantined":
        found.append(Why(code="quarantined", text="an operator took the earlier executions out of use"))
    if task.decision == "promoted":
        found.append(Why(code="promoted", text="it took over an execution whose own task was withdrawn"))
    return found + [_useless(execution, task.owner) for execution in earlier]


USELESS = {
    "granted": "had not started, or is too small for this task",
    "running": "is too small for this task",
    "done": "is done, but its output could not be given at that moment",
    "failed": "failed",
    "lost": "was lost with its node",
    "superseded": "was replaced by another attempt",
    "cancelled": "was cancelled",
    "missing": "has lost its output: blocks are gone from the store",
    "invalidated": "was declared wrong by an operator",
    "impure": "turned out not to be pure",
    "private": "ran under the {runner} runner, whose outputs are shared with nobody else",
}


def _useless(execution: Execution, asker: str) -> Why:
    status = "impure" if execution.is_impure else execution.status
    if execution.runner in UNSHARED and execution.owner != asker and status in ("running", "done"):
        status = "private"
    detail = f" ({execution.detail})" if execution.detail else ""
    useless = USELESS[status].format(runner=execution.runner)
    return Why(code=status, text=f"the earlier execution {execution.token} {useless}{detail}")


# --- The nearest ------------------------------------------------------------------------------------------------------


def nearest_to(connection: Connection, seen: Sight, task: Task) -> Nearest | None:
    """The earlier visible task with an output that shares most components, the newest among equals."""
    spec = msgspec.json.decode(task.spec, type=TaskSpec)
    components = spec.components
    asked = {"script": components.script, "inputs": components.inputs, "parameters": components.parameters}
    asked |= {"task": task.task, "fingerprint": task.fingerprint}
    limits = {"before": task.decided_at or task.created_at, "limit": CANDIDATES}
    best: Nearest | None = None
    for row in queries.fetch(connection, "similar", seen, asked | limits):
        same, different = compare(task.spec, task.bound, row["spec"], row["bound"])
        if different and (best is None or len(different) < len(best.different)):
            named = Named(task=row["task"], root=row["root"], name=row["name"])
            best = Nearest(task=named, finished_at=row["finished_at"], same=same, different=different)
    return best


def compare(spec: str, bound: str, other_spec: str, other_bound: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the fingerprint's components that are the same, and of those that differ. Pure."""
    mine, others = _components(spec, bound), _components(other_spec, other_bound)
    names = list(dict.fromkeys([*mine, *others]))
    same = tuple(name for name in names if mine.get(name) == others.get(name))
    return same, tuple(name for name in names if name not in same)


def _components(spec: str, bound: str) -> dict[str, str | bytes]:
    components = msgspec.json.decode(spec, type=TaskSpec).components
    found: dict[str, str | bytes] = {name: getattr(components, name) for name in COMPONENT_ORDER}
    for name, value in msgspec.json.decode(bound, type=dict[str, msgspec.Raw]).items():
        found[f"job parameter {name}"] = bytes(value)
    return found


# --- In words -------------------------------------------------------------------------------------------------------


def sentences(explanation: Explanation) -> list[str]:
    """The explanation as lines for people."""
    lines = [_first_line(explanation)]
    lines += [f"because {why.text}" for why in explanation.why_executed]
    nearest = explanation.nearest
    if nearest is not None:
        lines.append(f"nearest is {label(nearest.task, '')}: it differs in {', '.join(nearest.different)}")
    return lines


def _first_line(explanation: Explanation) -> str:
    task, source = explanation.task, label(explanation.source, "another execution")
    subject = task.name or task.task
    match explanation.how:
        case "reused":
            waited = "waited on it and was then given" if explanation.waited else "was given"
            return f"{subject} {waited} the output of {source}"
        case "waiting":
            return f"{subject} waits on {source}"
        case "failed" | "cancelled":
            told = task.detail or task.reason.replace("_", " ")
            return f"{subject} {explanation.how}{': ' + told if told else ''}"
        case "todo":
            return f"{subject} is queued: its level {task.sequence} is not reached yet"
        case "requested":
            return (
                f"{subject} is granted an execution, which has not started"
                if task.attempt
                else f"{subject} is asked for"
            )
        case "running":
            return f"{subject} is running under {task.token}"
        case "executed":
            return f"{subject} was executed under {task.token}"
