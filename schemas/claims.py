"""Topic `claims`, keyed by fingerprint: every command that the claims machine decides."""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, UnsetType

from schemas.fields import (
    EMPTY_OBJECT,
    Count,
    Fingerprint,
    Locator,
    Mebibytes,
    Milliseconds,
    Name,
    Offset,
    Path,
    Record,
    Signed,
    Text,
    Token,
    Uuid,
)
from schemas.log import Genesis
from schemas.reasons import Failure
from schemas.settings import Forwarded
from schemas.spec import TaskSpec


class Requested(Record, frozen=True, tag="requested", kw_only=True):
    """A task's level is reached: run it, let it wait, or give it an output. Written by the jobs machine alone."""

    fingerprint: Annotated[Fingerprint, Meta(description="what its output depends on; `impure:<task>` if impure")]
    task: Annotated[Uuid, Meta(description="the task that asks")]
    root: Annotated[Uuid, Meta(description="its primary job; key of the answers in `tasks`")]
    owner: Annotated[Uuid, Meta(description="user or group that owns the job; whose view decides what may be given")]
    pool: Annotated[Name, Meta(description="pool of nodes it runs in")] = "default"
    priority: Annotated[Signed, Meta(description="higher first")] = 0
    cores: Annotated[Count, Meta(description="processor cores")] = 1
    memory: Annotated[Mebibytes, Meta(description="memory, MiB")] = 256
    scratch: Annotated[Mebibytes, Meta(description="scratch space, MiB")] = 1024
    refresh: Annotated[bool, Meta(description="execute although an entry exists; gives its own output")] = False
    by_inputs: Annotated[bool, Meta(description="its execution may be given to who proves reading its inputs")] = False
    forbid_children: Annotated[bool, Meta(description="the task may queue no tasks")] = False
    by_record: Annotated[bool, Meta(description="verdict by the task's own record alone, as Crunch v1")] = False
    spec: Annotated[Raw, Meta(description="the TaskSpec, passed on unread to the executor")] = EMPTY_OBJECT
    bound: Annotated[Raw, Meta(description="JSON object: what it names of its own job's parameters")] = EMPTY_OBJECT
    qsequence: Annotated[Count, Meta(description="rank in its job by creation; for the task's environment")] = 0


class Imported(Record, frozen=True, tag="imported", kw_only=True):
    """An execution that had finished in another system. Written by the jobs machine alone, when the import is whole."""

    fingerprint: Annotated[Fingerprint, Meta(description="what its output depends on; `impure:<task>` if not shared")]
    task: Annotated[Uuid, Meta(description="the task it ran for")]
    root: Annotated[Uuid, Meta(description="its primary job; key of the answer in `tasks`")]
    owner: Annotated[Uuid, Meta(description="user or group that owns the job")]
    output: Annotated[Locator, Meta(description="portable data hash of its output; was looked for at the edge")] = ""
    by_inputs: Annotated[bool, Meta(description="it may be given to who proves reading its inputs")] = False
    children: Annotated[tuple[TaskSpec, ...], Meta(description="tasks it queued; a copy of it queues them anew")] = ()
    started_at: Annotated[Milliseconds, Meta(description="when it began, ms since 1970; for people")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="when it ended, ms since 1970; for people")] = 0
    spec: Annotated[Raw, Meta(description="the TaskSpec, from which an audit works out the fingerprint")] = EMPTY_OBJECT
    bound: Annotated[Raw, Meta(description="JSON object: what it names of its own job's parameters")] = EMPTY_OBJECT


class Withdrawn(Record, frozen=True, tag="withdrawn", kw_only=True):
    """A task no longer wants what it requested. Written by the jobs machine alone."""

    fingerprint: Annotated[Fingerprint, Meta(description="as in its request")]
    task: Annotated[Uuid, Meta(description="the task that withdraws")]
    root: Annotated[Uuid, Meta(description="its primary job")]
    unstarted_only: Annotated[bool, Meta(description="an execution of its own that has started may finish")] = False


class PurityDropped(Record, frozen=True, tag="purity_dropped", kw_only=True):
    """The task's author takes back the promise of purity. Written by the jobs machine alone."""

    fingerprint: Annotated[Fingerprint, Meta(description="as in its request")]
    task: Annotated[Uuid, Meta(description="the task")]
    root: Annotated[Uuid, Meta(description="its primary job")]


class TaskPrioritised(Record, frozen=True, tag="task_prioritised", kw_only=True):
    """The job of a task that has asked has another priority now. Written by the jobs machine alone."""

    fingerprint: Annotated[Fingerprint, Meta(description="as in its request")]
    task: Annotated[Uuid, Meta(description="the task")]
    root: Annotated[Uuid, Meta(description="its primary job")]
    priority: Annotated[Signed, Meta(description="higher first")]


class Started(Record, frozen=True, tag="started", kw_only=True):
    """The executor is about to start the container of this grant."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]
    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]
    runner: Annotated[Name, Meta(description="docker, bubblewrap or process: the isolation it ran under")] = ""
    environment: Annotated[Text, Meta(description="the node's environment identity, for people")] = ""


class Reported(Record, frozen=True, tag="reported", kw_only=True):
    """The running task speaks for itself: progress, its own verdict, its own output."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]
    progress: Annotated[Count | UnsetType, Meta(description="progress in permille")] = UNSET
    success: Annotated[bool | UnsetType, Meta(description="its own verdict, over the exit code as in Crunch v1")] = (
        UNSET
    )
    output: Annotated[Locator | UnsetType, Meta(description="portable data hash the task names as its output")] = UNSET


