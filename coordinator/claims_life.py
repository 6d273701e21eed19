"""An execution while it lives: what its executor, its task and the dispatch machine say, each fenced by its token."""

from itertools import chain

import msgspec

from coordinator.claims_give import FACTS, TASKS, Context, Outputs, Said, changed
from coordinator.claims_state import UNSHARED, Claim, Execution, can_wait, may_see
from coordinator.claims_waiters import redecide
from coordinator.machine import Output, answered, nothing, refused
from schemas.claims import ChildQueued, PurityLost, Reported, Started, Unplaceable
from schemas.facts import ExecutionChanged
from schemas.fields import MAX_SPEC_BYTES
from schemas.reasons import Reason
from schemas.tasks import TaskReported, TaskStarted


def live(claim: Claim, token: str) -> Execution | None:
    """The execution this token fences, if it has not exited."""
    execution = claim.executions.get(token)
    return None if execution is None or execution.status == "done" else execution


def fenced(about: str) -> Output:
    """The refusal of what speaks under a token that is not current."""
    return refused(
        about, Reason.NOT_CURRENT, "this token is not current: the work was given away, has ended, or never was"
    )


def started(ctx: Context, claim: Claim, record: Started) -> Outputs:
    """The container is about to start: from here on it is known what isolates it, so who may be given its output."""
    execution = live(claim, record.token)
    if execution is None:
        return [fenced(record.fingerprint)]
    if execution.status == "running":
        return [nothing(record.fingerprint, Reason.ALREADY)]
    execution.status, execution.node, execution.unable = "running", record.node, False
    fact = ExecutionChanged(
        fingerprint=record.fingerprint,
        token=record.token,
        status="running",
        node=record.node,
        incarnation=record.incarnation,
        runner=record.runner,
        environment=record.environment,
    )
    said = [Output(FACTS, fact)]
    if execution.task:
        begun = TaskStarted(root=execution.root, task=execution.task, token=record.token, node=record.node)
        said.append(Output(TASKS, begun))
    answer = answered(record.fingerprint)
    if record.runner in UNSHARED:
        return chain(said, _keep_to_owner(ctx, claim, execution), (answer,))
    said.append(answer)
    return said


def _keep_to_owner(ctx: Context, claim: Claim, execution: Execution) -> Outputs:
    execution.private = True
    others = [want for want in execution.waiters.values() if not may_see(ctx.view, want.owner, execution)]
    for want in others:
        del execution.waiters[want.task]
    yield from redecide(ctx, claim, others, execution.token)


def reported(_ctx: Context, claim: Claim, record: Reported) -> Said:
    """The task's own words are kept with its execution; only progress is passed on at once."""
    execution = live(claim, record.token)
    if execution is None:
        return [fenced(record.fingerprint)]
    if record.success is not msgspec.UNSET:
        execution.success = record.success
    if record.output is not msgspec.UNSET:
        execution.named_output = record.output
    if record.progress is not msgspec.UNSET and execution.task:
        told = TaskReported(
            root=execution.root, task=execution.task, token=record.token, progress=min(record.progress, 1000)
        )
        return [Output(TASKS, told), answered(record.fingerprint)]
    return [answered(record.fingerprint)]


def child_queued(ctx: Context, claim: Claim, record: ChildQueued) -> Said:
    """A child is kept under the claim until the execution completes; a repeat of its key is the same child."""
    execution = live(claim, record.token)
    if execution is None:
        return [fenced(record.fingerprint)]
    reason = _child_refusal(ctx, execution, record)
    if reason is Reason.ALREADY:
        return [nothing(record.fingerprint, reason)]
    if reason is not None:
        return [refused(record.fingerprint, reason)]
    execution.children[record.child] = record.spec
    return [answered(record.fingerprint, detail=record.child)]


def _child_refusal(ctx: Context, execution: Execution, record: ChildQueued) -> Reason | None:
    if record.child in execution.children:
        return Reason.ALREADY
    if execution.want.forbid_children:
        return Reason.CHILDREN_FORBIDDEN
    if len(execution.children) >= ctx.config.max_children:
        return Reason.TOO_MANY_CHILDREN
    if len(msgspec.json.encode(record.spec)) > MAX_SPEC_BYTES:
        return Reason.TOO_LARGE
    return None


def unplaceable(ctx: Context, claim: Claim, record: Unplaceable) -> Outputs:
    """Nobody fits it now: waiters that need less are decided anew, those that need the same go on waiting."""
    execution = live(claim, record.token)
    if execution is None or execution.status == "running":
        yield nothing(record.fingerprint, Reason.NOT_CURRENT)
        return
    execution.unable = True
    smaller = [want for want in execution.waiters.values() if not can_wait(execution, want)]
    for want in smaller:
        del execution.waiters[want.task]
    yield from redecide(ctx, claim, smaller, execution.token)
    yield answered(record.fingerprint)


def purity_lost(ctx: Context, claim: Claim, record: PurityLost) -> Outputs:
    """From here on the execution is its own task's alone: waiters are decided anew, and it never becomes an entry."""
    execution = live(claim, record.token)
    if execution is None:
        yield fenced(record.fingerprint)
    elif execution.impure:
        yield nothing(record.fingerprint, Reason.ALREADY)
    else:
        yield from make_impure(ctx, claim, execution, record.access)
        yield answered(record.fingerprint)


def make_impure(ctx: Context, claim: Claim, execution: Execution, access: str) -> Outputs:
    """Take a live execution out of everybody's sight but its own task's."""
    execution.impure = True
    yield changed(execution, "impure", access=access)
    waiters, execution.waiters = execution.waiters, {}
    yield from redecide(ctx, claim, waiters.values(), execution.token)
