"""What the jobs machine remembers of one primary job: the tree of its tasks, and which levels are still open."""

from typing import Literal, Self

import msgspec

from coordinator.fingerprint import fingerprint_of, impure_fingerprint
from schemas.facts import JobState, TaskState
from schemas.reasons import Reason
from schemas.settings import PureAssumed
from schemas.spec import JobParameter, TaskSpec
from schemas.tasks import ImportedState


class Past(msgspec.Struct, kw_only=True):
    """How an imported task ended elsewhere; times in ms since 1970, 0: unknown."""

    state: ImportedState
    output: str
    detail: str
    created_at: int
    started_at: int
    finished_at: int


class History(msgspec.Struct, kw_only=True):
    """How an imported job ended elsewhere, and how many tasks it had; times in ms since 1970, 0: unknown."""

    state: ImportedState
    tasks: int
    output: str
    detail: str
    started_at: int
    finished_at: int


class Task(msgspec.Struct, kw_only=True):
    """One task. `spec`, `bound` and `past` are forgotten when its job has ended."""

    uuid: str
    created_by: str
    depth: int
    sequence: int
    qsequence: int
    is_pure: bool
    fingerprint: str
    state: TaskState = "todo"
    spec: TaskSpec | None
    bound: dict[str, JobParameter] = {}
    past: Past | None = None


class Policy(msgspec.Struct):
    """What the first task says for the whole job; a task queued here, or copied from elsewhere, brings none of it."""

    priority: int = 0
    share: Literal["visible", "by_inputs"] = "visible"
    no_reuse: bool = False
    refresh: bool = False

    @classmethod
    def of(cls, spec: TaskSpec) -> Self:
        """The first task's."""
        return cls(spec.priority, spec.share, spec.no_reuse, spec.refresh)

    def applied_to(self, spec: TaskSpec) -> TaskSpec:
        """The task under this job's policy."""
        return msgspec.structs.replace(
            spec, priority=self.priority, share=self.share, no_reuse=self.no_reuse, refresh=self.refresh
        )


class Tree(msgspec.Struct, kw_only=True):
    """One primary job. `levels`: open tasks of each level; `todo`: tasks of each level not yet requested."""

    root: str
    owner: str
    request: str
    state: JobState = "queued"
    parameters: dict[str, JobParameter] = {}
    policy: Policy
    tasks: dict[str, Task] = {}
    levels: dict[int, int] = {}
    todo: dict[int, list[str]] = {}
    next_rank: int = 0
    failing: Reason = Reason.NONE
    failed_task: str = ""
    history: History | None = None
    is_logged: bool = False  # cancelled: its log is saved

    def add(self, task: Task) -> None:
        """Put a new task, in state todo, into the tree."""
        self.tasks[task.uuid] = task
        self.next_rank += 1
        self.levels[task.sequence] = self.levels.get(task.sequence, 0) + 1
        self.todo.setdefault(task.sequence, []).append(task.uuid)

    def close(self, task: Task) -> None:
        """The task has ended: its level has one open task less."""
        self.levels[task.sequence] -= 1
        if not self.levels[task.sequence]:
            del self.levels[task.sequence]
            self.todo.pop(task.sequence, None)

    def level(self) -> int | None:
        """The lowest level with open tasks; None when every task has ended."""
        return min(self.levels, default=None)

    def forget(self) -> None:
        """The job has ended: keep what idempotence needs, not what was asked."""
        self.parameters, self.levels, self.todo, self.history = {}, {}, {}, None
        for task in self.tasks.values():
            task.spec, task.bound, task.past = None, {}, None


def bind(tree: Tree, spec: TaskSpec) -> dict[str, JobParameter] | str:
    """The parameters of this job that the task names; or the name of one that the job does not have."""
    if spec.job_parameters == "all":
        return dict(tree.parameters)
    missing = next((name for name in spec.job_parameters if name not in tree.parameters), None)
    if missing is not None:
        return missing
    return {name: tree.parameters[name] for name in spec.job_parameters}


def assumed_pure(spec: TaskSpec, declarations: list[PureAssumed]) -> TaskSpec:
    """The task as an operator's declaration makes it: pure, with all job parameters captured; else as it is.

    Source: tasks of unmodified Crunch scripts, which never say is_pure.
    """
    if spec.is_pure or spec.ineligible:
        return spec
    for declared in declarations:
        if (spec.repository, spec.script) == (declared.repository, declared.script) and spec.commit in declared.commits:
            return msgspec.structs.replace(spec, is_pure=True, job_parameters="all")
    return spec


def fingerprint_for(task: str, spec: TaskSpec, is_pure: bool, bound: dict[str, JobParameter]) -> str:
    """What the task's output depends on; shared with nobody if it is impure, can't be reused, or won't."""
    if not is_pure or spec.ineligible or spec.no_reuse:
        return impure_fingerprint(task)
    return fingerprint_of(spec.components, {name: parameter.digest for name, parameter in bound.items()})


def has_ancestor(tree: Tree, created_by: str, fingerprint: str) -> bool:
    """Whether a task with this fingerprint is among the creator and those above it."""
    task = tree.tasks.get(created_by)
    while task is not None:
        if task.fingerprint == fingerprint:
            return True
        task = tree.tasks.get(task.created_by)
    return False
