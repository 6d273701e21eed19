"""How an execution ends: the verdict, the entry it becomes, the next attempt, the failure."""

from itertools import chain
from typing import Any

from coordinator.claims_decide import announce, verification_ready
from coordinator.claims_give import (
    FACTS,
    TASKS,
    Context,
    Outputs,
    Said,
    changed,
    children_of,
    disagreements,
    late_disagreements,
)
from coordinator.claims_life import fenced, live
from coordinator.claims_state import (
    COUNTED,
    LOSSES_TOLD,
    Claim,
    Execution,
    Verification,
    losses_seen,
    note_failure,
    replace_in_place,
    verdict,
)
from coordinator.claims_waiters import give_or_redecide, settle_waiters
from coordinator.fingerprint import is_impure
from coordinator.machine import Output, answered, nothing, refused
from schemas.claims import Exited, Lost, Requested
from schemas.facts import ClaimChanged, ExecutionChanged, ExecutionStatus
from schemas.reasons import Failure, Reason
from schemas.tasks import TaskCompleted, TaskFailed

REMEMBERED = 8  # attempts of which a late word is still heard
FEW = 16  # waiters that are served in one list: taking outputs through nested iterators costs more than a list of them


def exited(ctx: Context, claim: Claim, record: Exited) -> Outputs:
    """The verdict is the machine's. Only a current token's exit counts, and once."""
    execution = live(claim, record.token)
    if execution is None:
        return _late(claim, record)
    execution.node = record.node
    said = verdict(execution.want.by_record, execution.success, record.exit_code, record.failure)
    if said == "success":
        outputs = _succeed(ctx, claim, execution, record)
    elif said == "temporary":
        outputs = _try_again(ctx, claim, execution, record)
    else:
        outputs = _fail(ctx, claim, execution, record, Reason.PERMANENT_FAILURE)
    answer = answered(record.fingerprint)
    return [*outputs, answer] if type(outputs) is list else chain(outputs, (answer,))


def _late(claim: Claim, record: Exited) -> Said:
    entry = claim.executions.get(record.token)
    if entry is None:
        return [*_noted(claim, record), fenced(record.fingerprint)]
    if entry.output in (record.output, entry.named_output):
        return [nothing(record.fingerprint, Reason.ALREADY)]
    return [refused(record.fingerprint, Reason.OTHER_OUTPUT, f"it completed with {entry.output}, not {record.output}")]


def _noted(claim: Claim, record: Exited) -> Outputs:
    """An attempt that was given up has an output after all. It is never given, but tells whether the next one's is."""
    later = next((e for e in claim.executions.values() if record.token in e.replaced), None)
    if later is None or record.token in later.late or not _tells(later, record):
        return
    later.late = {**later.late, record.token: record.output}
    if later.status == "done":
        yield from late_disagreements(later, record.token)


def _tells(later: Execution, record: Exited) -> bool:
    """Whether the two outputs can be compared: neither was named by a task that judges itself."""
    alike = not (later.impure or later.named_output or later.want.by_record or is_impure(record.fingerprint))
    return alike and record.exit_code == 0 and record.failure in COUNTED and bool(record.output)


def _succeed(ctx: Context, claim: Claim, execution: Execution, record: Exited) -> Outputs:
    execution.status = "done"
    execution.output = execution.named_output or record.output
    execution.log, execution.verified_at = record.log, ctx.seen.offset
    execution.started_at, execution.finished_at = record.started_at, record.finished_at
    said = [_done(execution, record)]
    if not execution.impure and len(claim.executions) > 1:
        said += disagreements(claim, execution)
    if execution.named_output or execution.impure:
        execution.late = {}  # what was captured of an earlier attempt is no other word on what this one named
    if execution.late:
        said += late_disagreements(execution, *execution.late)
    if execution.task:
        said += _completed(execution)
    waiters, execution.waiters = execution.waiters, {}
    _keep_as_entry(claim, execution)
    if len(waiters) > FEW:
        return chain(said, chain.from_iterable(give_or_redecide(ctx, claim, execution, w) for w in waiters.values()))
    for want in waiters.values():
        said += give_or_redecide(ctx, claim, execution, want)
    return said


def _done(execution: Execution, record: Exited) -> Output:
    fact = ExecutionChanged(
        fingerprint=record.fingerprint,
        token=record.token,
        status="done",
        node=record.node,
        exit_code=record.exit_code,
        output=execution.output,
        log=record.log,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )
    return Output(FACTS, fact)


