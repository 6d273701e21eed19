"""The audit of fingerprints: each is worked out again from the task and the parameters that its request carries.

Machines never do this. They compare digests that were made once, at the edge, so that no library's upgrade changes a
decision; here it is seen whether that was done rightly. What was resolved at the edge (commit, image) stands as it is.
"""

from collections.abc import Iterator

import msgspec

from coordinator.audit import Step, Violation
from coordinator.canonical import digest
from coordinator.fingerprint import fingerprint_of, is_impure
from coordinator.taskspec import components_again
from schemas.claims import Imported, Requested
from schemas.spec import TaskSpec

_SPEC = msgspec.json.Decoder(TaskSpec)
_BOUND = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder()


class DigestsChecker:
    """Checker of one partition of `claims`: what is requested under a fingerprint has that fingerprint."""

    def check(self, step: Step) -> Iterator[Violation]:
        """What is wrong with this step."""
        command = step.command
        if isinstance(command, Requested | Imported) and not is_impure(command.fingerprint):
            found = _found(command)
            if found != command.fingerprint:
                text = f"task {command.task} stands under {command.fingerprint}, but what it carries gives {found}"
                yield Violation(9, step.offset, text)


def _found(command: Requested | Imported) -> str:
    """The fingerprint of what the record carries, or why it has none: who forged it need not have carried anything."""
    try:
        return fingerprint_again(command)
    except msgspec.DecodeError as error:
        return f"none ({error})"


def fingerprint_again(request: Requested | Imported) -> str:
    """The fingerprint of what the request carries."""
    bound = {name: digest(_VALUE.decode(value)) for name, value in _BOUND.decode(request.bound).items()}
    return fingerprint_of(components_again(_SPEC.decode(request.spec)), bound)
