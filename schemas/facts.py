"""Topic `facts`: the machines' public output. What people, the read model and the audit are told."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, UnsetType

from schemas.fields import (
    NULL,
    Count,
    Fingerprint,
    Locator,
    Milliseconds,
    Name,
    Path,
    Record,
    Signed,
    Text,
    Token,
    Uuid,
)
from schemas.log import Genesis
from schemas.reasons import Failure, Outcome, Reason

MaybeToken = Annotated[str, Meta(max_length=160)]
MaybeUuid = Annotated[str, Meta(max_length=64)]


class Answered(Record, frozen=True, tag="answered", kw_only=True):
    """The one answer to one command: the command is the record that this one's cause names."""

    outcome: Annotated[Outcome, Meta(description="done, nothing (a no-op), or refused")] = Outcome.DONE
    reason: Annotated[Reason, Meta(description="why nothing was done or it was refused")] = Reason.NONE
    about: Annotated[Fingerprint, Meta(description="fingerprint or root job it concerns")] = "-"
    detail: Annotated[Text, Meta(description="one line for people")] = ""


class Granted(Record, frozen=True, tag="granted", kw_only=True):
    """An execution was granted."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the request")]
    token: Annotated[Token, Meta(description="fencing token, new with each grant")]
    task: Annotated[MaybeUuid, Meta(description="task it runs for; empty: a re-execution that looks for disagreement")]
    root: Annotated[MaybeUuid, Meta(description="its primary job")]
    owner: Annotated[Uuid, Meta(description="owner of the execution")]
    attempt: Annotated[Count, Meta(description="from 1")] = 1
    replaces: Annotated[MaybeToken, Meta(description="token of the attempt before, if any")] = ""
    why: Annotated[Name, Meta(description="first, retry, redecided, refresh, conflict, quarantined, imported")] = (
        "first"
    )


class Waiting(Record, frozen=True, tag="waiting", kw_only=True):
    """A task waits on a running execution, or on the verification of an entry."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the request")]
    task: Annotated[Uuid, Meta(description="who waits")]
    root: Annotated[Uuid, Meta(description="its primary job")]
    token: Annotated[Token, Meta(description="execution or entry it waits on; visible to the waiter's owner")]
    kind: Annotated[Literal["execution", "verification"], Meta(description="what it waits for")]


class Promoted(Record, frozen=True, tag="promoted", kw_only=True):
    """An execution's task withdrew; it goes on, untouched, for the first waiter who may see it."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the execution")]
    token: Annotated[Token, Meta(description="of the execution")]
    task: Annotated[Uuid, Meta(description="whose execution it is now")]
    root: Annotated[Uuid, Meta(description="its primary job")]
    owner: Annotated[Uuid, Meta(description="owner from now on")]


class Reused(Record, frozen=True, tag="reused", kw_only=True):
    """A task was given the output of an entry."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the request")]
    token: Annotated[Token, Meta(description="of the entry")]
    task: Annotated[Uuid, Meta(description="who got it")]
    root: Annotated[Uuid, Meta(description="its primary job")]
    source: Annotated[
        MaybeUuid,
        Meta(description="a task that has the output, whose owner the receiver may read; empty: by proof of inputs"),
    ]
    waited: Annotated[bool, Meta(description="it had waited on the execution or on a verification")] = False


class Redecided(Record, frozen=True, tag="redecided", kw_only=True):
    """A waiter's reason to wait ended; it was decided anew, under its own visibility."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the request")]
    token: Annotated[Token, Meta(description="what it had waited on")]
    task: Annotated[Uuid, Meta(description="who had waited")]
    root: Annotated[Uuid, Meta(description="its primary job")]


class Disagreed(Record, frozen=True, tag="disagreed", kw_only=True):
    """Two executions of one fingerprint have different outputs."""

    fingerprint: Annotated[Fingerprint, Meta(description="of both")]
    tokens: Annotated[tuple[Token, Token], Meta(description="the earlier and the later execution")]
    outputs: Annotated[tuple[Locator, Locator], Meta(description="their portable data hashes")]


class Kept(Record, frozen=True, tag="kept", kw_only=True):
    """An operator kept an execution: what attempts before it said too late is no word against it any more."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the execution")]
    token: Annotated[Token, Meta(description="of the execution that stays")]
    reason: Annotated[Text, Meta(description="for people")] = ""


MOST_BESIDE = 16


class Doubled(Record, frozen=True, tag="doubled", kw_only=True):
    """An alert: an execution was granted although its owner could have waited on another. It should never be said."""

    fingerprint: Annotated[Fingerprint, Meta(description="of all of them")]
    token: Annotated[Token, Meta(description="the execution that was just granted")]
    beside: Annotated[
        tuple[Token, ...],
        Meta(max_length=MOST_BESIDE, description="live executions that would have done, the earliest first, not all"),
    ]
    live: Annotated[Count, Meta(description="how many its owner could be served by now, its own among them")]


ExecutionStatus = Literal[
    "granted",
    "running",
    "done",
    "failed",
    "lost",
    "superseded",
    "cancelled",
    "missing",
    "removed",
    "invalidated",
    "impure",
]


