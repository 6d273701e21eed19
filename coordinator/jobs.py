"""The jobs machine (crunch-job): per primary job, its tree of tasks, level by level, until the output is assembled.

A task becomes a request when its level is reached, not when it is queued: two jobs that start together then find each
other's executions instead of both queueing, and both executing, the same work.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import msgspec

from coordinator import jobs_changes, jobs_import, jobs_tasks
from coordinator import jobs_levels as levels
from coordinator.config import Config, apply
from coordinator.ids import first_task_uuid
from coordinator.jobs_levels import Outputs
from coordinator.jobs_state import Policy, Task, Tree, assumed_pure
from coordinator.lifecycle import is_final, next_job
from coordinator.machine import RULES_VERSION, Output, Seen, answered, check_rules, nothing, refused
from coordinator.rows import Rows, whole
from schemas import tasks as t
from schemas.log import Genesis
from schemas.reasons import Reason
from schemas.settings import ConfigSet, Forwarded, PureAssumed
from schemas.topics import Topic


class State(msgspec.Struct, kw_only=True):
    """All that a partition's prefix has led to, but the trees."""

    config: Config
    assumed: list[PureAssumed] = []
    settings_position: int = -1


class _Trees(msgspec.Struct):
    trees: dict[str, Tree] = {}


def job_submitted(state: State, trees: Rows[Tree], record: t.JobSubmitted) -> Outputs:
    """A job begins with its first task. A repeat of the same creation, or find_or_create, lands on the job there is."""
    known = trees.get(record.root)
    if known is not None:
        yield _repeat(known, record)
        return
    first = assumed_pure(record.spec.task, state.assumed)
    tree = Tree(
        root=record.root,
        owner=record.owner,
        request=record.request,
        parameters=dict(record.spec.parameters),
        policy=Policy.of(first),
    )
    trees[record.root] = tree
    yield levels.job_fact(tree, owner=tree.owner, spec=msgspec.Raw(msgspec.json.encode(record.spec)))
    yield from levels.create(state.config, tree, first_task_uuid(tree.root), "", first)
    yield from levels.advance(tree)
    yield answered(record.root, detail=record.root)


def task_imported(state: State, tree: Tree, record: t.TaskImported) -> Outputs:
    """A task of a job's history."""
    return jobs_import.task_imported(state.assumed, tree, record)


def _repeat(tree: Tree, record: t.JobSubmitted) -> Output:
    if tree.request == record.request or (record.find and tree.owner == record.owner):
        return nothing(record.root, Reason.ALREADY, "this job exists and is the answer")
    return refused(record.root, Reason.UUID_TAKEN, "another job has this uuid")


def task_submitted(state: State, tree: Tree, record: t.TaskSubmitted) -> Outputs:
    """A user adds a task to a job that still takes tasks."""
    if record.task in tree.tasks:
        yield nothing(record.root, Reason.ALREADY)
    elif tree.state not in ("queued", "running") or tree.failing is not Reason.NONE:
        yield refused(record.root, Reason.FINISHED, "the job takes no tasks any more")
    elif record.created_by and record.created_by not in tree.tasks:
        yield refused(record.root, Reason.UNKNOWN, "created_by: no such task in this job")
    else:
        spec = msgspec.structs.replace(record.spec, priority=tree.policy.priority)
        spec = assumed_pure(spec, state.assumed)
        yield from levels.create(state.config, tree, record.task, record.created_by, spec)
        yield from levels.advance(tree)
        yield answered(record.root, detail=record.task)


def task_created(state: State, tree: Tree, record: t.TaskCreated) -> Outputs:
    """A child, first or copied. Its creator is still open, so its level can't have been passed."""
    if record.task in tree.tasks or is_final(tree.state):
        yield nothing(record.root, Reason.ALREADY if record.task in tree.tasks else Reason.FINISHED)
    elif len(tree.tasks) > state.config.max_tasks:
        yield refused(record.root, Reason.TOO_MANY_TASKS)
    else:
        spec = assumed_pure(tree.policy.applied_to(record.spec), state.assumed)
        yield from levels.create(state.config, tree, record.task, record.created_by, spec)
        yield answered(record.root, detail=record.task)


def job_cancelled(_state: State, tree: Tree, record: t.JobCancelled) -> Outputs:
    """Again on a cancelled job: no effect. On one that has ended otherwise: refused."""
    if tree.state == "cancelled":
        yield nothing(record.root, Reason.ALREADY)
    elif is_final(tree.state):
        yield refused(record.root, Reason.FINISHED, f"the job is {tree.state}")
    else:
        yield from levels.cancel(tree)
        yield answered(record.root)


