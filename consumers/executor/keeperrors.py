"""Crunch v1's rule for tasks that Keep has failed: what the SDK says of it on standard error is a temporary failure."""

import re
from collections.abc import Callable

import msgspec

from consumers.runners.port import Outcome
from consumers.runners.supervise import TEMPORARY_EXIT
from schemas.reasons import Failure

_SAID = re.compile(rb"Keep(?:Read|Write|Request)Error:")
_LONGEST = len(b"KeepRequestError:")


class KeepErrors:
    """Passes output on, and remembers whether it told of an error of Keep's. Source: crunch-job of 2015 and later."""

    def __init__(self, on_output: Callable[[bytes], object]) -> None:
        self._on_output = on_output
        self._end = b""
        self._heard = False

    def __call__(self, data: bytes) -> None:
        """Some output; what it tells may begin in one piece and end in the next."""
        self._heard = self._heard or _SAID.search(self._end + data) is not None
        self._end = (self._end + data)[1 - _LONGEST :]
        self._on_output(data)

    def judged(self, outcome: Outcome) -> Outcome:
        """A failure by exit code counts as temporary if Keep was the cause. The task's own record counts for more."""
        if not self._heard or outcome.failure is not Failure.EXIT or outcome.exit_code == TEMPORARY_EXIT:
            return outcome
        reason = f"{outcome.reason}, after an error of Keep's: a temporary failure"
        return msgspec.structs.replace(outcome, exit_code=TEMPORARY_EXIT, reason=reason)