class ExecutionChanged(Record, frozen=True, tag="execution_changed", kw_only=True):
    """An execution's status. Fields that a status does not concern keep their defaults."""

    fingerprint: Annotated[Fingerprint, Meta(description="of the execution")]
    token: Annotated[Token, Meta(description="of the execution")]
    status: Annotated[ExecutionStatus, Meta(description="what it is now")]
    node: Annotated[Name, Meta(description="where it runs or ran")] = ""
    incarnation: Annotated[MaybeUuid, Meta(description="the executor's incarnation")] = ""
    runner: Annotated[Name, Meta(description="isolation it ran under")] = ""
    environment: Annotated[Text, Meta(description="the node's environment identity")] = ""
    exit_code: Annotated[Signed, Meta(description="exit code, -1 if none")] = -1
    failure: Annotated[Failure, Meta(description="how it ended if it failed")] = Failure.NONE
    detail: Annotated[Text, Meta(description="one line for people")] = ""
    output: Annotated[Locator, Meta(description="portable data hash of its output")] = ""
    log: Annotated[Locator, Meta(description="portable data hash of its log")] = ""
    progress: Annotated[Count, Meta(description="permille")] = 0
    started_at: Annotated[Milliseconds, Meta(description="node's clock at start, ms since 1970")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="node's clock at end, ms since 1970")] = 0
    access: Annotated[Path, Meta(description="what cost it its purity")] = ""


class ClaimChanged(Record, frozen=True, tag="claim_changed", kw_only=True):
    """A fingerprint was taken out of use, or released."""

    fingerprint: Annotated[Fingerprint, Meta(description="which")]
    quarantined: Annotated[bool, Meta(description="out of use from here on")]
    reason: Annotated[Text, Meta(description="for people")] = ""


JobState = Literal["queued", "running", "assembling", "importing", "complete", "failed", "cancelled"]
TaskState = Literal["todo", "claimed", "running", "complete", "copied", "failed", "cancelled"]


class JobChanged(Record, frozen=True, tag="job_changed", kw_only=True):
    """A job's state; its first record carries what was asked."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    state: Annotated[JobState, Meta(description="what it is now")]
    owner: Annotated[MaybeUuid, Meta(description="owner; on the first record only")] = ""
    spec: Annotated[Raw, Meta(description="the JobSpec; on the first record only")] = NULL
    output: Annotated[Locator, Meta(description="portable data hash, when complete")] = ""
    reason: Annotated[Reason, Meta(description="why it failed")] = Reason.NONE
    task: Annotated[MaybeUuid, Meta(description="the task whose failure failed it")] = ""
    tasks: Annotated[Count, Meta(description="number of its tasks, when its levels are done")] = 0
    detail: Annotated[Text, Meta(description="one line for people, when it failed without a failed task")] = ""
    at: Annotated[Milliseconds, Meta(description="imported: when it came to be so, ms since 1970")] = 0
    started_at: Annotated[Milliseconds, Meta(description="imported: when its first task began, ms since 1970")] = 0
    log: Annotated[Locator, Meta(description="portable data hash of its log, when complete or failed")] = ""


class PriorityChanged(Record, frozen=True, tag="priority_changed", kw_only=True):
    """A job has another priority than it was asked for with: from here on, until it is changed again."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    priority: Annotated[Signed, Meta(description="higher first")]


class TaskChanged(Record, frozen=True, tag="task_changed", kw_only=True):
    """A task's state; its first record carries what it is."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    state: Annotated[TaskState, Meta(description="what it is now")]
    created_by: Annotated[MaybeUuid, Meta(description="the task that queued it; on the first record only")] = ""
    sequence: Annotated[Count, Meta(description="level; on the first record only")] = 0
    qsequence: Annotated[Count, Meta(description="rank in the job by creation; on the first record only")] = 0
    spec: Annotated[Raw, Meta(description="the TaskSpec; on the first record only")] = NULL
    bound: Annotated[Raw, Meta(description="job parameters bound into it; on the first record only")] = NULL
    fingerprint: Annotated[str, Meta(max_length=96, description="set where it was computed or changed")] = ""
    is_pure: Annotated[bool | UnsetType, Meta(description="set on the first record and where it changes")] = UNSET
    ineligible: Annotated[Text, Meta(description="why it can't be reused although declared pure")] = ""
    token: Annotated[MaybeToken, Meta(description="execution whose output it has, or that runs for it")] = ""
    source: Annotated[MaybeUuid, Meta(description="copied: the task it came from")] = ""
    output: Annotated[Locator, Meta(description="portable data hash; of a failed task: what it had named before")] = ""
    log: Annotated[Locator, Meta(description="portable data hash of the log")] = ""
    children: Annotated[Count, Meta(description="tasks it queued")] = 0
    progress: Annotated[Count, Meta(description="permille")] = 0
    reason: Annotated[Reason, Meta(description="why it failed")] = Reason.NONE
    failure: Annotated[Failure, Meta(description="how the last execution ended")] = Failure.NONE
    exit_code: Annotated[Signed, Meta(description="exit code of the last execution, -1 if none")] = -1
    detail: Annotated[Text, Meta(description="one line for people")] = ""
    started_at: Annotated[Milliseconds, Meta(description="copied: the source execution's start, ms since 1970")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="copied: the source execution's end, ms since 1970")] = 0
    at: Annotated[Milliseconds, Meta(description="imported: when it came to be so, ms since 1970")] = 0


class SettingChanged(Record, frozen=True, tag="setting_changed", kw_only=True):
    """A settings change was accepted and is being forwarded; its answer comes with it."""

    change: Annotated[Raw, Meta(description="the change as it stands in `settings`")]


FactRecord = (
    Genesis
    | Answered
    | Granted
    | Doubled
    | Waiting
    | Promoted
    | Reused
    | Redecided
    | Disagreed
    | Kept
    | ExecutionChanged
    | ClaimChanged
    | JobChanged
    | PriorityChanged
    | TaskChanged
    | SettingChanged
)
