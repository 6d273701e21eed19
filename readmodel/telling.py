"""An explanation in words: lines for people, from the viewer's place as the explanation itself is."""

from datetime import datetime

from readmodel.differences import Difference
from readmodel.explain import Compared, Explanation
from readmodel.forecast import Forecast
from readmodel.nearest import Nearest
from readmodel.rows import Execution, Named
from readmodel.story import label
from readmodel.waiting import Wait

TOLD = 10  # differences that are told of one task; --json has all


def sentences(explanation: Explanation) -> list[str]:
    """The explanation as lines."""
    lines = [_first_line(explanation), *(f"because {why.text}" for why in explanation.why_executed)]
    if explanation.proved:
        lines.append(f"shared by inputs: that its owner may read all that it names was proved{_moment_of(explanation)}")
    lines += [_of_side(execution) for execution in explanation.sides]
    if explanation.waiting is not None:
        lines.append(_of_wait(explanation.waiting))
    for nearest in explanation.nearest:
        lines += _of_nearest(nearest)
    return lines


WOULD = {
    "execute": "would be executed",
    "wait": "would wait on {source}, which runs now",
    "reuse": "would be given the output of {source}",
    "refuse": "would be refused",
}


def foretold(forecast: Forecast) -> list[str]:
    """What would become of a task, as lines."""
    would = WOULD[forecast.would].format(source=_whose(forecast.source, "another execution"))
    lines = [f"{'  ' * forecast.depth}{forecast.name or 'the task'} {would}"]
    lines += [f"because {why.text}" for why in forecast.why]
    for nearest in forecast.nearest:
        lines += _of_nearest(nearest)
    return lines


def comparison(compared: Compared) -> list[str]:
    """The differences of two tasks as lines, the first task's value on the left."""
    mine, other = (task.name or task.task for task in (compared.mine, compared.other))
    if not compared.different:
        return [f"{mine} and {other} are the same work: nothing in their fingerprints differs"]
    return [f"{mine} and {other} differ in:", *_told(compared.different)]


def _of_wait(wait: Wait) -> str:
    """One line: whose it is, where it runs, since when, how far it is, who else waits, how long it may take."""
    parts = [f"it is {wait.owner}'s, {_STANDS.get(wait.status, wait.status)}"]
    if wait.status == "running" and wait.running_at is not None:
        parts.append(f"on {wait.node} since {_moment(wait.running_at)}")
    if wait.alive_at is not None:
        parts.append(f"whose last sign of life was at {_moment(wait.alive_at)}")
    if wait.progress:
        parts.append(f"at {wait.progress / 10:.0f} %")
    parts.append(f"number {wait.position} of those that wait and that you can see")
    if wait.takes is not None:
        parts.append(f"earlier runs of this program took {wait.takes / 1000:.1f} s")
    return ", ".join(parts)


_STANDS = {"granted": "not started yet", "done": "done, and its output is being looked at", "running": "running"}


def _of_side(execution: Execution) -> str:
    """One line: an output that disagrees with others, whose it is, and where and in which environment it was made."""
    if execution.owner is None:
        return f"  {execution.output}: whose it is, and where it was made, is not yours to see"
    under = f"under {execution.runner}" if execution.runner else ""
    made = (f"on {execution.node}" if execution.node else "", under, execution.environment or "")
    return f"  {', '.join([f'{execution.output}: of {execution.task}', *filter(None, made)])}"


def _of_nearest(nearest: Nearest) -> list[str]:
    which = f"nearest is {_whose(nearest.task, '')}: it differs in {', '.join(nearest.components)}"
    return [which, *_told(nearest.different)]


def _told(different: tuple[Difference, ...]) -> list[str]:
    lines = [f"  {_line(one)}" for one in different[:TOLD]]
    return lines + ([f"  and in {len(different) - TOLD} more places"] if len(different) > TOLD else [])


def _line(one: Difference) -> str:
    place = f"{one.component}: {one.path}" if one.path else one.component
    if one.mine is None and one.other is None:
        return place
    return f"{place}: {one.mine or 'nothing'} here, {one.other or 'nothing'} there"


def _whose(named: Named | None, otherwise: str) -> str:
    return f"{label(named, otherwise)} of {named.owner}" if named and named.owner else label(named, otherwise)


def _first_line(explanation: Explanation) -> str:
    task, source = explanation.task, _whose(explanation.source, "another execution")
    subject = task.name or task.task
    match explanation.how:
        case "reused":
            waited = "waited on it and was then given" if explanation.waited else "was given"
            return f"{subject} {waited} the output of {source}{_since(explanation)}"
        case "waiting":
            return f"{subject} waits on {source}{_since(explanation)}"
        case "refused" | "failed" | "cancelled":
            told = task.detail or task.reason.replace("_", " ")
            return f"{subject} {_ENDS[explanation.how]}{': ' + told if told else ''}"
        case "todo":
            return f"{subject} is queued: its level {task.sequence} is not reached yet"
        case "requested":
            return f"{subject} is {'granted an execution, which has not started' if task.attempt else 'asked for'}"
        case "running":
            return f"{subject} is running under {task.token}{_since(explanation)}"
        case "executed":
            return f"{subject} was executed under {task.token}{_since(explanation)}"


_ENDS = {"refused": "was refused an execution", "failed": "failed", "cancelled": "was cancelled"}


def _moment_of(explanation: Explanation) -> str:
    return "" if explanation.since is None else f" at {_moment(explanation.since)}"


def _since(explanation: Explanation) -> str:
    """Since when it is so, and by which rules that was decided."""
    if explanation.since is None:
        return ""
    moment = _moment(explanation.since)
    word = "at" if explanation.how in ("reused", "executed") else "since"
    return f", {word} {moment} (rules version {explanation.rules})"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(" ", "seconds")
