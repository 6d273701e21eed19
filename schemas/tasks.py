"""Topic `tasks`, keyed by root job uuid: what users ask of jobs, and what the claims machine says of their tasks."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.fields import Count, Fingerprint, Locator, Milliseconds, Name, Record, Signed, Text, Token, Uuid
from schemas.log import Genesis
from schemas.reasons import Failure, Reason
from schemas.settings import Forwarded
from schemas.spec import JobSpec, TaskSpec


class JobSubmitted(Record, frozen=True, tag="job_submitted", kw_only=True):
    """A user asks for an output. A repeat of the same creation carries the same uuid."""

    root: Annotated[Uuid, Meta(description="the job's uuid, derived from its creation, so that a repeat lands on it")]
    owner: Annotated[Uuid, Meta(description="user or group that will own it")]
    request: Annotated[Uuid, Meta(description="digest of the creation; another one on the same uuid is refused")]
    find: Annotated[bool, Meta(description="find_or_create: an existing job on this uuid is the answer")] = False
    spec: Annotated[JobSpec, Meta(description="what was asked")]


class TaskSubmitted(Record, frozen=True, tag="task_submitted", kw_only=True):
    """A user adds a task to a running job."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    task: Annotated[Uuid, Meta(description="the task's uuid, derived from its creation")]
    created_by: Annotated[str, Meta(max_length=64, description="uuid of the task that it counts as a child of")] = ""
    spec: Annotated[TaskSpec, Meta(description="what was asked")]


class JobCancelled(Record, frozen=True, tag="job_cancelled", kw_only=True):
    """A user cancels a job; again on a cancelled one has no effect."""

    root: Annotated[Uuid, Meta(description="the primary job")]


class PurityTakenBack(Record, frozen=True, tag="purity_taken_back", kw_only=True):
    """A user sets is_pure from true to false; the other way is refused."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    task: Annotated[Uuid, Meta(description="which of its tasks")]
    is_pure: Annotated[bool, Meta(description="the value asked for")] = False


class JobPrioritised(Record, frozen=True, tag="job_prioritised", kw_only=True):
    """A user gives a job that has not ended another priority: it holds for all of its work that no node has yet."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    priority: Annotated[Signed, Meta(description="higher first")]


class JobAssembled(Record, frozen=True, tag="job_assembled", kw_only=True):
    """The outputs of a job's tasks were joined in tree order and saved, and its log; of a cancelled job the log alone.

    Written by the assembler.
    """

    root: Annotated[Uuid, Meta(description="the primary job")]
    output: Annotated[Locator, Meta(description="portable data hash of the joined output; empty: there is none")]
    detail: Annotated[Text, Meta(description="why they can't be joined, in one line; then the job fails")] = ""
    log: Annotated[Locator, Meta(description="portable data hash of the job's log; empty: none was kept")] = ""


ImportedState = Literal["complete", "failed", "cancelled"]


class JobImported(Record, frozen=True, tag="job_imported", kw_only=True):
    """A job that had ended in another system, as its history tells. Its tasks follow, then it ends here as there."""

    root: Annotated[Uuid, Meta(description="the job's uuid, the same as there")]
    owner: Annotated[Uuid, Meta(description="user or group that will own it")]
    request: Annotated[Uuid, Meta(description="digest of where it comes from; another one on the same uuid is refused")]
    spec: Annotated[JobSpec, Meta(description="what was asked; what is not known any more is left out")]
    state: Annotated[ImportedState, Meta(description="how it ended")]
    tasks: Annotated[Count, Meta(description="how many of its tasks follow")]
    output: Annotated[Locator, Meta(description="portable data hash of its output; empty: it had none")] = ""
    detail: Annotated[Text, Meta(description="one line for people")] = ""
    created_at: Annotated[Milliseconds, Meta(description="when it was asked for, ms since 1970")] = 0
    started_at: Annotated[Milliseconds, Meta(description="when its first task began, ms since 1970; 0: never")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="when it ended, ms since 1970")] = 0


