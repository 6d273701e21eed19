"""Levels: which tasks are requested now, and what follows when the last one of a level, or of the job, has ended."""

from collections.abc import Iterator
from typing import Any

import msgspec

from coordinator.config import Config
from coordinator.jobs_state import History, Past, Task, Tree, bind, fingerprint_for, has_ancestor
from coordinator.lifecycle import is_final, next_job, next_task
from coordinator.machine import Output
from schemas.claims import Requested, Withdrawn
from schemas.facts import JobChanged, TaskChanged
from schemas.reasons import Reason
from schemas.spec import JobParameter, TaskSpec
from schemas.tasks import ImportedState
from schemas.topics import Topic

Outputs = Iterator[Output]


def task_fact(tree: Tree, task: Task, **details: Any) -> Output:
    """The fact of a task's present state."""
    return Output(Topic.FACTS, TaskChanged(root=tree.root, task=task.uuid, state=task.state, **details))


def job_fact(tree: Tree, **details: Any) -> Output:
    """The fact of a job's present state."""
    return Output(Topic.FACTS, JobChanged(root=tree.root, state=tree.state, **details))


def create(config: Config, tree: Tree, uuid: str, created_by: str, spec: TaskSpec) -> Outputs:
    """A task joins the tree, in state todo, with the job parameters it names bound from this job.

    One that can't be (unset parameter, too deep, its own ancestor, one too many) joins failed, and fails the job.
    """
    bound = bind(tree, spec)
    task, fact = join(tree, uuid, created_by, spec, bound)
    reason, detail = _objection(config, tree, task, bound)
    yield fact
    if reason is not Reason.NONE:
        yield from end(tree, task, "fail", reason=reason, detail=detail)
        yield from fail(tree, task, reason)
    elif tree.failing is not Reason.NONE:
        yield from end(tree, task, "cancel", reason=Reason.JOB_FAILED)


def join(
    tree: Tree,
    uuid: str,
    created_by: str,
    spec: TaskSpec,
    bound: dict[str, JobParameter] | str,
    past: Past | None = None,
) -> tuple[Task, Output]:
    """A task joins the tree, in state todo; the task, and the fact that says so. `bound`: what `bind` said."""
    parameters = {} if isinstance(bound, str) else bound
    creator = tree.tasks.get(created_by)
    shared = spec.is_pure and not (past and isinstance(bound, str))  # else it fails, and shares nothing either
    task = Task(
        uuid=uuid,
        created_by=created_by,
        depth=creator.depth + 1 if creator else 0,
        sequence=spec.sequence,
        qsequence=tree.next_rank,
        is_pure=spec.is_pure,
        fingerprint=fingerprint_for(uuid, spec, shared, parameters),
        spec=spec,
        bound=parameters,
        past=past,
    )
    tree.add(task)
    return task, task_fact(
        tree,
        task,
        created_by=created_by,
        sequence=task.sequence,
        qsequence=task.qsequence,
        spec=msgspec.Raw(msgspec.json.encode(spec)),
        bound=values(parameters),
        fingerprint=task.fingerprint,
        is_pure=task.is_pure,
        ineligible=spec.ineligible,
        at=past.created_at if past else 0,
    )


def _objection(config: Config, tree: Tree, task: Task, bound: dict[str, JobParameter] | str) -> tuple[Reason, str]:
    if isinstance(bound, str):
        return Reason.PARAMETER_UNSET, f"job_parameters names `{bound}`, which the job does not have"
    if task.depth > config.max_depth:
        return Reason.TOO_DEEP, f"it is {task.depth} generations below the first task, at most {config.max_depth}"
    if len(tree.tasks) > config.max_tasks:
        return Reason.TOO_MANY_TASKS, f"a job has at most {config.max_tasks} tasks"
    if has_ancestor(tree, task.created_by, task.fingerprint):
        return Reason.OWN_ANCESTOR, "the same work is among the tasks that led to it, so it would never end"
    return Reason.NONE, ""


def values(bound: dict[str, JobParameter]) -> msgspec.Raw:
    """The bound parameters as one JSON object, name to value."""
    return msgspec.Raw(msgspec.json.encode({name: parameter.value for name, parameter in bound.items()}))


