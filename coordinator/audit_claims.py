"""The audit of `claims`: what must never have been granted, or said of an execution.

It believes the log, not the machine: an execution is what a `granted` in the topics says, a holder is who was given a
copy. Against that it holds each later decision. The numbers are those of the invariants.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from coordinator import audit_giving as giving
from coordinator.audit import Step, Violation, answer_of, check_answer
from coordinator.audit_model import LIVE, Held, Model, Now, Problems, could_wait
from schemas import claims as c
from schemas import facts as f
from schemas import tasks as t
from schemas import work as w
from schemas.reasons import Outcome
from schemas.settings import Forwarded


class ClaimsChecker:
    """Checker of one partition of `claims`: invariants 1 to 8 and 10."""

    def __init__(self) -> None:
        self._model = Model()

    def check(self, step: Step) -> Iterator[Violation]:
        """What is wrong with this step, given those before it."""
        yield from check_answer(step)
        for number, text in self._problems(step):
            yield Violation(number, step.offset, text)

    def _problems(self, step: Step) -> Problems:
        model, answer = self._model, answer_of(step)
        model.now = Now(step.command, step.token)
        if isinstance(step.command, Forwarded):
            model.apply(step.command)
        if answer is not None and answer.outcome is Outcome.DONE:
            yield from _accept(model, step.command)
        for output in step.outputs:
            report = REPORTS.get(type(output))
            if report is not None:
                yield from report(model, output)
        yield from _left_behind(model)


def _left_behind(model: Model) -> Problems:
    """Who still waits when a step is over: on nothing that has ended, on nothing that has become invisible."""
    for token in model.now.ended:
        if (token, "execution") in model.queues or (token, "verification") in model.queues:
            yield 10, f"{token} ended, and tasks that waited on it were forgotten"
    for token in model.now.inherited:
        for task in model.queues.get((token, "execution"), ()):
            if not model.sees(model.wants[task].owner, model.held[token]):
                yield 6, f"{task} goes on waiting on {token}, which its owner may not see any more"


# --- Commands ---------------------------------------------------------------------------------------------------------


def _accept(model: Model, command: Any) -> Problems:
    """What a command changes by itself, where it was accepted."""
    match command:
        case c.Requested():
            model.remember(command)
        case c.Imported(fingerprint=fingerprint, task=task, root=root, owner=owner, by_inputs=opened):
            want = c.Requested(fingerprint=fingerprint, task=task, root=root, owner=owner, by_inputs=opened)
            model.remember(want)
        case c.Reported() | c.ChildQueued() | c.Unplaceable() | c.Started():
            yield from _accept_of_an_execution(model, command)
        case c.Quarantined() | c.Released():
            _judge(model, command)
        case c.Verified(token=token) | c.OutputMissing(token=token) | c.Lost(token=token):
            model.now.look = model.looks.pop(token, None)
        case c.Withdrawn(task=task) | c.PurityDropped(task=task):
            model.dequeue(task)
            if isinstance(command, c.PurityDropped):
                _take_back(model, command)


def _judge(model: Model, command: c.Quarantined | c.Released) -> None:
    """An operator's word. What an invalidation ends, or keeps, is told by facts."""
    match command:
        case c.Quarantined(fingerprint=fingerprint):
            model.quarantined[fingerprint] = None
        case c.Released(fingerprint=fingerprint):
            model.quarantined.pop(fingerprint, None)
            model.settle(fingerprint)


def _take_back(model: Model, command: c.PurityDropped) -> None:
    """What the task's execution said is no word on this work, even if it is lost."""
    for token in model.tokens.get(command.fingerprint, ()):
        if model.held[token].task == command.task:
            model.forget(command.fingerprint, token)


def _accept_of_an_execution(model: Model, command: Any) -> Problems:
    execution = model.held.get(command.token)
    if execution is None or execution.status not in LIVE:
        yield 2, f"{type(command).__name__} was accepted under {command.token}, which is not current"
    elif isinstance(command, c.ChildQueued):
        execution.children += 1
    elif isinstance(command, c.Reported) and command.output is not msgspec.UNSET:
        execution.named_output = command.output
    elif isinstance(command, c.Unplaceable):
        execution.unable = True


# --- Grants -----------------------------------------------------------------------------------------------------------


def granted(model: Model, fact: f.Granted) -> Problems:
    """A token is new, and nothing visible would have done."""
    if fact.token in model.held or not fact.token.startswith(model.now.prefix):
        yield 3, f"{fact.token} was granted before, or is not of this record"
    want = model.wants.get(fact.task) if fact.task else model.now.given
    if fact.why == "retry":
        yield from _retried(model, fact)
        return
    if want is None:
        yield 5, f"{fact.task or 'nobody'} was granted {fact.token} without a request"
        return
    if fact.why in ("first", "redecided"):
        yield from _needless(model, fact, want)
    held = Held(want=want, task=fact.task, holders=[(fact.owner, want.task)])
    if isinstance(model.now.command, c.Imported):
        held.children = len(model.now.command.children)
    elif fact.why == "imported":
        yield 1, f"{fact.token} was granted as imported, and is not"
    _hold(model, fact, held)


