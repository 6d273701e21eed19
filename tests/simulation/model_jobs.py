"""The model of one partition of `tasks`: the tree of each job, its levels, and one end for every task."""

from collections import Counter
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas import claims as c
from schemas import facts as f
from schemas import tasks as t
from schemas.facts import Answered
from schemas.reasons import Outcome
from schemas.settings import PureAssumed
from schemas.spec import JobSpec, TaskSpec
from schemas.topics import Topic
from tests.simulation.sight import Broken

FINAL = ("complete", "copied", "failed", "cancelled")
ENDS: dict[type, str] = {t.TaskCompleted: "complete", t.TaskCopied: "copied", t.TaskFailed: "failed"}
POLICY = ("priority", "share", "no_reuse", "refresh")
ITS_JOBS: dict[type, tuple[str, ...]] = {t.TaskCreated: POLICY, t.TaskSubmitted: ("priority",)}
MAY_FOLLOW = {
    "todo": ("claimed", "failed", "cancelled"),
    "claimed": ("claimed", "running", "complete", "copied", "failed", "cancelled"),
    "running": ("claimed", "running", "complete", "failed", "cancelled"),
}


class Task:
    """One task of a tree."""

    def __init__(self, created_by: str, spec: TaskSpec, fingerprint: str, is_pure: bool) -> None:
        self.created_by = created_by
        self.spec = spec
        self.fingerprint = fingerprint
        self.is_pure = is_pure
        self.state = "todo"

    @property
    def is_open(self) -> bool:
        return self.state not in FINAL


class Tree:
    """One job."""

    def __init__(self, owner: str, spec: JobSpec) -> None:
        self.owner = owner
        self.parameters = spec.parameters
        self.policy = {name: getattr(spec.task, name) for name in POLICY}
        self.state = "queued"
        self.is_logged = False  # a cancelled job gets its log afterwards, once
        self.tasks: dict[str, Task] = {}
        self.history: t.JobImported | None = None
        self.pasts: dict[str, t.TaskImported] = {}

    @property
    def is_open(self) -> bool:
        return self.state not in FINAL