def end(tree: Tree, task: Task, event: str, **details: Any) -> Outputs:
    """The task's terminal event: the first one counts."""
    task.state = next_task(task.state, event, task.uuid)
    tree.close(task)
    yield task_fact(tree, task, **details)


def fail(tree: Tree, cause: Task, reason: Reason) -> Outputs:
    """A task's failure fails the job: running siblings finish, nothing new starts."""
    if tree.failing is not Reason.NONE:
        return
    tree.failing, tree.failed_task = reason, cause.uuid
    for task in list(tree.tasks.values()):
        if task.state == "todo":
            yield from end(tree, task, "cancel", reason=Reason.JOB_FAILED)
        elif not is_final(task.state):
            yield _withdraw(tree, task, unstarted_only=True)


def cancel(tree: Tree) -> Outputs:
    """The job is cancelled: every task that has not ended is, and what was requested for it is withdrawn."""
    tree.state = next_job(tree.state, "cancel", tree.root)
    for task in list(tree.tasks.values()):
        if is_final(task.state):
            continue
        if task.state != "todo":
            yield _withdraw(tree, task, unstarted_only=False)
        yield from end(tree, task, "cancel", reason=Reason.CANCELLED)
    yield job_fact(tree, reason=Reason.CANCELLED, tasks=len(tree.tasks))
    tree.forget()


def _withdraw(tree: Tree, task: Task, *, unstarted_only: bool) -> Output:
    record = Withdrawn(fingerprint=task.fingerprint, task=task.uuid, root=tree.root, unstarted_only=unstarted_only)
    return Output(Topic.CLAIMS, record)


def advance(tree: Tree) -> Outputs:
    """Request what the lowest open level has to do; with no open level left, have the output assembled.

    A job that is imported requests nothing: with no open level left, it ends as it had ended.
    """
    level = tree.level()
    if tree.history is not None:
        if level is None:
            yield _end_import(tree, tree.history)
    elif level is None:
        tree.state = next_job(tree.state, "assemble", tree.root)
        yield job_fact(tree, tasks=len(tree.tasks))
    elif tree.failing is Reason.NONE:
        for uuid in tree.todo.pop(level, []):
            yield from claim(tree, tree.tasks[uuid])


ENDS: dict[ImportedState, tuple[str, Reason]] = {
    "complete": ("complete", Reason.NONE),
    "failed": ("fail", Reason.PERMANENT_FAILURE),
    "cancelled": ("cancel", Reason.CANCELLED),
}
"""How what is imported ends: the event in the lifecycle, the reason."""


def _end_import(tree: Tree, history: History) -> Output:
    event, reason = ENDS[history.state]
    tree.state = next_job(tree.state, event, tree.root)
    failed = (task.uuid for task in tree.tasks.values() if task.state == "failed")
    fact = job_fact(
        tree,
        output=history.output,
        reason=reason,
        task=next(failed, "") if event == "fail" else "",
        tasks=len(tree.tasks),
        detail=history.detail,
        at=history.finished_at,
        started_at=history.started_at,
    )
    tree.forget()
    return fact


def times(past: Past | None) -> dict[str, int]:
    """The times of an imported task, as fields of TaskChanged; of another task none."""
    if past is None:
        return {}
    return {"at": past.finished_at, "started_at": past.started_at, "finished_at": past.finished_at}


def claim(tree: Tree, task: Task) -> Outputs:
    """Just before executing: only now is it asked whether this work was, or is being, done."""
    spec = task.spec
    assert spec is not None, f"task {task.uuid} of an ended job was to be requested"
    task.state = next_task(task.state, "claim", task.uuid)
    yield Output(
        Topic.CLAIMS,
        Requested(
            fingerprint=task.fingerprint,
            task=task.uuid,
            root=tree.root,
            owner=tree.owner,
            priority=spec.priority,
            cores=spec.resources.cores,
            memory=spec.resources.memory,
            scratch=spec.resources.scratch,
            refresh=spec.refresh,
            by_inputs=spec.share == "by_inputs",
            forbid_children=spec.children == "forbid",
            by_record=spec.verdict == "record",
            spec=msgspec.Raw(msgspec.json.encode(spec)),
            bound=values(task.bound),
            qsequence=task.qsequence,
        ),
    )
    yield task_fact(tree, task, fingerprint=task.fingerprint)
