"""Entries after the fact: verified, missing, taken back, judged by an operator; and tasks that withdraw."""

from coordinator.claims_conflict import finished, forget, gone_of, lose, outputs_of
from coordinator.claims_decide import decide
from coordinator.claims_give import Context, Outputs, cancel, changed, reprioritise
from coordinator.claims_life import make_impure
from coordinator.claims_state import (
    Claim,
    Execution,
    Verification,
    execution_of,
    verifications_of,
    waiting_place,
)
from coordinator.claims_waiters import give_or_redecide, promote, redecide
from coordinator.machine import Output, answered, nothing
from schemas.claims import (
    Invalidated,
    OutputMissing,
    PurityDropped,
    Quarantined,
    Released,
    Removed,
    Verified,
    Withdrawn,
)
from schemas.facts import ClaimChanged, ExecutionStatus, Kept
from schemas.reasons import Reason
from schemas.tasks import TaskUnclaimed
from schemas.topics import Topic
from schemas.work import Cancelled


def verified(ctx: Context, claim: Claim, record: Verified) -> Outputs:
    """The output is all there: every waiter who may see the entry now gets the copy, the others are decided anew."""
    verification = claim.verifications.pop(record.token, None)
    if verification is None:
        yield nothing(record.fingerprint, Reason.NOT_CURRENT)
        return
    entry = claim.executions[verification.entry]
    if record.proved or not verification.prove:  # who may not have an output is not kept waiting while it is looked at
        entry.verified_at = ctx.seen.offset
    if not verification.prove:
        for want in verification.waiters.values():
            yield from give_or_redecide(ctx, claim, entry, want)
    else:
        yield from _give_to_prover(ctx, claim, entry, verification, record.proved)
    yield answered(record.fingerprint)


def _give_to_prover(ctx: Context, claim: Claim, entry: Execution, verification: Verification, proved: bool) -> Outputs:
    if not proved:
        yield from redecide(ctx, claim, verification.waiters.values(), entry.token, "unproved")
        return
    for want in verification.waiters.values():  # who was never told to wait is not told that it is over
        yield from decide(ctx, claim, want, proof=entry.token)


def output_missing(ctx: Context, claim: Claim, record: OutputMissing) -> Outputs:
    """A block is authoritatively gone: the entry is none any more. A stale report changes nothing."""
    verification = claim.verifications.get(record.token)
    if verification is None or verification.entry != record.entry:
        yield nothing(record.fingerprint, Reason.NOT_CURRENT)
        return
    entry = claim.executions[verification.entry]
    yield from _lose(ctx, claim, entry, "missing", f"block {record.block} is not in the store")
    yield answered(record.fingerprint)


def removed(ctx: Context, claim: Claim, record: Removed) -> Outputs:
    """An entry is none any more, which says nothing of its output."""
    entry = claim.executions.get(record.token)
    if entry is None or entry.status != "done":
        yield nothing(record.fingerprint, Reason.UNKNOWN)
        return
    yield from _lose(ctx, claim, entry, "removed", record.reason)
    yield answered(record.fingerprint)


def _lose(ctx: Context, claim: Claim, entry: Execution, status: ExecutionStatus, detail: str) -> Outputs:
    """The entry is given to nobody any more; if its output stands against another's, so it does."""
    lose(claim, entry)
    yield changed(entry, status, detail=detail, output=entry.output)
    yield from _nobody_looks(ctx, claim, entry)


def _drop(ctx: Context, claim: Claim, entries: list[Execution], status: ExecutionStatus, detail: str) -> Outputs:
    """The entries are given to nobody any more, and what they say counts no more.

    All of them go before anybody is decided anew: who waits for a look at one is not given the other.
    """
    anew = forget(claim, entries)
    for entry in entries:
        yield changed(entry, status, detail=detail, output=entry.output)
    yield from anew
    for entry in entries:
        yield from _nobody_looks(ctx, claim, entry)


def _nobody_looks(ctx: Context, claim: Claim, entry: Execution) -> Outputs:
    """Who waits for a look at what is no entry any more is decided anew."""
    for verification in verifications_of(claim, entry.token):
        del claim.verifications[verification.token]
        yield _call_off(verification)
        yield from redecide(ctx, claim, verification.waiters.values(), entry.token, _why(verification))


def _why(verification: Verification) -> str:
    """Who only had something to prove must not learn that there was anything."""
    return "unproved" if verification.prove else "redecided"


def _call_off(verification: Verification) -> Output:
    return Output(Topic.WORK, Cancelled(pool=verification.pool, token=verification.token))