class TaskImported(Record, frozen=True, tag="task_imported", kw_only=True):
    """A task of a job that is being imported; the last one ends the import."""

    root: Annotated[Uuid, Meta(description="the primary job")]
    task: Annotated[Uuid, Meta(description="the task's uuid, the same as there")]
    created_by: Annotated[str, Meta(max_length=64, description="uuid of the task that queued it; empty: none")] = ""
    spec: Annotated[TaskSpec, Meta(description="what it was; `ineligible` says why its output can't be reused")]
    state: Annotated[ImportedState, Meta(description="how it ended")]
    output: Annotated[Locator, Meta(description="portable data hash of its output, if it is complete")] = ""
    detail: Annotated[Text, Meta(description="one line for people")] = ""
    created_at: Annotated[Milliseconds, Meta(description="when it was queued, ms since 1970")] = 0
    started_at: Annotated[Milliseconds, Meta(description="when it began, ms since 1970; 0: never")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="when it ended, ms since 1970")] = 0


class TaskCreated(Record, frozen=True, tag="task_created", kw_only=True):
    """A task that ran, or was copied, queued this one. By the claims machine, before its parent's last record."""

    root: Annotated[Uuid, Meta(description="primary job of the creating task")]
    task: Annotated[Uuid, Meta(description="derived from the creating task and the child's rank")]
    created_by: Annotated[Uuid, Meta(description="the creating task: for a copy, the copy")]
    spec: Annotated[TaskSpec, Meta(description="what the child is; nothing of another job is bound in it")]


class TaskStarted(Record, frozen=True, tag="task_started", kw_only=True):
    """The task's own execution has started."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    token: Annotated[Token, Meta(description="token of the execution")]
    node: Annotated[Name, Meta(description="where")]


class TaskReported(Record, frozen=True, tag="task_reported", kw_only=True):
    """The task's own execution made progress."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    token: Annotated[Token, Meta(description="token of the execution")]
    progress: Annotated[Count, Meta(description="permille")]


class TaskCompleted(Record, frozen=True, tag="task_completed", kw_only=True):
    """The task's own execution succeeded. First terminal record wins."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    token: Annotated[Token, Meta(description="token of the execution")]
    output: Annotated[Locator, Meta(description="portable data hash of its output")]
    log: Annotated[Locator, Meta(description="portable data hash of its log")] = ""
    children: Annotated[Count, Meta(description="tasks it queued")] = 0


class TaskCopied(Record, frozen=True, tag="task_copied", kw_only=True):
    """The task was given another execution's output. First terminal record wins."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    token: Annotated[Token, Meta(description="token of the source execution")]
    source: Annotated[
        str,
        Meta(
            max_length=64,
            description="a task that has the output, whose owner the receiver may read; empty: got by proof of inputs",
        ),
    ]
    output: Annotated[Locator, Meta(description="portable data hash, byte for byte the source's")]
    log: Annotated[Locator, Meta(description="portable data hash of the source's log")] = ""
    children: Annotated[Count, Meta(description="tasks created anew under the copy")] = 0
    started_at: Annotated[Milliseconds, Meta(description="the source execution's start, ms since 1970")] = 0
    finished_at: Annotated[Milliseconds, Meta(description="the source execution's end, ms since 1970")] = 0


class TaskFailed(Record, frozen=True, tag="task_failed", kw_only=True):
    """The task failed. What it had named as its output is its own and nobody else's. First terminal record wins."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    reason: Annotated[Reason, Meta(description="from the fixed list")]
    failure: Annotated[Failure, Meta(description="how the last execution ended")] = Failure.NONE
    exit_code: Annotated[int, Meta(description="exit code of the last execution, -1 if none")] = -1
    detail: Annotated[Text, Meta(description="one line for people")] = ""
    log: Annotated[Locator, Meta(description="portable data hash of the last execution's log")] = ""
    output: Annotated[Locator, Meta(description="what the last execution named as its output before it failed")] = ""


class TaskUnclaimed(Record, frozen=True, tag="task_unclaimed", kw_only=True):
    """The task's request under this fingerprint is gone; the jobs machine asks anew if it still wants it."""

    root: Annotated[Uuid, Meta(description="its primary job")]
    task: Annotated[Uuid, Meta(description="the task")]
    fingerprint: Annotated[Fingerprint, Meta(description="the fingerprint it was requested under")]


TaskRecord = (
    Genesis
    | Forwarded
    | JobSubmitted
    | TaskSubmitted
    | JobCancelled
    | PurityTakenBack
    | JobPrioritised
    | JobAssembled
    | JobImported
    | TaskImported
    | TaskCreated
    | TaskStarted
    | TaskReported
    | TaskCompleted
    | TaskCopied
    | TaskFailed
    | TaskUnclaimed
)
