"""The audit of `claims`, continued: who waits, who moves in which order, and to whom an output goes."""

import msgspec

from coordinator.audit_model import LIVE, Held, Look, Model, Problems
from schemas import claims as c
from schemas import facts as f
from schemas import tasks as t
from schemas import work as w

# --- Waiters ----------------------------------------------------------------------------------------------------------


def waiting(model: Model, fact: f.Waiting) -> Problems:
    """Nobody waits on what they may not see, or on what will give nothing."""
    execution, want = model.held.get(fact.token), model.wants.get(fact.task)
    if execution is None or want is None:
        yield 5, f"{fact.task} waits on {fact.token}: one of them is unknown"
        return
    if not model.sees(want.owner, execution):
        yield 6, f"{fact.task} waits on {fact.token}, which its owner may not see"
    if execution.impure or execution.status not in (LIVE if fact.kind == "execution" else ("done",)):
        yield 7, f"{fact.task} waits on {fact.token}, which is {execution.status} or impure"
    model.enqueue(fact.task, fact.token, fact.kind)


def _move(model: Model, task: str) -> Problems:
    """A task that may have waited waits no longer; those that move together do so in the order they waited in."""
    waited = model.dequeue(task)
    if waited is None:
        return
    place, rank = waited
    if rank < model.now.moved.get(place, 0):
        yield 5, f"{task} was moved after one that had waited less long"
    model.now.moved[place] = max(rank, model.now.moved.get(place, 0))


def promoted(model: Model, fact: f.Promoted) -> Problems:
    """The first in the queue who may see the execution takes it over, nobody else."""
    execution, want = model.held.get(fact.token), model.wants.get(fact.task)
    queue = model.queues.get((fact.token, "execution"), {})
    if execution is None or want is None or fact.task not in queue or execution.status not in LIVE:
        yield 5, f"{fact.task} took over {fact.token}, on which it did not wait"
        return
    able = [task for task in queue if model.sees(model.wants[task].owner, execution)]
    if able[:1] != [fact.task]:
        yield (5 if fact.task in able else 6), f"{fact.task} took over {fact.token} before its turn, or unseen"
    model.dequeue(fact.task)
    held = execution.want
    execution.want = msgspec.structs.replace(want, cores=held.cores, memory=held.memory, scratch=held.scratch)
    execution.task, execution.holders = fact.task, [(want.owner, fact.task)]
    model.now.inherited.append(fact.token)


def redecided(model: Model, fact: f.Redecided) -> Problems:
    """A waiter's turn."""
    yield from _move(model, fact.task)


def failed(model: Model, record: t.TaskFailed) -> Problems:
    """A waiter, or the task of an execution, fails."""
    yield from _move(model, record.task)


# --- Looks ------------------------------------------------------------------------------------------------------------


def ready(model: Model, work: w.Ready) -> Problems:
    """Somebody is to look at an entry."""
    if work.kind == "verify":
        model.looks[work.token] = Look(work.entry, work.prove)
    yield from ()


def called_off(model: Model, work: w.Cancelled) -> Problems:
    """Nobody is to look any more."""
    model.looks.pop(work.token, None)
    yield from ()


# --- Outputs ----------------------------------------------------------------------------------------------------------


def created(model: Model, record: t.TaskCreated) -> Problems:
    """A child, before its creator's last record."""
    model.now.born[record.created_by] = model.now.born.get(record.created_by, 0) + 1
    yield from ()


def copied(model: Model, record: t.TaskCopied) -> Problems:
    """Byte for byte the source's output, with all of its children."""
    execution = model.held.get(record.token)
    if execution is None or record.output != execution.output:
        yield 4, f"the copy of {record.task} has another output than {record.token}"
    elif not record.children == execution.children == model.now.born.pop(record.task, 0):
        yield 8, f"the copy of {record.task} does not have the children of {record.token}"


def reused(model: Model, fact: f.Reused) -> Problems:
    """Only a finished, pure, undisputed execution is given, and only to who may see it."""
    execution, want = model.held.get(fact.token), model.wants.get(fact.task)
    if execution is None or want is None:
        yield 7, f"{fact.task} was given {fact.token}: one of them is unknown"
        return
    if execution.status != "done" or execution.impure:
        yield 7, f"{fact.task} was given {fact.token}, which is {execution.status} or impure"
    proved = _proved(model, execution, want)
    if fact.fingerprint in model.quarantined or model.disagree(want.owner, fact.fingerprint, proved=proved):
        yield 7, f"{fact.task} was given {fact.token}, which is quarantined or disagrees with another"
    yield from _crossing(model, fact, execution, want, proved)
    yield from _move(model, fact.task)
    if all(owner != want.owner for owner, _ in execution.holders):
        execution.holders.append((want.owner, fact.task))
    model.now.given = want


def _proved(model: Model, execution: Held, want: c.Requested) -> bool:
    """Whether it was just proved that the receiver may read all inputs. Where nothing tells any more for whom a proof
    was made (`work` is trimmed), it is taken for that of whoever could not be given the output otherwise."""
    command, look = model.now.command, model.now.look
    if not isinstance(command, c.Verified) or not command.proved:
        return False
    return not model.sees(want.owner, execution) if look is None else look.prove == want.owner


def _crossing(model: Model, fact: f.Reused, execution: Held, want: c.Requested, proved: bool) -> Problems:
    looked_at = model.now.look is None or model.now.look.entry == fact.token
    opened = proved and looked_at and execution.opened and not fact.source
    if not model.sees(want.owner, execution) and not opened:
        yield 6, f"{fact.task} was given {fact.token}, which its owner may not see"
    owners = [owner for owner, task in execution.holders if task == fact.source]
    if fact.source and not any(owner == want.owner or model.view.can_read(want.owner, owner) for owner in owners):
        yield 6, f"{fact.task} was told of {fact.source}, which its owner may not see or which has no such output"
