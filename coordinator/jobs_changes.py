"""What its owner changes of a job that goes on: a task's purity, and the job's priority."""

import msgspec

from coordinator import jobs_levels as levels
from coordinator.fingerprint import impure_fingerprint
from coordinator.jobs_levels import Outputs
from coordinator.jobs_state import Task, Tree
from coordinator.lifecycle import is_final
from coordinator.machine import Output, answered, nothing, refused
from schemas.claims import PurityDropped, TaskPrioritised
from schemas.facts import PriorityChanged
from schemas.reasons import Reason
from schemas.tasks import JobPrioritised, PurityTakenBack
from schemas.topics import Topic


def purity_taken_back(tree: Tree, record: PurityTakenBack) -> Outputs:
    """True to false at any time; a task that waits is withdrawn and requested anew. False to true never."""
    task = tree.tasks.get(record.task)
    if task is None:
        yield refused(record.root, Reason.UNKNOWN, "no such task in this job")
    elif record.is_pure and not task.is_pure:
        yield refused(record.root, Reason.PURITY_ONLY_FALLS, "is_pure can be set to true only at creation")
    elif record.is_pure == task.is_pure:
        yield nothing(record.root, Reason.ALREADY)
    else:
        yield from _make_impure(tree, task)
        yield answered(record.root)


def _make_impure(tree: Tree, task: Task) -> Outputs:
    was = task.fingerprint
    task.is_pure = False
    if task.state == "todo":
        task.fingerprint = impure_fingerprint(task.uuid)
    elif was != impure_fingerprint(task.uuid):
        yield Output(Topic.CLAIMS, PurityDropped(fingerprint=was, task=task.uuid, root=tree.root))
    yield levels.task_fact(tree, task, fingerprint=task.fingerprint, is_pure=False)


def job_prioritised(tree: Tree, record: JobPrioritised) -> Outputs:
    """All of a job's tasks have its priority: those to come ask with it, and for those that have asked it is told."""
    if is_final(tree.state) or tree.history is not None:
        yield refused(record.root, Reason.FINISHED, f"the job is {tree.state}: nothing of it is left to run")
    elif record.priority == tree.policy.priority:
        yield nothing(record.root, Reason.ALREADY)
    else:
        tree.policy.priority = record.priority
        yield Output(Topic.FACTS, PriorityChanged(root=tree.root, priority=record.priority))
        for task in tree.tasks.values():
            yield from _prioritise(tree, task)
        yield answered(record.root)


def _prioritise(tree: Tree, task: Task) -> Outputs:
    if is_final(task.state):
        return
    assert task.spec is not None, f"task {task.uuid} of an ended job was to get another priority"
    priority = tree.policy.priority
    task.spec = msgspec.structs.replace(task.spec, priority=priority)
    if task.state != "todo":
        told = TaskPrioritised(fingerprint=task.fingerprint, task=task.uuid, root=tree.root, priority=priority)
        yield Output(Topic.CLAIMS, told)
