"""How jobs and tasks look to people: pure functions from rows to text with rich's markup."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from readmodel.rows import Counts, Job, Named, Task

if TYPE_CHECKING:
    from rich.tree import Tree

ENDED = ("complete", "failed", "cancelled")
_COLOURS = {
    "complete": "green",
    "copied": "cyan",
    "failed": "red",
    "cancelled": "red",
    "running": "yellow",
    "claimed": "yellow",
    "assembling": "yellow",
    "importing": "yellow",
}


def safe(text: str) -> str:
    """Text of others without meaning as markup or to a terminal."""
    from rich.markup import escape

    return escape("".join(character if character.isprintable() else "?" for character in text))


def seconds(milliseconds: int) -> str:
    """A length of time."""
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 600_000 else f"{milliseconds // 60_000} min"


def clock(milliseconds: int) -> str:
    """A time of day, here."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]


def state(name: str) -> str:
    """A state in its colour."""
    colour = _COLOURS.get(name, "dim")
    return f"[{colour}]{name}[/{colour}]"


def job_line(job: Job) -> str:
    """One line about a job."""
    name = f" {safe(job.name)}" if job.name else ""
    copied = f", {job.copied} copied" if job.copied else ""
    return f"{job.root}  {state(job.state)}{name}  {job.finished} of {job.tasks} tasks ended{copied}"


def job_tree(job: Job, tasks: Iterable[Task]) -> "Tree":
    """A job and its tasks, each below the one that queued it; `tasks` in tree order."""
    from rich.tree import Tree

    root = Tree(job_line(job))
    at = {job.root: root}
    for task in tasks:
        at[task.task] = at.get(task.created_by, root).add(task_line(task))
    return root


def task_line(task: Task) -> str:
    """One line about a task: its state, what it is, and how it came by its output."""
    label = safe(task.name) if task.name else task.task
    how = _how(task)
    return f"{state(task.state)}  {label}{f'  [dim]{how}[/dim]' if how else ''}"


def summary(job: Job, counts: Counts) -> str:
    """One line about an ended job, in numbers."""
    parts = [f"{counts.complete} executed", f"{counts.copied} copied"]
    parts += [f"{counts.failed} failed"] if counts.failed else []
    parts += [f"{counts.cancelled} cancelled"] if counts.cancelled else []
    parts += [f"{counts.waited} waited on another's work"] if counts.waited else []
    parts += [f"{seconds(counts.saved)} saved"] if counts.copied else []
    return f"{state(job.state)}: {job.tasks} {'task' if job.tasks == 1 else 'tasks'}: {', '.join(parts)}"


def _how(task: Task) -> str:
    match task.state:
        case "complete" if task.started_at and task.finished_at:
            return f"executed in {seconds(task.finished_at - task.started_at)}"
        case "copied":
            return f"copied from {_named(task.reused_from)}, saved {seconds(task.saved)}"
        case "claimed" if task.waiting_kind == "verification":
            return "waits until an existing output is looked at"
        case "claimed" if task.waiting_kind:
            return f"waits on {_named(task.waiting_on)}"
        case "running" if task.progress:
            return f"{task.progress / 10:.0f} %"
        case "failed" | "cancelled":
            return safe(task.detail or task.reason)
    return ""


def _named(named: Named | None) -> str:
    return f"{safe(named.name) or named.task} of {named.root}" if named else "another's"