def job_assembled(_state: State, tree: Tree, record: t.JobAssembled) -> Outputs:
    """The joined output is saved, also that of a failed job. One that can't be joined fails the job."""
    if tree.state == "cancelled" and record.log and not tree.is_logged:
        tree.is_logged = True
        yield levels.job_fact(tree, reason=Reason.CANCELLED, tasks=len(tree.tasks), log=record.log)
        yield answered(record.root)
        return
    if tree.state != "assembling":
        yield nothing(record.root, Reason.ALREADY if is_final(tree.state) else Reason.NOT_CURRENT)
        return
    if record.detail and tree.failing is Reason.NONE:
        tree.failing = Reason.OUTPUTS_NOT_JOINED
    tree.state = next_job(tree.state, "complete" if tree.failing is Reason.NONE else "fail", tree.root)
    yield levels.job_fact(
        tree,
        output=record.output,
        reason=tree.failing,
        task=tree.failed_task,
        tasks=len(tree.tasks),
        detail=record.detail,
        log=record.log,
    )
    tree.forget()
    yield answered(record.root)


def purity_taken_back(_state: State, tree: Tree, record: t.PurityTakenBack) -> Outputs:
    """Its author takes the promise for a task back."""
    return jobs_changes.purity_taken_back(tree, record)


def job_prioritised(_state: State, tree: Tree, record: t.JobPrioritised) -> Outputs:
    """Its owner gives the job another priority."""
    return jobs_changes.job_prioritised(tree, record)


Handler = Callable[[State, Tree, Any], Outputs]
OF_A_JOB: dict[type, Handler] = {
    t.TaskSubmitted: task_submitted,
    t.TaskCreated: task_created,
    t.JobCancelled: job_cancelled,
    t.JobAssembled: job_assembled,
    t.PurityTakenBack: purity_taken_back,
    t.JobPrioritised: job_prioritised,
    t.TaskImported: task_imported,
}
OF_AN_OPEN_TASK: dict[type, Callable[[Tree, Any], Outputs]] = {
    t.TaskStarted: jobs_tasks.task_started,
    t.TaskReported: jobs_tasks.task_reported,
    t.TaskCompleted: jobs_tasks.task_completed,
    t.TaskCopied: jobs_tasks.task_copied,
    t.TaskFailed: jobs_tasks.task_failed,
    t.TaskUnclaimed: jobs_tasks.task_unclaimed,
}


class Jobs:
    """Machine of topic `tasks`. `rows`: the tree of each primary job."""

    topic: ClassVar[Topic] = Topic.TASKS
    row: ClassVar[type[Tree]] = Tree

    def __init__(
        self, known_rules: int = RULES_VERSION, state: State | None = None, rows: Rows[Tree] | None = None
    ) -> None:
        self.known_rules = known_rules
        self.rows: Rows[Tree] = {} if rows is None else rows
        self.state = state or State(config=Config())

    def step(self, seen: Seen) -> Outputs:
        """What follows from one record; see Machine.step."""
        body = seen.body
        if isinstance(body, Genesis):
            return iter(())
        if isinstance(body, Forwarded):
            return self._apply(body)
        if isinstance(body, t.JobSubmitted):
            return job_submitted(self.state, self.rows, body)
        if isinstance(body, t.JobImported):
            return jobs_import.job_imported(self.state.config, self.rows, body)
        return self._of_a_job(body)

    def _of_a_job(self, body: Any) -> Outputs:
        tree = self.rows.get(body.root)
        if tree is None:
            yield refused(body.root, Reason.UNKNOWN, "no such job")
            return
        if type(body) in OF_A_JOB:
            yield from OF_A_JOB[type(body)](self.state, tree, body)
            return
        task = tree.tasks.get(body.task)
        if task is None or is_final(task.state):
            yield _too_late(body.root, task)
        else:
            yield from OF_AN_OPEN_TASK[type(body)](tree, body)

    def _apply(self, body: Forwarded) -> Outputs:
        check_rules(body, self.known_rules)
        if body.position > self.state.settings_position:
            self.state.settings_position = body.position
            if isinstance(body.change, ConfigSet):
                apply(self.state.config, body.change)
            elif isinstance(body.change, PureAssumed):
                self.state.assumed.append(body.change)
        return iter(())

    def head(self) -> bytes:
        """The state but the trees, as JSON bytes."""
        return msgspec.json.encode(self.state)

    def snapshot(self) -> bytes:
        """The state as JSON bytes."""
        return whole("trees", self.rows, self.head())

    @classmethod
    def restore(cls, snapshot: bytes, known_rules: int = RULES_VERSION) -> Self:
        """The machine that made the snapshot."""
        rows = msgspec.json.decode(snapshot, type=_Trees).trees
        return cls(known_rules, msgspec.json.decode(snapshot, type=State), rows)


def _too_late(root: str, task: Task | None) -> Output:
    if task is None:
        return refused(root, Reason.UNKNOWN, "no such task in this job")
    return nothing(root, Reason.FINISHED, f"the first terminal record wins: the task is {task.state}")