def _needless(model: Model, fact: f.Granted, want: c.Requested) -> Problems:
    for execution in model.visible(want.owner, fact.fingerprint):
        if execution.status == "done" or could_wait(execution, want):
            yield 1, f"{fact.task} was granted {fact.token} although a visible execution is {execution.status}"


def doubled(_model: Model, fact: f.Doubled) -> Problems:
    """The machine itself found that the grant before this was one too many."""
    yield 1, f"{fact.token} was granted beside {', '.join(fact.beside)}: the log itself says that one would have done"


def _retried(model: Model, fact: f.Granted) -> Problems:
    old = model.held.get(fact.replaces)
    if old is None or old.status in (*LIVE, "done") or old.task != fact.task:
        yield 2, f"{fact.token} replaces {fact.replaces}, which had not failed or was another's"
        return
    model.requeue(fact.replaces, fact.token)
    _hold(model, fact, Held(want=old.want, task=old.task, holders=old.holders[:1], impure=old.impure))


def _hold(model: Model, fact: f.Granted, execution: Held) -> None:
    model.held[fact.token] = execution
    model.tokens.setdefault(fact.fingerprint, []).append(fact.token)


# --- Ends -------------------------------------------------------------------------------------------------------------


def completed(model: Model, record: t.TaskCompleted) -> Problems:
    """A task completes by its own execution's exit, with its output and all its children."""
    execution, command = model.held.get(record.token), model.now.command
    if execution is None or record.token not in model.now.ended or record.task != execution.task:
        yield 2, f"{record.task} completed under {record.token}, which did not end here or is another's"
        return
    if not isinstance(command, c.Exited | c.Imported) or record.output != execution.output:
        yield 2, f"{record.task} completed with another output than its exit said"
    due = 0 if isinstance(command, c.Imported) else execution.children  # imported ones are in the job already
    if not record.children == due == model.now.born.pop(record.task, 0):
        yield 8, f"{record.task} completed without all the children it had queued"


def changed(model: Model, fact: f.ExecutionChanged) -> Problems:
    """What has ended stays ended; what is done is done by its own token's exit."""
    execution, command = model.held.get(fact.token), model.now.command
    if execution is None:
        yield 2, f"{fact.token} is {fact.status}, and was never granted"
        return
    if fact.status in ("running", "done", "failed", "lost", "cancelled") and execution.status not in LIVE:
        yield 2, f"{fact.token} is {fact.status} after it was {execution.status}"
    if fact.status == "done":
        said = execution.named_output or getattr(command, "output", "")
        own = isinstance(command, c.Imported) or getattr(command, "token", "") == fact.token
        if not own or fact.output != said:
            yield 2, f"{fact.token} is done by another's word, or with another output"
        execution.output = fact.output
    _follow(model, fact, execution)


def disagreed(model: Model, fact: f.Disagreed) -> Problems:
    """Two finished executions, or one and an attempt before it whose output came too late, differ."""
    earlier, later = (model.held.get(token) for token in fact.tokens)
    if earlier is None or later is None or fact.outputs[0] == fact.outputs[1] or later.output != fact.outputs[1]:
        yield 7, f"{fact.tokens[0]} and {fact.tokens[1]} are said to disagree, and do not"
    elif earlier.status != "done" and not earlier.against:
        later.late.append(fact.outputs[0])


def kept(model: Model, fact: f.Kept) -> Problems:
    """Only an operator who names the execution that stays makes a late word count no more."""
    command, execution = model.now.command, model.held.get(fact.token)
    by_name = isinstance(command, c.Invalidated) and not command.token and command.keep == fact.token
    if execution is None or not by_name:
        yield 7, f"{fact.token} was kept against what came too late, and nobody had said so"
    else:
        execution.late.clear()


def _follow(model: Model, fact: f.ExecutionChanged, execution: Held) -> None:
    if fact.status == "impure":
        execution.impure = True
        execution.status = "impure" if execution.status == "done" else execution.status
    else:
        execution.status = fact.status
    if fact.status == "running":
        execution.unable = False
        execution.private = fact.runner == "process"
        if execution.private:
            model.now.inherited.append(fact.token)
    else:
        model.now.ended.append(fact.token)
    if fact.status in ("missing", "removed"):
        model.lose(fact.fingerprint, fact.token)
    elif fact.status in ("invalidated", "impure"):
        model.forget(fact.fingerprint, fact.token)


REPORTS: dict[type, Callable[[Model, Any], Problems]] = {
    f.Granted: granted,
    f.Doubled: doubled,
    f.Waiting: giving.waiting,
    f.Promoted: giving.promoted,
    f.Reused: giving.reused,
    f.Redecided: giving.redecided,
    f.Disagreed: disagreed,
    f.Kept: kept,
    f.ExecutionChanged: changed,
    t.TaskCreated: giving.created,
    t.TaskCopied: giving.copied,
    t.TaskCompleted: completed,
    t.TaskFailed: giving.failed,
    w.Ready: giving.ready,
    w.Cancelled: giving.called_off,
}
