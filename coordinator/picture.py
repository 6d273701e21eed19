"""What is known at one moment, drawn from the facts up to then: jobs, tasks, executions, and who waits."""

from typing import Any

import msgspec

from coordinator.lifecycle import is_final
from schemas import facts as f
from schemas.fields import NULL
from schemas.spec import JobSpec


class JobPicture(msgspec.Struct):
    """A job: its owner, its label, its state and those of its tasks by uuid."""

    owner: str = ""
    name: str = ""
    state: f.JobState = "queued"
    output: str = ""
    tasks: dict[str, f.TaskState] = {}


class Picture(msgspec.Struct):
    """`jobs` by uuid, `executions`: status by token, `waits`: token by waiting task.

    `offsets`: how far each partition was read; `states`: digest of what its machine had come to there.
    The facts of one partition's machine are drawn in their order; those of different partitions in any.
    """

    jobs: dict[str, JobPicture] = {}
    executions: dict[str, f.ExecutionStatus] = {}
    waits: dict[str, str] = {}
    offsets: dict[str, int] = {}
    states: dict[str, str] = {}

    def draw(self, fact: Any) -> None:
        """Let a fact count. Those that change nothing in the picture are passed over."""
        match fact:
            case f.JobChanged():
                self._draw_job(fact)
            case f.TaskChanged(root=root, task=task, state=state):
                self.jobs.setdefault(root, JobPicture()).tasks[task] = state
            case f.ExecutionChanged(token=token, status=status):
                self.executions[token] = status
            case f.Granted(token=token, task=task):
                self.executions[token] = "granted"
                self.waits.pop(task, None)
            case f.Waiting(task=task, token=token):
                self.waits[task] = token
            case f.Promoted(task=task) | f.Reused(task=task) | f.Redecided(task=task):
                self.waits.pop(task, None)

    def jobs_by_state(self) -> dict[str, int]:
        """Number of jobs in each state."""
        return _counted([job.state for job in self.jobs.values()])

    def tasks_by_state(self) -> dict[str, int]:
        """Number of tasks in each state."""
        return _counted([state for job in self.jobs.values() for state in job.tasks.values()])

    def executions_by_status(self) -> dict[str, int]:
        """Number of executions in each status."""
        return _counted(list(self.executions.values()))

    def waiting(self) -> dict[str, str]:
        """Token by task, of tasks that wait: who has ended waits no longer, whatever was said last."""
        ended = {task for job in self.jobs.values() for task, state in job.tasks.items() if is_final(state)}
        return {task: token for task, token in self.waits.items() if task not in ended}

    def _draw_job(self, fact: f.JobChanged) -> None:
        job = self.jobs.setdefault(fact.root, JobPicture())
        job.state = fact.state
        job.output = fact.output or job.output
        if fact.spec != NULL:
            job.owner = fact.owner
            job.name = msgspec.json.decode(fact.spec, type=JobSpec).name


def _counted(states: list[Any]) -> dict[str, int]:
    return {state: states.count(state) for state in sorted(set(states))}
