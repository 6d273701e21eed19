"""What the audit knows of every topic: who may write a record, that each command is answered once, and how to ask more.

The checkers look at the log from outside: a command, and what stands in the topics as decided because of it. They keep
a model of their own and never ask a machine what it thinks. Numbers of invariants are those of docs/architecture.md.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from schemas import assignments, claims, tasks, work
from schemas.facts import Answered
from schemas.fields import Record
from schemas.log import Genesis
from schemas.settings import Forwarded
from schemas.topics import Topic, members


class Step(NamedTuple):
    """One command as it stands in its partition, and the records that name it as their cause, in order of their index.

    `command`: the record, or Undecodable. `token`: what a token granted because of it begins with.
    """

    offset: int
    token: str
    command: Any
    outputs: tuple[Any, ...]


class Violation(NamedTuple):
    """What should never be in a log. `invariant`: its number; `offset`: of the command at which it shows."""

    invariant: int
    offset: int
    text: str


class Checker(Protocol):
    """Looks at the steps of one partition, in order."""

    def check(self, step: Step) -> Iterator[Violation]:
        """What is wrong with this step, given those before it."""
        ...


WRITTEN_BY_MACHINES: dict[Topic, frozenset[type[Any]]] = {
    Topic.SETTINGS: frozenset(),
    Topic.TASKS: frozenset(
        {
            Forwarded,
            tasks.TaskCreated,
            tasks.TaskStarted,
            tasks.TaskReported,
            tasks.TaskCompleted,
            tasks.TaskCopied,
            tasks.TaskFailed,
            tasks.TaskUnclaimed,
        }
    ),
    Topic.CLAIMS: frozenset(
        {
            Forwarded,
            claims.Requested,
            claims.Imported,
            claims.Withdrawn,
            claims.PurityDropped,
            claims.TaskPrioritised,
            claims.Lost,
            claims.Unplaceable,
        }
    ),
    Topic.WORK: frozenset({Forwarded, work.Ready, work.Reprioritised, work.Cancelled}),
    Topic.ASSIGNMENTS: frozenset({assignments.Assigned, assignments.Stopped}),
    Topic.FACTS: frozenset(members(Topic.FACTS)) - {Genesis},
}

TARGETS: dict[Topic, tuple[Topic, ...]] = {
    Topic.SETTINGS: (Topic.TASKS, Topic.CLAIMS, Topic.WORK, Topic.FACTS),
    Topic.TASKS: (Topic.CLAIMS, Topic.FACTS),
    Topic.CLAIMS: (Topic.TASKS, Topic.WORK, Topic.FACTS),
    Topic.WORK: (Topic.CLAIMS, Topic.ASSIGNMENTS, Topic.FACTS),  # facts: what is no record is refused there
}


def answer_of(step: Step) -> Answered | None:
    """The command's answer, if it has one."""
    return next((output for output in reversed(step.outputs) if type(output) is Answered), None)


def check_answer(step: Step) -> Iterator[Violation]:
    """A command has exactly one answer, and it comes last; Genesis and forwarded settings have none."""
    waits = not isinstance(step.command, Genesis | Forwarded)
    answers = [rank for rank, output in enumerate(step.outputs) if type(output) is Answered]
    if answers != ([len(step.outputs) - 1] if waits else []):
        yield Violation(10, step.offset, f"{_name(step.command)} has {len(answers)} answers, or not as its last output")


class AnswersOnce:
    """Checker of `settings`: one answer for each change."""

    def check(self, step: Step) -> Iterator[Violation]:
        """What is wrong with this step."""
        return check_answer(step)


def _name(record: Record) -> str:
    return type(record).__name__
