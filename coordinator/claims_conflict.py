"""Outputs that differ: nobody is given one of them until somebody has decided which is right.

An entry whose output is lost, or was tidied away, was not judged by that: were its word forgotten, the other one would
be given as if somebody had chosen it. So the word stands until somebody does: for those who may see the entry, and only
beside what it stood against when it went. Who sees none of these is to learn nothing of them, and is served as if the
entry had never been. What is gone is given to nobody, waited on by nobody and looked at by nobody.
"""

from collections.abc import Iterable, Iterator

from coordinator.claims_give import Said, disagreed
from coordinator.claims_state import Claim, Execution, Gone, is_open, may_see
from coordinator.visibility import View


def disagree(view: View, reader: str, claim: Claim, executions: list[Execution], *, proved: bool = False) -> bool:
    """Whether finished ones among those the reader sees have outputs that nobody has settled; what is gone counts.

    `proved`: the reader was just proved to read all inputs, so what was opened to whoever can counts too.
    """
    if proved:
        executions = [*executions, *filter(is_open, claim.executions.values())]
    if claim.gone:
        executions = [*executions, *_standing(view, reader, claim, executions, proved)]
    elif len(executions) < 2 and not (executions and executions[0].late):
        return False
    return differ(claim, executions)


def _standing(view: View, reader: str, claim: Claim, executions: list[Execution], proved: bool) -> list[Execution]:
    """Those of the gone ones that the reader sees together with one that they stood against."""
    heard = [gone for gone in claim.gone if may_see(view, reader, gone.execution) or (proved and gone.opened)]
    present = {execution.token for execution in executions} | {gone.execution.token for gone in heard}
    return [gone.execution for gone in heard if not present.isdisjoint(gone.against)]


def differ(claim: Claim, executions: list[Execution]) -> bool:
    """Whether finished ones among them have outputs that nobody has settled."""
    outputs = set(outputs_of(executions))
    return len(outputs) > 1 and not outputs.issubset(claim.settled)


def outputs_of(executions: Iterable[Execution]) -> Iterator[str]:
    """What finished ones have as output, and what earlier attempts of theirs had when it was too late."""
    for execution in executions:
        if execution.status == "done":
            yield execution.output
            yield from execution.late.values()


def lose(claim: Claim, entry: Execution) -> None:
    """The entry is none any more. Its word stands if it stood against another's."""
    against = tuple(other.token for other in _opposed(claim, entry))
    del claim.executions[entry.token]
    if against:
        claim.gone += (Gone(execution=entry, against=against, opened=is_open(entry)),)
        entry.children, entry.replaced = {}, ()  # it is given to nobody, and hears no late word


def forget(claim: Claim, entries: list[Execution]) -> Said:
    """The word of these counts no more: they are judged, or their author takes it back.

    What is gone and stood against one of them stands from here on against all that says otherwise, which is told of
    those that are new to it; where nothing does, it is forgotten too.
    """
    tokens = {entry.token for entry in entries}
    for token in [token for token in claim.executions if token in tokens]:
        del claim.executions[token]
    claim.gone = tuple(gone for gone in claim.gone if gone.execution.token not in tokens)
    said = [told for gone in claim.gone if not tokens.isdisjoint(gone.against) for told in _look_again(claim, gone)]
    claim.gone = tuple(gone for gone in claim.gone if gone.against)
    return said


def gone_of(claim: Claim, task: str) -> Execution | None:
    """The execution that ran for this task, if it is among those that are gone."""
    return next((gone.execution for gone in claim.gone if gone.execution.task == task), None)


def finished(claim: Claim) -> list[Execution]:
    """The entries, in order of grant, and then those that are gone."""
    entries = [execution for execution in claim.executions.values() if execution.status == "done"]
    return [*entries, *(gone.execution for gone in claim.gone)]


def _opposed(claim: Claim, entry: Execution) -> list[Execution]:
    return [other for other in finished(claim) if other.token != entry.token and differ(claim, [entry, other])]


def _look_again(claim: Claim, gone: Gone) -> Said:
    opposed, known, own = _opposed(claim, gone.execution), gone.against, gone.execution
    gone.against = tuple(other.token for other in opposed)
    return [disagreed(own, other) for other in opposed if other.token not in known and other.output != own.output]
