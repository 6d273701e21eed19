"""The audit of `tasks`: each task lives once, ends once, and has its children before it ends.

From the topics alone: a task is what its first `task_changed` says, its end is the first final state told of it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from coordinator.audit import Step, Violation, answer_of, check_answer
from schemas import facts as f
from schemas import tasks as t
from schemas.claims import Requested
from schemas.fields import NULL
from schemas.reasons import Outcome

FINAL = ("complete", "copied", "failed", "cancelled")
WORDS: dict[str, type[Any]] = {"complete": t.TaskCompleted, "copied": t.TaskCopied}
Problems = Iterator[tuple[int, str]]


class Known(msgspec.Struct):
    """A job: its state, its tasks' states, how many of them are open, and how many children each was given.

    `is_logged`: it was cancelled, and its log was saved after that. `priority`: the last one that it was given later.
    """

    state: str = ""
    is_logged: bool = False
    priority: int | None = None
    tasks: dict[str, str] = {}
    open: int = 0
    children: dict[str, int] = {}


class JobsChecker:
    """Checker of one partition of `tasks`: invariants 4, 8 and 10."""

    def __init__(self) -> None:
        self._jobs: dict[str, Known] = {}

    def check(self, step: Step) -> Iterator[Violation]:
        """What is wrong with this step, given those before it."""
        yield from check_answer(step)
        for number, text in self._problems(step):
            yield Violation(number, step.offset, text)

    def _problems(self, step: Step) -> Problems:
        command, answer = step.command, answer_of(step)
        if answer is not None and answer.outcome is Outcome.DONE:
            yield from self._accept(command)
        for output in step.outputs:
            if isinstance(output, f.TaskChanged):
                yield from self._task_changed(command, output)
            elif isinstance(output, f.JobChanged):
                yield from self._job_changed(command, output)
            elif isinstance(output, Requested):
                yield from self._requested(output)

    def _accept(self, command: Any) -> Problems:
        if isinstance(command, t.TaskCreated):
            children = self._job(command.root).children
            children[command.created_by] = children.get(command.created_by, 0) + 1
        elif isinstance(command, t.TaskCompleted | t.TaskCopied):
            yield from self._has_its_children(command)
        elif isinstance(command, t.JobPrioritised):
            self._job(command.root).priority = command.priority

    def _job(self, root: str) -> Known:
        return self._jobs.setdefault(root, Known())

    def _has_its_children(self, command: Any) -> Problems:
        if self._job(command.root).children.get(command.task, 0) != command.children:
            yield 8, f"task {command.task} ended before its {command.children} children were created"

    def _requested(self, want: Requested) -> Problems:
        priority = self._job(want.root).priority
        if priority not in (None, want.priority):
            yield 10, f"task {want.task} asked with priority {want.priority}, and its job had been given {priority}"

    def _task_changed(self, command: Any, fact: f.TaskChanged) -> Problems:
        job = self._job(fact.root)
        before = job.tasks.get(fact.task)
        if before is None:
            job.open += 1
            if fact.state != "todo" or fact.spec == NULL:
                yield 8, f"task {fact.task} began in state {fact.state}, not todo"
        elif before in FINAL and (fact.state != before or fact.is_pure is msgspec.UNSET):
            yield 4, f"task {fact.task} was {before} and then {fact.state}"
        job.tasks[fact.task] = fact.state
        if fact.state in FINAL and before not in FINAL:
            job.open -= 1
            yield from self._ended(command, fact)

    def _ended(self, command: Any, fact: f.TaskChanged) -> Problems:
        """Complete and copied are the claims machine's word, repeated to the letter."""
        word = WORDS.get(fact.state)
        if word is None:
            return
        told = (fact.task, fact.token, fact.output)
        if type(command) is not word or told != (command.task, command.token, command.output):
            yield 4, f"task {fact.task} is {fact.state} with another token or output than was said"

    def _job_changed(self, command: Any, fact: f.JobChanged) -> Problems:
        job = self._job(fact.root)
        if type(command) is t.JobAssembled and (job.state, fact.state) == ("cancelled", "cancelled"):
            if job.is_logged or fact.output or not fact.log:
                yield 4, f"job {fact.root} was cancelled, and then given more than its log, once"
            job.is_logged = True
            return
        if job.state in ("complete", "failed", "cancelled"):
            yield 4, f"job {fact.root} was {job.state} and then {fact.state}"
        if fact.state in ("assembling", "complete", "failed", "cancelled") and job.open:
            yield 4, f"job {fact.root} is {fact.state} with {job.open} tasks open"
        if fact.state in ("complete", "failed") and job.state not in ("assembling", "importing"):
            yield 4, f"job {fact.root} is {fact.state} and was never assembled"
        job.state = fact.state