class ChildQueued(Record, frozen=True, tag="child_queued", kw_only=True):
    """A running task queues another. Answered, and only then acknowledged to the task."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]
    child: Annotated[Uuid, Meta(description="idempotence key: derived at the edge from token, request id and body")]
    spec: Annotated[TaskSpec, Meta(description="what the child is")]


class Exited(Record, frozen=True, tag="exited", kw_only=True):
    """The container ended; output and log are stored and checked. The verdict is the machine's."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]
    node: Annotated[Name, Meta(description="node's name")]
    exit_code: Annotated[Signed, Meta(description="exit code of the task's process; -1 if it never ran")]
    failure: Annotated[Failure, Meta(description="how it ended, if not the exit code decides")] = Failure.NONE
    reason: Annotated[Text, Meta(description="one line for people: what went wrong, to what, what to do")] = ""
    output: Annotated[Locator, Meta(description="portable data hash of the captured output")] = ""
    log: Annotated[Locator, Meta(description="portable data hash of the captured stdout and stderr")] = ""
    started_at: Annotated[Milliseconds, Meta(description="node's wall clock at start, ms since 1970; for people")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="node's wall clock at end, ms since 1970; for people")] = 0


class Verified(Record, frozen=True, tag="verified", kw_only=True):
    """Every block of the entry's output was found, unless a proof was asked for and failed. Written by the verifier."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the entry")]
    entry: Annotated[Token, Meta(description="token of the execution whose output was looked at")]
    token: Annotated[Token, Meta(description="token of the verification")]
    proved: Annotated[bool, Meta(description="the owner named by the work's `prove` can read every input")] = False


class OutputMissing(Record, frozen=True, tag="output_missing", kw_only=True):
    """A block of the entry's output is authoritatively not found. Written by the verifier."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the entry")]
    entry: Annotated[Token, Meta(description="token of the execution whose output was looked at")]
    token: Annotated[Token, Meta(description="token of the verification")]
    block: Annotated[Locator, Meta(description="first locator that was not found")] = ""


class PurityLost(Record, frozen=True, tag="purity_lost", kw_only=True):
    """A pure task read something its fingerprint does not cover. Acknowledged before that read is answered."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]
    access: Annotated[Path, Meta(description="what it read, for people")] = ""


class Lost(Record, frozen=True, tag="lost", kw_only=True):
    """The node that held this work gave no sign of life, or no node can run it. Written by the dispatch machine."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant or verification")]
    token: Annotated[Token, Meta(description="token of the grant or verification")]
    node: Annotated[Name, Meta(description="node's name; empty if it never had one")] = ""
    failure: Annotated[Failure, Meta(description="`node`, or `fits_no_node`")] = Failure.NODE


class Unplaceable(Record, frozen=True, tag="unplaceable", kw_only=True):
    """No node of the pool fits this work now; who waits on it and needs less is decided anew."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the grant")]
    token: Annotated[Token, Meta(description="fencing token of the grant")]


class Quarantined(Record, frozen=True, tag="quarantined", kw_only=True):
    """An operator takes a fingerprint's entries out of use; nothing is given or waited on until it is released."""

    fingerprint: Annotated[Fingerprint, Meta(description="which fingerprint")]
    reason: Annotated[Text, Meta(description="for people")] = ""


class Released(Record, frozen=True, tag="released", kw_only=True):
    """An operator lifts quarantine, disagreement and the count of lost nodes."""

    fingerprint: Annotated[Fingerprint, Meta(description="which fingerprint")]


class Invalidated(Record, frozen=True, tag="invalidated", kw_only=True):
    """An operator declares entries wrong: the one named, or all but the one kept."""

    fingerprint: Annotated[Fingerprint, Meta(description="which fingerprint")]
    token: Annotated[str, Meta(max_length=160, description="token of the wrong entry; empty: all but `keep`")] = ""
    keep: Annotated[str, Meta(max_length=160, description="token of the entry that stays, if `token` is empty")] = ""
    reason: Annotated[Text, Meta(description="for people")] = ""


class Removed(Record, frozen=True, tag="removed", kw_only=True):
    """An entry is taken out of reuse to make room: no judgement, so between outputs that differ it decides nothing."""

    fingerprint: Annotated[Fingerprint, Meta(description="which fingerprint")]
    token: Annotated[Token, Meta(description="token of the entry")]
    reason: Annotated[Text, Meta(description="for people")] = ""


class Aged(Record, frozen=True, tag="aged", kw_only=True):
    """Entries of this partition last verified before an offset must be looked at again. Written by the janitor."""

    before: Annotated[Offset, Meta(description="offset in this partition")]


ClaimRecord = (
    Genesis
    | Forwarded
    | Requested
    | Imported
    | Withdrawn
    | PurityDropped
    | TaskPrioritised
    | Started
    | Reported
    | ChildQueued
    | Exited
    | Verified
    | OutputMissing
    | PurityLost
    | Lost
    | Unplaceable
    | Quarantined
    | Released
    | Invalidated
    | Removed
    | Aged
)
