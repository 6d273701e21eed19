"""What the claims machine remembers of one fingerprint, and the questions its rules ask of it."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from coordinator.visibility import View
from schemas.claims import Requested
from schemas.reasons import Failure
from schemas.spec import TaskSpec

# None of these can be part of a cycle, and there are millions: gc=False keeps the collector from looking at them again
# and again. For its sake they hold dicts and tuples, which it lets go, and no lists.


class Execution(msgspec.Struct, kw_only=True, gc=False):
    """A unit of work under one token: live until it exits, then an entry or gone.

    `want` is the request it runs for; `task` is empty for a re-execution that nobody's task waits for.
    `holders`: who has the output, each with the first of their tasks that got it; the owner first, copies add theirs.
    `waiters` keep their order of arrival, by task. `children`: the tasks it queued, in order, by idempotence key.
    `private`: it is its owner's alone, whatever others may read of the owner's, because nothing held it to its inputs.
    `replaced`: tokens of the attempts before it; `late`: outputs that came under these after all, by token.
    """

    token: str
    want: Requested
    task: str
    root: str
    status: Literal["granted", "running", "done"] = "granted"
    attempt: int = 1
    priority: int = 0
    impure: bool = False
    private: bool = False
    unable: bool = False
    holders: dict[str, str]
    waiters: dict[str, Requested] = {}
    children: dict[str, TaskSpec] = {}
    success: bool | None = None
    named_output: str = ""
    replaced: tuple[str, ...] = ()
    late: dict[str, str] = {}
    node: str = ""
    output: str = ""
    log: str = ""
    verified_at: int = 0
    started_at: int = 0
    finished_at: int = 0

    @property
    def owner(self) -> str:
        """Who it runs for: the first holder."""
        return next(iter(self.holders))


class Verification(msgspec.Struct, kw_only=True, gc=False):
    """A look at an entry, shared by all who ask meanwhile; with `prove`, for one owner who can't see the entry."""

    token: str
    entry: str
    pool: str
    prove: str = ""
    attempt: int = 1
    waiters: dict[str, Requested]


class Gone(msgspec.Struct, kw_only=True, gc=False):
    """A finished execution that is no entry any more though nobody judged it. `against`: tokens of those finished ones
    that its outputs stood against then; to who sees none of these it is as if it had never been. `opened`: it was given
    for a proof until then."""

    execution: Execution
    against: tuple[str, ...]
    opened: bool = False


class Failures(msgspec.Struct, gc=False):
    """How often executions of one owner failed permanently with one exit code."""

    owner: str
    exit_code: int
    count: int
    private: bool = False


class Claim(msgspec.Struct, kw_only=True, gc=False):
    """One fingerprint."""

    executions: dict[str, Execution] = {}
    gone: tuple[Gone, ...] = ()
    verifications: dict[str, Verification] = {}
    failures: tuple[Failures, ...] = ()
    losses: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    quarantined: bool = False

    def is_empty(self) -> bool:
        """Nothing in it that a later decision could depend on."""
        remembered = self.executions or self.gone or self.verifications or self.failures or self.losses
        return not (remembered or self.quarantined)


def may_see(view: View, reader: str, execution: Execution) -> bool:
    """Whether things of any holder of the execution may be shown to the reader; a private one's only to its owner."""
    if execution.private:
        return reader == execution.owner
    if reader in execution.holders:
        return True
    for owner in execution.holders:  # noqa: SIM110 - asked at every step: a generator costs three times as much
        if view.can_read(reader, owner):
            return True
    return False


def is_open(execution: Execution) -> bool:
    """Whether it is given for a proof. Not if it queued tasks: these may name what its inputs, which are proved, don't.
    Who asks runs it, and queues tasks of their own, each given for a proof of its own."""
    entry = execution.status == "done" and not execution.impure and not execution.private
    return entry and execution.want.by_inputs and not execution.children


def source_for(view: View, reader: str, execution: Execution) -> str:
    """The first task that holds the output and whose owner the reader may read; empty for an entry proved by inputs."""
    for owner, task in execution.holders.items():
        if owner == reader or view.can_read(reader, owner):
            return task
    return ""


