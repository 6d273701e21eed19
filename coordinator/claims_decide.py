"""What becomes of one request, new or decided anew: a grant, a wait, a copy, or a failure that says why."""

from hashlib import sha256
from typing import Literal

from coordinator.claims_conflict import disagree
from coordinator.claims_give import FACTS, WORK, Context, Said, copy, failed_request, reprioritise
from coordinator.claims_state import (
    Claim,
    Execution,
    Verification,
    can_wait,
    is_open,
    losses_seen,
    may_see,
    verifications_of,
    visible,
)
from coordinator.machine import Output
from schemas.claims import Requested
from schemas.facts import Granted, Waiting
from schemas.fields import EMPTY_OBJECT
from schemas.reasons import Reason
from schemas.work import Ready


def decide(ctx: Context, claim: Claim, want: Requested, why: str = "first", proof: str = "") -> Said:
    """Decide a request under its own owner's view of the claim as it is now.

    `why` goes into the grant, if it comes to one. "unproved": a proof by inputs has just failed; that is said to
    nobody, since it would tell that there is something to be proved.
    `proof`: token of the entry whose inputs the owner was just proved to read; it counts as visible, this once. Its
    inputs are those of all that is done under this fingerprint, so every opened entry may stand against it.
    """
    if not claim.executions and not claim.losses and not claim.gone:
        return grant(ctx, claim, want, _plain(why))
    if want.refresh or claim.quarantined:
        passed_over = "refresh" if want.refresh else "quarantined"
        return grant(ctx, claim, want, passed_over if visible(ctx.view, want.owner, claim) else _plain(why))
    if claim.losses and losses_seen(ctx.view, want.owner, claim) >= ctx.config.quarantine_losses:
        told = "this work has lost too many nodes; ask an operator to release it"
        return [failed_request(want, Reason.LOSES_NODES, told)]
    return _decide_among(ctx, claim, want, why, proof)


def _decide_among(ctx: Context, claim: Claim, want: Requested, why: str, proof: str) -> Said:
    seen = visible(ctx.view, want.owner, claim, proof)
    if disagree(ctx.view, want.owner, claim, seen, proved=bool(proof)):
        return grant(ctx, claim, want, "conflict")
    running = None
    for execution in seen:
        if execution.status == "done":
            return _reuse(ctx, claim, execution, want)
        if running is None and can_wait(execution, want):
            running = execution
    if running is not None:
        return _wait(ctx, running, want)
    provable = None if why == "unproved" else _provable(ctx, claim, want)
    if provable is not None and not _is_crowded(ctx, _open_look(claim, provable, want.owner)):
        return _look(ctx, claim, provable, want, want.owner)  # where it is crowded nobody is told by what
    return grant(ctx, claim, want, _plain(why))


def _plain(why: str) -> str:
    """What may be said to who is not to know that there was anything to be proved."""
    return "first" if why == "unproved" else why


def _provable(ctx: Context, claim: Claim, want: Requested) -> Execution | None:
    """The first entry that its owner opened to whoever can read all its inputs, and that is not visible anyway."""
    for execution in claim.executions.values():
        if is_open(execution) and not may_see(ctx.view, want.owner, execution):
            return execution
    return None


def grant(ctx: Context, claim: Claim, want: Requested, why: str, *, nobody: bool = False) -> Said:
    """Start an execution of its own for the request; with `nobody`, one that only looks for disagreement."""
    execution = Execution(
        token=ctx.new_token(),
        want=want,
        task="" if nobody else want.task,
        root="" if nobody else want.root,
        priority=want.priority,
        holders={want.owner: want.task},
    )
    claim.executions[execution.token] = execution
    return announce(execution, why)