def withdrawn(ctx: Context, claim: Claim, record: Withdrawn) -> Outputs:
    """A task wants it no more. What runs for others goes on, untouched."""
    place = waiting_place(claim, record.task)
    execution = execution_of(claim, record.task)
    if place is not None:
        yield from _stop_waiting(claim, place, record.task)
    elif execution is None or execution.status == "done":
        yield nothing(record.fingerprint, Reason.UNKNOWN if execution is None else Reason.FINISHED)
        return
    elif record.unstarted_only and execution.status == "running":
        yield nothing(record.fingerprint, Reason.ALREADY, "it has started and is left to finish")
        return
    elif execution.impure:
        yield from cancel(claim, execution)
    else:
        yield from promote(ctx, claim, execution)
    if record.unstarted_only:
        yield _unclaimed(record)
    yield answered(record.fingerprint)


def _unclaimed(record: Withdrawn | PurityDropped) -> Output:
    return Output(Topic.TASKS, TaskUnclaimed(root=record.root, task=record.task, fingerprint=record.fingerprint))


def _stop_waiting(claim: Claim, place: Execution | Verification, task: str) -> Outputs:
    want = place.waiters.pop(task)
    if isinstance(place, Execution):
        if want.priority == place.priority:
            yield from reprioritise(place)
    elif not place.waiters:
        del claim.verifications[place.token]
        yield Output(Topic.WORK, Cancelled(pool=place.pool, token=place.token))


def purity_dropped(ctx: Context, claim: Claim, record: PurityDropped) -> Outputs:
    """The author takes the promise back: a waiter asks anew, an execution is its own task's, an entry is none."""
    place = waiting_place(claim, record.task)
    execution = execution_of(claim, record.task)
    gone = gone_of(claim, record.task)
    if place is not None:
        yield from _stop_waiting(claim, place, record.task)
        yield _unclaimed(record)
    elif gone is not None:
        yield from forget(claim, [gone])
    elif execution is None or execution.impure:
        yield nothing(record.fingerprint, Reason.UNKNOWN if execution is None else Reason.ALREADY)
        return
    elif execution.status == "done":
        yield from _drop(ctx, claim, [execution], "impure", "its author took the promise of purity back")
    else:
        yield from make_impure(ctx, claim, execution, "")
    yield answered(record.fingerprint)


def quarantined(ctx: Context, claim: Claim, record: Quarantined) -> Outputs:
    """Nothing is given or waited on until it is released; who waits now is decided anew."""
    if claim.quarantined:
        yield nothing(record.fingerprint, Reason.ALREADY)
        return
    claim.quarantined = True
    yield Output(Topic.FACTS, ClaimChanged(fingerprint=record.fingerprint, quarantined=True, reason=record.reason))
    verifications, claim.verifications = claim.verifications, {}
    for verification in verifications.values():
        yield _call_off(verification)
        yield from redecide(ctx, claim, verification.waiters.values(), verification.entry, _why(verification))
    for execution in list(claim.executions.values()):
        waiters, execution.waiters = execution.waiters, {}
        yield from redecide(ctx, claim, waiters.values(), execution.token)
    yield answered(record.fingerprint)


def released(_ctx: Context, claim: Claim, record: Released) -> Outputs:
    """Quarantine, the present disagreement and the count of lost nodes are over."""
    claim.quarantined = False
    claim.losses = ()
    claim.settled, claim.gone = tuple(dict.fromkeys(outputs_of(finished(claim)))), ()
    yield Output(Topic.FACTS, ClaimChanged(fingerprint=record.fingerprint, quarantined=False))
    yield answered(record.fingerprint)


def invalidated(ctx: Context, claim: Claim, record: Invalidated) -> Outputs:
    """An operator calls entries wrong: the one named, or all but the one kept."""
    entries = finished(claim)
    if record.token:
        wrong = [e for e in entries if e.token == record.token]
    elif not record.keep or any(e.token == record.keep for e in entries):
        wrong = [e for e in entries if e.token != record.keep]
    else:
        wrong = []
    kept = None if record.token else claim.executions.get(record.keep)
    if not wrong and not (kept and kept.late):
        yield nothing(record.fingerprint, Reason.UNKNOWN)
        return
    if kept is not None:
        yield from _keep(kept, record.reason)
    yield from _drop(ctx, claim, wrong, "invalidated", record.reason)
    yield answered(record.fingerprint)


def _keep(execution: Execution, reason: str) -> Outputs:
    """What attempts before it said too late counts no more, nor what they may still say."""
    if execution.late:
        kept = Kept(fingerprint=execution.want.fingerprint, token=execution.token, reason=reason)
        yield Output(Topic.FACTS, kept)
    execution.replaced, execution.late = (), {}
