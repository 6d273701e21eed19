"""What an engine says of a container's end, and whether that was the engine's own doing."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

WENT_AWAY = "the Docker engine went away while the task ran"

_BY_SIGNAL = range(129, 193)
_MOMENT = 2  # seconds by which an engine tells of an end later than it dates it

Events = Callable[[int, int], Iterable[Mapping[str, Any]]]
"""The engine's events `kill` and `die` of the container, from one second to another by its clock."""


def start_error(state: Mapping[str, Any]) -> str:
    """Why it never ran; empty: it did."""
    return f"the engine could not run the container: {state['Error']}" if state.get("Error") else ""


def is_by_signal(code: int, state: Mapping[str, Any]) -> bool:
    """Whether a signal ended it, and not for its memory's sake."""
    return code in _BY_SIGNAL and not state.get("OOMKilled")


def engines_doing(code: int, state: Mapping[str, Any], events: Events) -> str:
    """Why the signal that ended it was not sent by the task itself; empty: it was.

    An engine that is stopped, or told by somebody to stop it, ends it as a task ends that kills itself: only what the
    engine tells of it differs.
    """
    since, until = (int(datetime.fromisoformat(state[at]).timestamp()) for at in ("StartedAt", "FinishedAt"))
    told = {event["Action"] for event in events(since, until + _MOMENT)}
    if "die" not in told:  # a restarted engine knows nothing of what was before
        return f"{WENT_AWAY} (it was restarted, and the container ended with exit code {code})"
    return f"{WENT_AWAY} (it ended the container, with exit code {code})" if "kill" in told else ""