def _completed(execution: Execution) -> Said:
    completed = TaskCompleted(
        root=execution.root,
        task=execution.task,
        token=execution.token,
        output=execution.output,
        log=execution.log,
        children=len(execution.children),
    )
    said = [Output(TASKS, completed)]
    return [*children_of(execution, execution.root, execution.task), *said] if execution.children else said


def _keep_as_entry(claim: Claim, execution: Execution) -> None:
    """Of an entry's request only this is asked any more; what nobody may be given is no entry."""
    want = execution.want
    if execution.impure or is_impure(want.fingerprint):
        del claim.executions[execution.token]
    else:
        execution.want = Requested(
            fingerprint=want.fingerprint,
            task=want.task,
            root=want.root,
            owner=want.owner,
            by_inputs=want.by_inputs,
            by_record=want.by_record,
        )


def _try_again(ctx: Context, claim: Claim, execution: Execution, record: Exited) -> Outputs:
    counted = record.failure is not Failure.HANDED_OVER  # an orderly stop says nothing of the work
    if counted and execution.attempt >= ctx.config.max_attempts:
        yield from _fail(ctx, claim, execution, record, Reason.ATTEMPTS_EXHAUSTED)
        return
    again = Execution(
        token=ctx.new_token(),
        want=execution.want,
        task=execution.task,
        root=execution.root,
        attempt=execution.attempt + counted,
        priority=execution.priority,
        impure=execution.impure,
        holders={execution.owner: execution.holders[execution.owner]},
        waiters=execution.waiters,
        replaced=_heard_late(execution),
        late=execution.late,
    )
    replace_in_place(claim, execution.token, again)
    status: ExecutionStatus = "lost" if record.failure is Failure.NODE and record.exit_code < 0 else "failed"
    yield changed(execution, status, **_how(record))
    yield from announce(again, "retry", execution.token)


def _heard_late(execution: Execution) -> tuple[str, ...]:
    """The attempts whose late word tells something: not of one that named its output, or called itself a failure."""
    tells = not execution.named_output and execution.success is not False
    return (*execution.replaced[1 - REMEMBERED :], execution.token) if tells else execution.replaced


def _how(record: Exited) -> dict[str, Any]:
    return {
        "exit_code": record.exit_code,
        "failure": record.failure,
        "detail": record.reason,
        "log": record.log,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _fail(ctx: Context, claim: Claim, execution: Execution, record: Exited, reason: Reason) -> Outputs:
    del claim.executions[execution.token]
    if reason is Reason.PERMANENT_FAILURE and record.failure in COUNTED and not execution.impure:
        note_failure(claim, execution, record.exit_code)
    yield changed(execution, "failed", **_how(record))
    if execution.task:
        failed = TaskFailed(
            root=execution.root,
            task=execution.task,
            reason=reason,
            failure=record.failure,
            exit_code=record.exit_code,
            detail=record.reason,
            log=record.log,
            output=execution.named_output,
        )
        yield Output(TASKS, failed)
    yield from settle_waiters(ctx, claim, execution)


def lost(ctx: Context, claim: Claim, record: Lost) -> Outputs:
    """The node is gone, or no node fits. A verification is asked for again; an execution counts an attempt."""
    verification = claim.verifications.get(record.token)
    execution = live(claim, record.token)
    if verification is not None:
        yield from _verify_again(ctx, claim, verification)
        yield answered(record.fingerprint)
    elif execution is None:
        yield nothing(record.fingerprint, Reason.NOT_CURRENT)
    else:
        yield from _lose(ctx, claim, execution, record)
        yield answered(record.fingerprint)


def _lose(ctx: Context, claim: Claim, execution: Execution, record: Lost) -> Outputs:
    told = Exited(
        fingerprint=record.fingerprint,
        token=record.token,
        node=record.node,
        exit_code=-1,
        failure=record.failure,
        reason="no node of the pool is large enough" if record.failure is Failure.FITS_NO_NODE else "the node was lost",
    )
    if record.failure is Failure.FITS_NO_NODE:
        yield from _fail(ctx, claim, execution, told, Reason.FITS_NO_NODE)
        return
    claim.losses += (execution.owner,)
    if losses_seen(ctx.view, execution.owner, claim) == ctx.config.quarantine_losses:
        why = f"{ctx.config.quarantine_losses} {LOSSES_TOLD}"
        yield Output(FACTS, ClaimChanged(fingerprint=record.fingerprint, quarantined=True, reason=why))
    yield from _try_again(ctx, claim, execution, told)


def _verify_again(ctx: Context, claim: Claim, verification: Verification) -> Outputs:
    del claim.verifications[verification.token]
    verification.token = ctx.new_token()
    verification.attempt += 1
    claim.verifications[verification.token] = verification
    yield verification_ready(claim.executions[verification.entry], verification)
