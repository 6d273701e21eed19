"""Saying it: the records by which an output is given, a child made, an execution's change told."""

from collections.abc import Iterable
from typing import Any

from coordinator.claims_state import Claim, Execution, source_for
from coordinator.config import Config
from coordinator.ids import child_uuid
from coordinator.machine import Output, Seen, token_of
from coordinator.visibility import View
from schemas.claims import Requested
from schemas.facts import Disagreed, ExecutionChanged, ExecutionStatus, Reused
from schemas.reasons import Reason
from schemas.tasks import TaskCopied, TaskCreated, TaskFailed
from schemas.topics import Topic
from schemas.work import Cancelled, Reprioritised

Outputs = Iterable[Output]
"""What follows: a list, or for many made while it is taken."""

Said = list[Output]
"""What follows for one: bounded, so it is simply made."""

FACTS, TASKS, WORK = Topic.FACTS, Topic.TASKS, Topic.WORK


class Context:
    """What every decision may look at besides the claim: the settings so far and the record being decided."""

    __slots__ = ("config", "grants", "seen", "stale_before", "view")

    def __init__(self, config: Config, view: View, stale_before: int) -> None:
        self.config = config
        self.view = view
        self.stale_before = stale_before
        self.seen: Seen
        self.grants = 0

    def new_token(self) -> str:
        """A token that no other grant or verification ever had or will have."""
        grant = self.grants
        self.grants = grant + 1
        return token_of(self.seen, grant)


def copy(ctx: Context, entry: Execution, want: Requested, *, waited: bool) -> Said:
    """Give the entry's output: its children anew, in state todo, then the copy. The receiver becomes a holder."""
    source = source_for(ctx.view, want.owner, entry)
    copied = TaskCopied(
        root=want.root,
        task=want.task,
        token=entry.token,
        source=source,
        output=entry.output,
        log=entry.log,
        children=len(entry.children),
        started_at=entry.started_at,
        finished_at=entry.finished_at,
    )
    fact = Reused(
        fingerprint=want.fingerprint,
        token=entry.token,
        task=want.task,
        root=want.root,
        source=source,
        waited=waited,
    )
    entry.holders.setdefault(want.owner, want.task)
    said = [Output(TASKS, copied), Output(FACTS, fact)]
    return [*children_of(entry, want.root, want.task), *said] if entry.children else said


def children_of(execution: Execution, root: str, creator: str) -> Said:
    """The execution's children under this creator; their uuids follow from the creator and their rank alone."""
    return [
        Output(TASKS, TaskCreated(root=root, task=child_uuid(creator, rank), created_by=creator, spec=spec))
        for rank, spec in enumerate(execution.children.values())
    ]


def changed(execution: Execution, status: ExecutionStatus, **details: Any) -> Output:
    """The fact that an execution's status is another; `details` are further fields of ExecutionChanged."""
    fact = ExecutionChanged(
        fingerprint=execution.want.fingerprint, token=execution.token, status=status, node=execution.node, **details
    )
    return Output(FACTS, fact)


def disagreements(claim: Claim, later: Execution) -> Outputs:
    """One fact for each other output that stands against a finished execution's, the earliest execution of each."""
    told = {later.output}
    for earlier in claim.executions.values():
        if earlier.status == "done" and not earlier.impure and earlier.output not in told:
            told.add(earlier.output)
            yield disagreed(earlier, later)


def disagreed(earlier: Execution, later: Execution) -> Output:
    """The fact that two finished executions have different outputs."""
    fact = Disagreed(
        fingerprint=later.want.fingerprint,
        tokens=(earlier.token, later.token),
        outputs=(earlier.output, later.output),
    )
    return Output(FACTS, fact)


def late_disagreements(execution: Execution, *tokens: str) -> Outputs:
    """One fact for each of these earlier attempts whose output came too late and is not the one that counts."""
    for token in tokens:
        output = execution.late[token]
        if output != execution.output:
            fact = Disagreed(
                fingerprint=execution.want.fingerprint,
                tokens=(token, execution.token),
                outputs=(output, execution.output),
            )
            yield Output(FACTS, fact)


def cancel(claim: Claim, execution: Execution) -> Outputs:
    """Nobody wants the execution any more."""
    del claim.executions[execution.token]
    yield changed(execution, "cancelled")
    yield Output(WORK, Cancelled(pool=execution.want.pool, token=execution.token))


def best_priority(execution: Execution) -> int:
    """Of all who want it."""
    return max([execution.want.priority, *(w.priority for w in execution.waiters.values())])


def reprioritise(execution: Execution) -> Outputs:
    """Work not yet started runs at the best priority of all who want it."""
    if execution.status != "granted":
        return
    best = best_priority(execution)
    if best != execution.priority:
        execution.priority = best
        yield Output(WORK, Reprioritised(pool=execution.want.pool, token=execution.token, priority=best))


def failed_request(want: Requested, reason: Reason, detail: str, exit_code: int = -1) -> Output:
    """The request ends without an output; `detail` says why in one line."""
    return Output(TASKS, TaskFailed(root=want.root, task=want.task, reason=reason, detail=detail, exit_code=exit_code))