def visible(view: View, reader: str, claim: Claim, proof: str = "") -> list[Execution]:
    """Executions the reader may be given or wait on, in order of grant; the one with token `proof` counts too."""
    seen = []
    for execution in claim.executions.values():
        if not execution.impure and (may_see(view, reader, execution) or execution.token == proof):
            seen.append(execution)
    return seen


def can_wait(execution: Execution, want: Requested) -> bool:
    """Whether a live execution is large enough for the request, and no less able to run than the request itself."""
    mine = execution.want
    if execution.status == "done" or mine.pool != want.pool:
        return False
    if mine.cores == want.cores and mine.memory == want.memory and mine.scratch == want.scratch:
        return True
    larger = mine.cores >= want.cores and mine.memory >= want.memory and mine.scratch >= want.scratch
    return larger and not execution.unable


def quorum_of(view: View, reader: str, claim: Claim, quorum: int) -> int | None:
    """The exit code with which at least `quorum` executions the reader may see have failed, or None."""
    counts: dict[int, int] = {}
    for failure in claim.failures:
        if failure.owner == reader or (not failure.private and view.can_read(reader, failure.owner)):
            counts[failure.exit_code] = counts.get(failure.exit_code, 0) + failure.count
            if counts[failure.exit_code] >= quorum:
                return failure.exit_code
    return None


def losses_seen(view: View, reader: str, claim: Claim) -> int:
    """Nodes lost under executions the reader may see."""
    return sum(1 for owner in claim.losses if owner == reader or view.can_read(reader, owner))


def note_failure(claim: Claim, execution: Execution, exit_code: int) -> None:
    """Count one permanent failure."""
    for failure in claim.failures:
        if (failure.owner, failure.exit_code, failure.private) == (execution.owner, exit_code, execution.private):
            failure.count += 1
            return
    claim.failures += (Failures(execution.owner, exit_code, 1, execution.private),)


def has_request(claim: Claim, task: str) -> bool:
    """Whether the task's request stands: it runs, ran, or waits."""
    for execution in claim.executions.values():
        if execution.task == task or task in execution.waiters:
            return True
    return bool(claim.verifications) and waiting_place(claim, task) is not None


def waiting_place(claim: Claim, task: str) -> Execution | Verification | None:
    """Where the task waits."""
    for execution in claim.executions.values():
        if task in execution.waiters:
            return execution
    for verification in claim.verifications.values():
        if task in verification.waiters:
            return verification
    return None


def execution_of(claim: Claim, task: str) -> Execution | None:
    """The execution that runs, or ran, for this task."""
    for execution in claim.executions.values():
        if execution.task == task:
            return execution
    return None


def replace_in_place(claim: Claim, old: str, new: Execution) -> None:
    """Put `new` where `old` stood, so that who was granted first stays first."""
    claim.executions = {
        (new.token if token == old else token): (new if token == old else e) for token, e in claim.executions.items()
    }


def verifications_of(claim: Claim, entry: str) -> Iterator[Verification]:
    """The open verifications of an entry, in order of start."""
    return (v for v in list(claim.verifications.values()) if v.entry == entry)


Verdict = Literal["success", "temporary", "permanent"]

TEMPORARY_EXIT = 111
UNSHARED = frozenset({"process"})  # runners that hold a task to nothing: it may have read all that is on the node
_BY_EXIT_CODE = frozenset({Failure.NONE, Failure.EXIT})
_TEMPORARY = frozenset({Failure.TEMPORARY, Failure.NODE, Failure.STORE, Failure.HANDED_OVER})
LOSSES_TOLD = "nodes were lost while they ran it"
COUNTED = frozenset({Failure.NONE, Failure.EXIT, Failure.OUTPUT})


def verdict(by_record: bool, success: bool | None, exit_code: int, failure: Failure) -> Verdict:
    """What an exit means: the task's own success over the exit code, 111 and trouble of node or store temporary.

    Source: crunch-job of Crunch v1. A kill by limit, timeout or signal is never a success, whatever the task had said.
    """
    if failure in _TEMPORARY:
        return "temporary"
    if failure not in _BY_EXIT_CODE:
        return "permanent"
    if success or (success is None and not by_record and exit_code == 0):
        return "success"
    return "temporary" if exit_code == TEMPORARY_EXIT else "permanent"
