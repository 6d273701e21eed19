"""What the claims machine says of a job's tasks, while they are open."""

from typing import Any

from coordinator import jobs_levels as levels
from coordinator.fingerprint import impure_fingerprint
from coordinator.jobs_levels import Outputs
from coordinator.jobs_state import Tree
from coordinator.lifecycle import next_job, next_task
from coordinator.machine import answered, nothing
from schemas import tasks as t
from schemas.reasons import Reason


def task_started(tree: Tree, record: t.TaskStarted) -> Outputs:
    """Its own execution runs."""
    yield from _begin(tree)
    task = tree.tasks[record.task]
    task.state = next_task(task.state, "start", task.uuid)
    yield levels.task_fact(tree, task, token=record.token)
    yield answered(record.root)


def task_reported(tree: Tree, record: t.TaskReported) -> Outputs:
    """Progress, for those who look on."""
    yield levels.task_fact(tree, tree.tasks[record.task], token=record.token, progress=record.progress)
    yield answered(record.root)


def task_completed(tree: Tree, record: t.TaskCompleted) -> Outputs:
    """Its own execution succeeded."""
    details = {"output": record.output, "log": record.log, "children": record.children}
    details |= levels.times(tree.tasks[record.task].past)
    yield from _ended(tree, record, "complete", token=record.token, **details)


def task_copied(tree: Tree, record: t.TaskCopied) -> Outputs:
    """It was given another execution's output."""
    yield from _ended(
        tree,
        record,
        "copy",
        token=record.token,
        source=record.source,
        output=record.output,
        log=record.log,
        children=record.children,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )


def task_failed(tree: Tree, record: t.TaskFailed) -> Outputs:
    """It failed for good, and its job with it."""
    yield from _ended(
        tree,
        record,
        "fail",
        reason=record.reason,
        failure=record.failure,
        exit_code=record.exit_code,
        detail=record.detail,
        log=record.log,
        output=record.output,
    )


def _ended(tree: Tree, record: Any, event: str, **details: Any) -> Outputs:
    yield from _begin(tree)
    task = tree.tasks[record.task]
    yield from levels.end(tree, task, event, **details)
    if event == "fail":
        yield from levels.fail(tree, task, details["reason"])
    yield from levels.advance(tree)
    yield answered(record.root)


def _begin(tree: Tree) -> Outputs:
    if tree.state == "queued":
        tree.state = next_job(tree.state, "start", tree.root)
        yield levels.job_fact(tree)


def task_unclaimed(tree: Tree, record: t.TaskUnclaimed) -> Outputs:
    """Its request is gone. A failed job lets it be; else it asks anew, as what it now is."""
    task = tree.tasks[record.task]
    if record.fingerprint != task.fingerprint:
        yield nothing(record.root, Reason.NOT_CURRENT)
        return
    task.state = next_task(task.state, "unclaim", task.uuid)
    if tree.failing is not Reason.NONE:
        yield from levels.end(tree, task, "cancel", reason=Reason.JOB_FAILED)
        yield from levels.advance(tree)
    else:
        task.fingerprint = task.fingerprint if task.is_pure else impure_fingerprint(task.uuid)
        yield from levels.claim(tree, task)
    yield answered(record.root)
