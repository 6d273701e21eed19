"""Jobs that ended in another system: their history joins the log, and ends here as it ended there.

A job's tasks come one by one, since all of them could be more than one record holds. While they come nothing is
requested. With the last one the whole tree is known, so also which tasks each had queued: only then is the claims
machine told of what was complete, and its word, as for any task, is what completes it here.
"""

import msgspec

from coordinator import jobs_levels as levels
from coordinator.config import Config
from coordinator.fingerprint import impure_fingerprint
from coordinator.jobs_levels import Outputs
from coordinator.jobs_state import History, Past, Policy, Task, Tree, assumed_pure, bind
from coordinator.lifecycle import next_job, next_task
from coordinator.machine import Output, answered, nothing, refused
from coordinator.rows import Rows
from schemas.claims import Imported
from schemas.fields import MAX_SPEC_BYTES
from schemas.reasons import Reason
from schemas.settings import PureAssumed
from schemas.spec import TaskSpec
from schemas.tasks import JobImported, TaskImported
from schemas.topics import Topic

TOO_LARGE = f"children: the tasks that it queued take more than {MAX_SPEC_BYTES} bytes"
OTHER_TASKS = "its import began with {} tasks, and its source has {} now, so it will not end: cancel the job"


def job_imported(config: Config, trees: Rows[Tree], record: JobImported) -> Outputs:
    """A job begins as history. A repeat of the same has no effect; another job on its uuid is refused.

    So is a repeat with other tasks than are still awaited: the job would never end.
    """
    known = trees.get(record.root)
    if known is not None and known.request == record.request:
        yield _again(known, record)
    elif known is not None:
        yield refused(record.root, Reason.UUID_TAKEN, "another job has this uuid")
    elif record.tasks > config.max_tasks:
        yield refused(record.root, Reason.TOO_MANY_TASKS, f"a job has at most {config.max_tasks} tasks")
    else:
        tree = trees[record.root] = _tree(record)
        spec = msgspec.Raw(msgspec.json.encode(record.spec))
        yield levels.job_fact(tree, owner=tree.owner, spec=spec, at=record.created_at)
        if not record.tasks:
            yield from levels.advance(tree)
        yield answered(record.root, detail=record.root)


def _again(tree: Tree, record: JobImported) -> Output:
    awaited = tree.history.tasks if tree.history is not None else 0
    if len(tree.tasks) < awaited != record.tasks:
        return refused(record.root, Reason.UUID_TAKEN, OTHER_TASKS.format(awaited, record.tasks))
    return nothing(record.root, Reason.ALREADY, "it was imported before")


def _tree(record: JobImported) -> Tree:
    return Tree(
        root=record.root,
        owner=record.owner,
        request=record.request,
        state=next_job("queued", "import", record.root),
        parameters=dict(record.spec.parameters),
        policy=Policy.of(record.spec.task),
        history=History(
            state=record.state,
            tasks=record.tasks,
            output=record.output,
            detail=record.detail,
            started_at=record.started_at,
            finished_at=record.finished_at,
        ),
    )


def task_imported(assumed: list[PureAssumed], tree: Tree, record: TaskImported) -> Outputs:
    """One more task of an import. The last one lets all of them end."""
    history = tree.history
    if record.task in tree.tasks:
        yield nothing(record.root, Reason.ALREADY)
    elif tree.state != "importing" or history is None or len(tree.tasks) >= history.tasks:
        yield refused(record.root, Reason.FINISHED, "the job is not being imported, or has all its tasks")
    else:
        spec = assumed_pure(record.spec, assumed)
        _, fact = levels.join(tree, record.task, record.created_by, spec, bind(tree, spec), _past(record))
        yield fact
        if len(tree.tasks) == history.tasks:
            yield from _end_all(tree)
        yield answered(record.root, detail=record.task)


def _past(record: TaskImported) -> Past:
    return Past(
        state=record.state,
        output=record.output,
        detail=record.detail,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )


def _end_all(tree: Tree) -> Outputs:
    children: dict[str, list[TaskSpec]] = {}
    for task in tree.tasks.values():
        assert task.spec is not None
        children.setdefault(task.created_by, []).append(task.spec)
    for task in list(tree.tasks.values()):
        past = task.past
        assert past is not None, f"task {task.uuid} of an imported job has no history"
        if past.state == "complete":
            yield from _claim(tree, task, past, tuple(children.get(task.uuid, ())))
        else:
            event, reason = levels.ENDS[past.state]
            yield from levels.end(tree, task, event, reason=reason, detail=past.detail, **levels.times(past))
    if tree.level() is None:
        yield from levels.advance(tree)


def _claim(tree: Tree, task: Task, past: Past, children: tuple[TaskSpec, ...]) -> Outputs:
    """Hand a complete task to the claims machine; one whose children no record could hold is shared with nobody."""
    assert task.spec is not None
    ineligible = ""
    if sum(len(msgspec.json.encode(child)) for child in children) > MAX_SPEC_BYTES:
        task.fingerprint, children, ineligible = impure_fingerprint(task.uuid), (), TOO_LARGE
    task.state = next_task(task.state, "claim", task.uuid)
    record = Imported(
        fingerprint=task.fingerprint,
        task=task.uuid,
        root=tree.root,
        owner=tree.owner,
        output=past.output,
        by_inputs=task.spec.share == "by_inputs",
        children=children,
        started_at=past.started_at,
        finished_at=past.finished_at,
        spec=msgspec.Raw(msgspec.json.encode(task.spec)),
        bound=levels.values(task.bound),
    )
    yield Output(Topic.CLAIMS, record)
    yield levels.task_fact(tree, task, fingerprint=task.fingerprint, ineligible=ineligible, at=past.created_at)
