"""What becomes of one request, new or decided anew: a grant, a wait, a copy, or a failure that says why."""

from hashlib import sha256
from typing import Literal

from coordinator.claims_give import Context, Outputs, copy, failed_request, reprioritise
from coordinator.claims_state import (
    Claim,
    Execution,
    Holder,
    Verification,
    can_wait,
    disagree,
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
from schemas.topics import Topic
from schemas.work import Ready


def decide(ctx: Context, claim: Claim, want: Requested, why: str = "first", proof: str = "") -> Outputs:
    """Decide a request under its own owner's view of the claim as it is now.

    `why` goes into the grant, if it comes to one; "unproved" also says that a proof by inputs has just failed.
    `proof`: token of the entry whose inputs the owner was just proved to read; it counts as visible, this once.
    """
    if not claim.executions and not claim.losses:
        yield from grant(ctx, claim, want, why)
    elif want.refresh or claim.quarantined:
        yield from grant(ctx, claim, want, "refresh" if want.refresh else "quarantined")
    elif losses_seen(ctx.view, want.owner, claim) >= ctx.config.quarantine_losses:
        yield failed_request(
            want, Reason.LOSES_NODES, "this work has lost too many nodes; ask an operator to release it"
        )
    else:
        yield from _decide_among(ctx, claim, want, why, proof)


def _decide_among(ctx: Context, claim: Claim, want: Requested, why: str, proof: str) -> Outputs:
    seen = visible(ctx.view, want.owner, claim, proof)
    if disagree(claim, seen):
        yield from grant(ctx, claim, want, "conflict")
        return
    entry = next((e for e in seen if e.status == "done"), None)
    if entry is not None:
        yield from _reuse(ctx, claim, entry, want)
        return
    running = next((e for e in seen if can_wait(e, want)), None)
    if running is not None:
        yield from _wait(ctx, running, want)
        return
    provable = next((e for e in claim.executions.values() if _only_by_inputs(ctx, e, want)), None)
    if provable is not None and why != "unproved":
        yield from wait_for_verification(ctx, claim, provable, want, prove=want.owner)
        return
    yield from grant(ctx, claim, want, why)


def _only_by_inputs(ctx: Context, execution: Execution, want: Requested) -> bool:
    open_to_provers = execution.status == "done" and not execution.impure and execution.want.by_inputs
    return open_to_provers and not may_see(ctx.view, want.owner, execution)


def grant(
    ctx: Context, claim: Claim, want: Requested, why: str, *, attempt: int = 1, nobody: bool = False, replaces: str = ""
) -> Outputs:
    """Start an execution of its own for the request; with `nobody`, one that only looks for disagreement."""
    execution = Execution(
        token=ctx.new_token(),
        want=want,
        task="" if nobody else want.task,
        root="" if nobody else want.root,
        attempt=attempt,
        priority=want.priority,
        holders=[Holder(want.owner, want.task)],
    )
    claim.executions[execution.token] = execution
    yield from announce(execution, why, replaces)


def announce(execution: Execution, why: str, replaces: str = "") -> Outputs:
    """The fact and the work of a fresh execution."""
    want, token = execution.want, execution.token
    yield Output(
        Topic.FACTS,
        Granted(
            fingerprint=want.fingerprint,
            token=token,
            task=execution.task,
            root=execution.root,
            owner=want.owner,
            attempt=execution.attempt,
            replaces=replaces,
            why=why,
        ),
    )
    yield Output(
        Topic.WORK,
        Ready(
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
        ),
    )


def _wait(ctx: Context, execution: Execution, want: Requested) -> Outputs:
    if len(execution.waiters) >= ctx.config.max_waiters:
        yield failed_request(
            want, Reason.TOO_MANY_WAITERS, f"{ctx.config.max_waiters} tasks wait on this execution already"
        )
        return
    execution.waiters[want.task] = want
    yield _waiting(want, execution.token, "execution")
    if want.priority > execution.priority:
        yield from reprioritise(execution)


def _waiting(want: Requested, token: str, kind: Literal["execution", "verification"]) -> Output:
    fact = Waiting(fingerprint=want.fingerprint, task=want.task, root=want.root, token=token, kind=kind)
    return Output(Topic.FACTS, fact)


def _reuse(ctx: Context, claim: Claim, entry: Execution, want: Requested) -> Outputs:
    if entry.verified_at < ctx.stale_before:
        yield from wait_for_verification(ctx, claim, entry, want)
        return
    yield from copy(ctx, entry, want, waited=False)
    if ctx.config.verify_rate and _drawn(ctx, want):
        yield from grant(ctx, claim, want, "refresh", nobody=True)


def _drawn(ctx: Context, want: Requested) -> bool:
    drawn = int.from_bytes(sha256(f"{ctx.seen.digest} {want.task}".encode()).digest()[:8], "big")
    return drawn % 10_000 < ctx.config.verify_rate


def wait_for_verification(ctx: Context, claim: Claim, entry: Execution, want: Requested, prove: str = "") -> Outputs:
    """Wait on the open verification of the entry, or on a new one."""
    open_one = next((v for v in verifications_of(claim, entry.token) if v.prove == prove), None)
    if open_one is None:
        open_one = Verification(token=ctx.new_token(), entry=entry.token, prove=prove, waiters={})
        claim.verifications[open_one.token] = open_one
        open_one.waiters[want.task] = want
        yield verification_ready(entry, open_one)
    elif len(open_one.waiters) >= ctx.config.max_waiters:
        yield failed_request(
            want, Reason.TOO_MANY_WAITERS, f"{ctx.config.max_waiters} tasks wait on this entry already"
        )
        return
    open_one.waiters[want.task] = want
    if not prove:
        yield _waiting(want, entry.token, "verification")


def verification_ready(entry: Execution, verification: Verification) -> Output:
    """The work of looking whether the entry's output is all there."""
    want = next(iter(verification.waiters.values()))
    ready = Ready(
        pool=want.pool,
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
    )
    return Output(Topic.WORK, ready)
