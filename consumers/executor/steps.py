"""The life of one execution as named steps, and what it means when one of them goes wrong.

    take -> announce -> prepare -> run -> capture -> store -> report -> free

`take`, `announce`, `report` and `free` are records, and so the core's: a log that can't be reached is tried again until
the lease is over, any other trouble with it ends the executor. `prepare` to `store` are one `Attempt`; what goes wrong
there becomes a report by the table below. A trouble that is not in the table is ours, a bug: it is nobody's failure,
it ends the executor, and the work is given to somebody else.
"""

from enum import StrEnum
from typing import Literal, NamedTuple

from consumers.executor.asking import NoWord
from consumers.executor.capture import BadOutput, StoreTrouble
from consumers.runners.port import CannotRun, Outcome
from consumers.runners.supervise import TEMPORARY_EXIT
from schemas.reasons import Failure
from store.errors import ExtractFailed, StoreError


class Step(StrEnum):
    """One step of an execution's life."""

    TAKE = "take"
    ANNOUNCE = "announce"
    PREPARE = "prepare"
    RUN = "run"
    CAPTURE = "capture"
    STORE = "store"
    REPORT = "report"
    FREE = "free"


Means = Literal["temporary", "permanent"]

# What each failure means for the task: done again, elsewhere if there is an elsewhere, or failed for good.
# (Without a failure, and after an exit code, the machine decides: `coordinator.claims_state.verdict`.)
MEANS: dict[Failure, Means] = {
    Failure.TEMPORARY: "temporary",
    Failure.NODE: "temporary",
    Failure.STORE: "temporary",
    Failure.HANDED_OVER: "temporary",
    Failure.OUT_OF_MEMORY: "permanent",
    Failure.TIMEOUT: "permanent",
    Failure.SIGNAL: "permanent",
    Failure.OUTPUT: "permanent",
    Failure.FITS_NO_NODE: "permanent",
}


class Trouble(NamedTuple):
    """This error in this step is this failure."""

    step: Step
    error: type[Exception]
    failure: Failure


# The first row that fits counts. `CannotRun` names its failure itself: the node's, or the task's own.
TROUBLES = (
    Trouble(Step.PREPARE, ExtractFailed, Failure.NODE),
    Trouble(Step.PREPARE, StoreError, Failure.STORE),
    Trouble(Step.PREPARE, NoWord, Failure.NODE),
    Trouble(Step.PREPARE, OSError, Failure.NODE),
    Trouble(Step.RUN, OSError, Failure.NODE),
    Trouble(Step.CAPTURE, BadOutput, Failure.OUTPUT),
    Trouble(Step.CAPTURE, OSError, Failure.NODE),
    Trouble(Step.STORE, BadOutput, Failure.OUTPUT),
    Trouble(Step.STORE, StoreTrouble, Failure.STORE),
    Trouble(Step.STORE, StoreError, Failure.STORE),
    Trouble(Step.STORE, OSError, Failure.NODE),
)


def outcome_of_trouble(step: Step, error: Exception, ended: Outcome | None = None) -> Outcome | None:
    """What an error in a step comes to, its cause in one line for people; None: it is a bug of ours.

    `ended`: what the task's own end had come to, if it has ended.
    """
    if isinstance(error, CannotRun):
        return Outcome(exit_code=error.exit_code, failure=error.failure, reason=str(error))
    for row in TROUBLES:
        if row.step is step and isinstance(error, row.error):
            if row.failure is Failure.OUTPUT and ended is not None:
                return _without_output(ended, error)
            return Outcome(exit_code=-1, failure=row.failure, reason=_in_words(error))
    return None


def _without_output(ended: Outcome, error: Exception) -> Outcome:
    """Whatever it exited with, it may have reported success: without an output it is none."""
    reason = f"{ended.reason}; {error}" if ended.reason else str(error)
    failure = Failure.TEMPORARY if ended.exit_code == TEMPORARY_EXIT else Failure.OUTPUT
    return Outcome(exit_code=ended.exit_code, failure=failure, reason=reason)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"the node has trouble with its files: {error.strerror or error}{where}"
    return f"prepare: {error}" if isinstance(error, ExtractFailed) else str(error)