def announce(execution: Execution, why: str, replaces: str = "") -> Said:
    """The fact and the work of a fresh execution."""
    want, token = execution.want, execution.token
    fact = Granted(
        fingerprint=want.fingerprint,
        token=token,
        task=execution.task,
        root=execution.root,
        owner=want.owner,
        attempt=execution.attempt,
        replaces=replaces,
        why=why,
    )
    ready = Ready(
        pool=want.pool,
        token=token,
        fingerprint=want.fingerprint,
        task=execution.task,
        root=execution.root,
        owner=want.owner,
        priority=execution.priority,
        cores=want.cores,
        memory=want.memory,
        scratch=want.scratch,
        attempt=execution.attempt,
        spec=want.spec,
        bound=want.bound,
        qsequence=want.qsequence,
    )
    return [Output(FACTS, fact), Output(WORK, ready)]


def _wait(ctx: Context, execution: Execution, want: Requested) -> Said:
    if len(execution.waiters) >= ctx.config.max_waiters:
        told = f"{ctx.config.max_waiters} tasks wait on this execution already"
        return [failed_request(want, Reason.TOO_MANY_WAITERS, told)]
    execution.waiters[want.task] = want
    waiting = _waiting(want, execution.token, "execution")
    if want.priority <= execution.priority:
        return [waiting]
    return [waiting, *reprioritise(execution)]


def _waiting(want: Requested, token: str, kind: Literal["execution", "verification"]) -> Output:
    return Output(FACTS, Waiting(fingerprint=want.fingerprint, task=want.task, root=want.root, token=token, kind=kind))


def _reuse(ctx: Context, claim: Claim, entry: Execution, want: Requested) -> Said:
    if entry.verified_at < ctx.stale_before:
        return _wait_for_look(ctx, claim, entry, want)
    copied = copy(ctx, entry, want, waited=False)
    if ctx.config.verify_rate and _drawn(ctx, want):
        copied += grant(ctx, claim, want, "refresh", nobody=True)
    return copied


def _drawn(ctx: Context, want: Requested) -> bool:
    drawn = int.from_bytes(sha256(f"{ctx.seen.digest} {want.task}".encode()).digest()[:8], "big")
    return drawn % 10_000 < ctx.config.verify_rate


def _wait_for_look(ctx: Context, claim: Claim, entry: Execution, want: Requested) -> Said:
    if _is_crowded(ctx, _open_look(claim, entry, "")):
        told = f"{ctx.config.max_waiters} tasks wait on this entry already"
        return [failed_request(want, Reason.TOO_MANY_WAITERS, told)]
    return [*_look(ctx, claim, entry, want, ""), _waiting(want, entry.token, "verification")]


def _open_look(claim: Claim, entry: Execution, prove: str) -> Verification | None:
    """The look that is on its way: what it proves, it proves for one owner, or for nobody."""
    return next((v for v in verifications_of(claim, entry.token) if v.prove == prove), None)


def _is_crowded(ctx: Context, look: Verification | None) -> bool:
    return look is not None and len(look.waiters) >= ctx.config.max_waiters


def _look(ctx: Context, claim: Claim, entry: Execution, want: Requested, prove: str) -> Said:
    """Wait for the look that is on its way, or for a new one."""
    look = _open_look(claim, entry, prove)
    if look is not None:
        look.waiters[want.task] = want
        return []
    token = ctx.new_token()
    look = Verification(token=token, entry=entry.token, pool=want.pool, prove=prove, waiters={want.task: want})
    claim.verifications[token] = look
    return [verification_ready(entry, look)]


def verification_ready(entry: Execution, verification: Verification) -> Output:
    """The work of looking whether the entry's output is all there."""
    want = next(iter(verification.waiters.values()))
    ready = Ready(
        pool=verification.pool,
        token=verification.token,
        kind="verify",
        fingerprint=want.fingerprint,
        owner=want.owner,
        priority=want.priority,
        attempt=verification.attempt,
        entry=entry.token,
        output=entry.output,
        prove=verification.prove,
        spec=want.spec if verification.prove else EMPTY_OBJECT,
        bound=want.bound if verification.prove else EMPTY_OBJECT,
    )
    return Output(WORK, ready)
