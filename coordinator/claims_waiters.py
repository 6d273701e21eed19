"""What becomes of waiters when that on which they waited succeeds, fails, changes hands or is judged."""

from collections.abc import Iterable

import msgspec

from coordinator.claims_conflict import disagree
from coordinator.claims_decide import decide
from coordinator.claims_give import (
    FACTS,
    TASKS,
    Context,
    Outputs,
    best_priority,
    cancel,
    copy,
    failed_request,
    reprioritise,
)
from coordinator.claims_state import Claim, Execution, execution_of, may_see, quorum_of, visible, waiting_place
from coordinator.machine import Output, answered, nothing
from schemas.claims import Requested, TaskPrioritised
from schemas.facts import Promoted, Redecided
from schemas.reasons import Reason
from schemas.tasks import TaskStarted


def redecide(ctx: Context, claim: Claim, waiters: Iterable[Requested], token: str, why: str = "redecided") -> Outputs:
    """Decide each waiter as a new request, in waiting order, under its own visibility."""
    for want in waiters:
        fact = Redecided(fingerprint=want.fingerprint, token=token, task=want.task, root=want.root)
        yield Output(FACTS, fact)
        yield from decide(ctx, claim, want, why)


def give_or_redecide(ctx: Context, claim: Claim, entry: Execution, want: Requested) -> Outputs:
    """A copy for a waiter who may see the entry now and for whom nothing disagrees; else it is decided anew."""
    seen = visible(ctx.view, want.owner, claim)
    if entry in seen and not disagree(ctx.view, want.owner, claim, seen) and not claim.quarantined:
        return copy(ctx, entry, want, waited=True)
    return redecide(ctx, claim, [want], entry.token)


def settle_waiters(ctx: Context, claim: Claim, execution: Execution) -> Outputs:
    """A failed execution's waiters: fail those who have seen enough failures, decide the others anew, in order."""
    waiters, execution.waiters = execution.waiters, {}
    for want in waiters.values():
        code = quorum_of(ctx.view, want.owner, claim, ctx.config.failure_quorum)
        if code is None:
            yield from redecide(ctx, claim, [want], execution.token)
        else:
            told = f"at least {ctx.config.failure_quorum} executions of the same work failed with exit code {code}"
            yield failed_request(want, Reason.FAILURE_QUORUM, told, exit_code=code)


def promote(ctx: Context, claim: Claim, execution: Execution) -> Outputs:
    """The owner's task is gone: the first waiter who may see the execution takes it over; with none it is cancelled.

    Who waited by seeing the old owner alone is decided anew: an owner's change must never hand them what only the new
    owner may see.
    """
    waiters, execution.waiters = execution.waiters, {}
    heir = next((w for w in waiters.values() if may_see(ctx.view, w.owner, execution)), None)
    if heir is None:
        yield from cancel(claim, execution)
        yield from redecide(ctx, claim, waiters.values(), execution.token)
        return
    del waiters[heir.task]
    _inherit(execution, heir)
    fact = Promoted(
        fingerprint=heir.fingerprint, token=execution.token, task=heir.task, root=heir.root, owner=heir.owner
    )
    yield Output(FACTS, fact)
    if execution.status == "running":
        yield Output(TASKS, TaskStarted(root=heir.root, task=heir.task, token=execution.token, node=execution.node))
    others = []
    for want in waiters.values():
        if may_see(ctx.view, want.owner, execution):
            execution.waiters[want.task] = want
        else:
            others.append(want)
    yield from reprioritise(execution)
    yield from redecide(ctx, claim, others, execution.token)


def _inherit(execution: Execution, heir: Requested) -> None:
    held = execution.want
    execution.want = msgspec.structs.replace(heir, cores=held.cores, memory=held.memory, scratch=held.scratch)
    execution.task, execution.root = heir.task, heir.root
    execution.holders = {heir.owner: heir.task}
    execution.replaced, execution.late = (), {}  # what the old owner's attempts say is not the new one's to hear


def task_prioritised(_ctx: Context, claim: Claim, record: TaskPrioritised) -> Outputs:
    """Its job has another priority: for the work it waits on or that is its own, and for what is decided later."""
    place = waiting_place(claim, record.task)
    execution = execution_of(claim, record.task) if place is None else place
    if place is not None:
        place.waiters[record.task] = _with_priority(place.waiters[record.task], record.priority)
    elif isinstance(execution, Execution) and execution.status != "done":
        execution.want = _with_priority(execution.want, record.priority)
    else:
        yield nothing(record.fingerprint, Reason.UNKNOWN if execution is None else Reason.FINISHED)
        return
    if isinstance(execution, Execution):
        yield from _weigh(execution)
    yield answered(record.fingerprint)


def _with_priority(want: Requested, priority: int) -> Requested:
    return msgspec.structs.replace(want, priority=priority)


def _weigh(execution: Execution) -> Outputs:
    """One that runs has its place; should it have to run again, it is as urgent as it is now."""
    if execution.status == "granted":
        return reprioritise(execution)
    execution.priority = best_priority(execution)
    return ()