class JobsModel:
    """Judges the steps of one partition in order. `fingerprints`: what stands for what, in both directions."""

    def __init__(self, fired: Counter[str], fingerprints: dict[Any, Any]) -> None:
        self.fired = fired
        self.fingerprints = fingerprints
        self.trees: dict[str, Tree] = {}
        self.assumed: list[PureAssumed] = []
        self.open = 0
        self._record: Any = None
        self._root = ""

    def is_quiet(self) -> bool:
        """Whether every job has ended."""
        return not self.open

    def unfinished(self) -> list[str]:
        """Jobs and tasks that have not ended."""
        return [
            f"{root} is {tree.state}: { ({uuid: task.state for uuid, task in tree.tasks.items() if task.is_open}) }"
            for root, tree in self.trees.items()
            if tree.is_open
        ]

    def judge(self, record: Any, outputs: list[tuple[Topic, Any]], answer: Answered) -> None:
        """Raise Broken if this does not follow from the record."""
        self._record, self._root = record, record.root
        tree = self.trees.get(record.root)
        if answer.outcome is not Outcome.DONE:
            self.fired[f"{answer.outcome}: {answer.reason}"] += 1
            self._must(4, not outputs, f"answered {answer.outcome}, and yet something followed")
            if type(record) in ENDS and tree is not None:
                task = tree.tasks.get(record.task)
                self._must(4, task is not None and not task.is_open, f"the end of {record.task} had no effect")
            return
        if isinstance(record, t.JobSubmitted | t.JobImported):
            self._must(4, tree is None, "the job was created twice")
            tree = self.trees[record.root] = Tree(record.owner, record.spec)
            tree.history = record if isinstance(record, t.JobImported) else None
            self.open += 1
        assert tree is not None
        was_open = tree.is_open
        asking = [uuid for uuid, task in tree.tasks.items() if task.state in ("claimed", "running")]
        for _, body in outputs:
            HANDLERS[type(body)](self, tree, body)
        if isinstance(record, t.JobCancelled | t.JobPrioritised):
            told = [body.task for _, body in outputs if isinstance(body, c.Withdrawn | c.TaskPrioritised)]
            self._must(5, told == asking, f"of {asking} only of {told} was anything said")
        if type(record) in ENDS:
            self._must(4, not tree.tasks[record.task].is_open, f"{record.task} did not end")
        if was_open and not tree.is_open:
            self.open -= 1
            self._must(4, not any(task.is_open for task in tree.tasks.values()), "the job ended before its tasks")

    def _must(self, number: int, is_so: Any, what: str) -> None:
        if not is_so:
            raise Broken(number, f"{what}; at {type(self._record).__name__} of {self._root}", self._root)

    # --- Jobs -----------------------------------------------------------------------------------------------------

    def _job(self, tree: Tree, fact: f.JobChanged) -> None:
        if tree.state == fact.state == "cancelled" and isinstance(self._record, t.JobAssembled):
            self._must(4, fact.log and not tree.is_logged, "a cancelled job is told of again, and not of its log")
            tree.is_logged = True
            self.fired["cancelled job's log"] += 1
            return
        self._must(4, tree.is_open, f"a job that is {tree.state} became {fact.state}")
        open_tasks = [uuid for uuid, task in tree.tasks.items() if task.is_open]
        self._must(8, not (fact.state in ("assembling", "complete") and open_tasks), f"{open_tasks} are still open")
        tree.state = fact.state
        if tree.history is not None:
            self._ends_as_there(tree, tree.history, fact)
        elif fact.state == "complete":
            self._must(4, isinstance(self._record, t.JobAssembled), "complete, and not assembled")
            failed = [uuid for uuid, task in tree.tasks.items() if task.state in ("failed", "cancelled")]
            self._must(4, not failed, f"complete although {failed} failed")
        self.fired[f"job {fact.state}"] += 1

    def _prioritised(self, tree: Tree, fact: f.PriorityChanged) -> None:
        self._must(10, fact.priority == self._record.priority, f"the job was to have {self._record.priority}")
        tree.policy["priority"] = fact.priority
        for task in tree.tasks.values():
            task.spec = replace(task.spec, priority=fact.priority)
        self.fired["prioritised"] += 1

    def _told_of_priority(self, tree: Tree, told: c.TaskPrioritised) -> None:
        task = tree.tasks.get(told.task)
        asked = task is not None and task.state in ("claimed", "running")
        self._must(10, asked and task.fingerprint == told.fingerprint, f"{told.task} had not asked")
        self._must(10, told.priority == tree.policy["priority"], f"{told.task} was given {told.priority}")
        self.fired["TaskPrioritised"] += 1

    def _ends_as_there(self, tree: Tree, history: t.JobImported, fact: f.JobChanged) -> None:
        if fact.state == "importing" or isinstance(self._record, t.JobCancelled):
            return
        same = (fact.state, fact.output, len(tree.tasks)) == (history.state, history.output, history.tasks)
        self._must(4, same, f"it was {history.state} with {history.tasks} tasks, and is {fact.state}")
        self.fired["import ended"] += 1

    def _imported(self, tree: Tree, record: c.Imported) -> None:
        task, past = tree.tasks.get(record.task), tree.pasts.get(record.task)
        whole = tree.history is not None and len(tree.tasks) == tree.history.tasks
        self._must(8, task is not None and past is not None and whole, f"{record.task} was told of before its time")
        assert task is not None
        assert past is not None
        self._must(4, (past.state, past.output) == ("complete", record.output), f"{record.task} had another end")
        self._must(7, record.fingerprint == task.fingerprint, f"{record.task} was imported as something else")
        self._must(6, record.owner == tree.owner, f"{record.task} was imported for {record.owner}")
        queued = [other.spec for other in tree.tasks.values() if other.created_by == record.task]
        self._must(8, [*record.children] == queued, f"{record.task} had queued {len(queued)} tasks")

    # --- Tasks ----------------------------------------------------------------------------------------------------

    def _task(self, tree: Tree, fact: f.TaskChanged) -> None:
        task = tree.tasks.get(fact.task)
        if task is None:
            self._created(tree, fact)
            return
        if fact.is_pure is False:
            task.is_pure = False
            self.fired["purity taken back"] += 1
            if task.state == "todo":
                task.fingerprint = fact.fingerprint
            self._must(4, fact.state == task.state, f"{fact.task} became {fact.state} by losing its purity")
            return
        self._must(4, task.is_open, f"{fact.task} ended as {task.state} and then became {fact.state}")
        if fact.state == task.state and fact.state != "running":
            return
        self._must(4, fact.state in MAY_FOLLOW[task.state], f"{fact.task} went from {task.state} to {fact.state}")
        self._has_cause(fact)
        task.state = fact.state
        self.fired[f"task {fact.state}"] += 1

    def _has_cause(self, fact: f.TaskChanged) -> None:
        record = self._record
        end = ENDS.get(type(record)) if getattr(record, "task", "") == fact.task else None
        if fact.state in ("complete", "copied"):
            same = end == fact.state and (record.output, record.token) == (fact.output, fact.token)
            self._must(4, same, f"{fact.task} is {fact.state} with {fact.output}")
        elif fact.state == "failed":
            creating = isinstance(record, t.JobSubmitted | t.TaskSubmitted | t.TaskCreated | t.TaskImported)
            self._must(4, end == "failed" or creating, f"{fact.task} failed without a cause")
            if creating:
                self.fired[f"task refused: {fact.reason}"] += 1
        else:
            self._must(4, end is None, f"{fact.task} is {fact.state} at its end")

    def _created(self, tree: Tree, fact: f.TaskChanged) -> None:
        record = self._record
        self._must(8, fact.state == "todo", f"{fact.task} was created as {fact.state}")
        open_to = ("importing",) if isinstance(record, t.TaskImported) else ("queued", "running")
        self._must(8, tree.state in open_to, f"{fact.task} was created in a job that is {tree.state}")
        if isinstance(record, t.TaskImported):
            self._must(8, record.task not in tree.pasts, f"{fact.task} was imported twice")
            tree.pasts[record.task] = record
        if isinstance(record, t.TaskCreated):
            creator = tree.tasks.get(record.created_by)
            self._must(8, creator is not None and creator.is_open, f"the creator of {fact.task} has ended before")
            self._must(8, (record.task, record.created_by) == (fact.task, fact.created_by), "another was created")
        spec = record.spec.task if isinstance(record.spec, JobSpec) else record.spec
        spec = replace(spec, **{name: tree.policy[name] for name in ITS_JOBS.get(type(record), ())})
        if not spec.is_pure and any(
            spec.commit in a.commits and (spec.repository, spec.script) == (a.repository, a.script)
            for a in self.assumed
        ):
            self.fired["assumed pure"] += 1
            spec = replace(spec, is_pure=True, job_parameters="all")
        said = msgspec.json.decode(fact.spec, type=TaskSpec)
        self._must(6, said == spec, f"{fact.task} is under another job's policy: {said}")
        task = Task(fact.created_by, spec, fact.fingerprint, fact.is_pure is True)
        self._must(6, _json(fact.bound) == self._bound(tree, spec), f"{fact.task} is bound to {fact.bound!r}")
        self._means(tree, fact.task, task)
        tree.tasks[fact.task] = task
        self.fired["task created"] += 1

    def _bound(self, tree: Tree, spec: TaskSpec) -> dict[str, Any]:
        """What the task names of its own job's parameters; nothing if one is missing, then it fails."""
        names = [*tree.parameters] if spec.job_parameters == "all" else [*spec.job_parameters]
        if not all(name in tree.parameters for name in names):
            return {}
        return {name: _json(tree.parameters[name].value) for name in names}

    def _means(self, tree: Tree, uuid: str, task: Task) -> None:
        """One fingerprint, one meaning; one meaning, one fingerprint; and what is not shared has its own."""
        shared = task.is_pure and not task.spec.no_reuse and not task.spec.ineligible
        named = () if task.spec.job_parameters == "all" else task.spec.job_parameters
        shared = shared and (uuid not in tree.pasts or all(name in tree.parameters for name in named))
        bound = sorted((name, tree.parameters[name].digest) for name in self._bound(tree, task.spec))
        meaning = (task.spec.components, *bound) if shared else uuid
        self._must(7, task.fingerprint.startswith("impure:") is not shared, f"{uuid} is shared, or is not, wrongly")
        known = (
            self.fingerprints.setdefault(task.fingerprint, meaning),
            self.fingerprints.setdefault(meaning, task.fingerprint),
        )
        self._must(7, known == (meaning, task.fingerprint), f"the fingerprint of {uuid} stands for something else")

    # --- What it asks of claims -----------------------------------------------------------------------------------

    def _requested(self, tree: Tree, want: c.Requested) -> None:
        task = tree.tasks.get(want.task)
        self._must(8, task is not None and task.is_open, f"{want.task} was requested and is not open")
        assert task is not None
        lower = [u for u, other in tree.tasks.items() if other.is_open and other.spec.sequence < task.spec.sequence]
        self._must(8, not lower, f"{want.task} was requested while {lower} of lower levels are open")
        self._must(6, want.owner == tree.owner, f"{want.task} was requested for {want.owner}")
        if not task.is_pure:
            self._must(7, want.fingerprint == f"impure:{want.task}", f"{want.task} is impure and was to be shared")
            task.fingerprint = want.fingerprint
        else:
            self._must(7, want.fingerprint == task.fingerprint, f"{want.task} was requested as something else")
        self._must(6, _json(want.bound) == self._bound(tree, task.spec), f"{want.task} brings {want.bound!r}")
        self._must(7, want.refresh == task.spec.refresh, f"{want.task} was requested with another policy")
        self._must(10, want.priority == tree.policy["priority"], f"{want.task} was requested with {want.priority}")
        self._must(8, not self._is_its_own_ancestor(tree, task), f"{want.task} is its own ancestor")
        self.fired["requested"] += 1
        if task.spec.sequence:
            self.fired["requested at a later level"] += 1

    def _is_its_own_ancestor(self, tree: Tree, task: Task) -> bool:
        above = tree.tasks.get(task.created_by)
        while above is not None:
            if above.fingerprint == task.fingerprint:
                return True
            above = tree.tasks.get(above.created_by)
        return False

    def _withdrawn(self, tree: Tree, record: c.Withdrawn | c.PurityDropped) -> None:
        task = tree.tasks.get(record.task)
        known = task is not None and task.state != "todo"
        if isinstance(record, c.Withdrawn):
            known = known and task.is_open
        self._must(5, known, f"{record.task} was withdrawn and had not asked")
        self.fired[type(record).__name__] += 1


def _json(value: Any) -> Any:
    return msgspec.json.decode(value)


HANDLERS: dict[type, Any] = {
    f.JobChanged: JobsModel._job,
    f.PriorityChanged: JobsModel._prioritised,
    f.TaskChanged: JobsModel._task,
    c.Requested: JobsModel._requested,
    c.Imported: JobsModel._imported,
    c.Withdrawn: JobsModel._withdrawn,
    c.PurityDropped: JobsModel._withdrawn,
    c.TaskPrioritised: JobsModel._told_of_priority,
}
