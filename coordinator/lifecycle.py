"""The life of a task and of a job: two tables, which decide, and from which the diagrams in the docs are made."""

from schemas.facts import JobState, TaskState

TASK: dict[TaskState, dict[str, TaskState]] = {
    "todo": {"claim": "claimed", "fail": "failed", "cancel": "cancelled"},
    "claimed": {
        "start": "running",
        "complete": "complete",
        "copy": "copied",
        "fail": "failed",
        "cancel": "cancelled",
        "unclaim": "todo",
    },
    "running": {
        "start": "running",
        "complete": "complete",
        "fail": "failed",
        "cancel": "cancelled",
        "unclaim": "todo",
    },
    "complete": {},
    "copied": {},
    "failed": {},
    "cancelled": {},
}

JOB: dict[JobState, dict[str, JobState]] = {
    "queued": {"start": "running", "assemble": "assembling", "import": "importing", "cancel": "cancelled"},
    "running": {"assemble": "assembling", "cancel": "cancelled"},
    "assembling": {"complete": "complete", "fail": "failed", "cancel": "cancelled"},
    "importing": {"complete": "complete", "fail": "failed", "cancel": "cancelled"},
    "complete": {},
    "failed": {},
    "cancelled": {},
}


FINAL = frozenset(
    [state for state, after in TASK.items() if not after] + [state for state, after in JOB.items() if not after]
)


class InvalidTransition(AssertionError):
    """A machine tried a step that the table does not have: a bug, so it stops and says what it was doing."""


def next_task(state: TaskState, event: str, task: str) -> TaskState:
    """The state that follows. Raises InvalidTransition."""
    try:
        return TASK[state][event]
    except KeyError:
        raise InvalidTransition(f"task {task} is {state}: `{event}` can't happen to it") from None


def next_job(state: JobState, event: str, root: str) -> JobState:
    """The state that follows. Raises InvalidTransition."""
    try:
        return JOB[state][event]
    except KeyError:
        raise InvalidTransition(f"job {root} is {state}: `{event}` can't happen to it") from None


def is_final(state: TaskState | JobState) -> bool:
    """Whether nothing follows any more."""
    return state in FINAL


def mermaid(table: dict[str, dict[str, str]]) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for state, events in table.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in events.items()]
        if not events:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
