"""The claims machine for a process that counts its grants, and those that should not have been."""

from collections.abc import Callable, Iterator

from coordinator.claims import Claims
from coordinator.claims_give import Outputs
from coordinator.machine import RULES_VERSION, Output, Seen
from schemas.facts import Doubled, Granted
from schemas.topics import Topic

Heard = Callable[[Granted | Doubled], None]
"""Hears of each grant, and after it, if there was something beside it that would have done, of that."""


class WatchedClaims(Claims):
    """The machine of `claims`, which tells of its grants. Its steps and its state are the machine's own."""

    heard: Heard = staticmethod(lambda _: None)

    def step(self, seen: Seen) -> Outputs:
        """What follows from one record."""
        said = super().step(seen)
        if type(said) is not list:
            return self._lazily_told(said)
        if self._ctx.grants:
            for output in said:
                self._tell(output)
        return said

    def _lazily_told(self, said: Outputs) -> Iterator[Output]:
        for output in said:
            self._tell(output)
            yield output

    def _tell(self, output: Output) -> None:
        if isinstance(output.body, Granted | Doubled):
            self.heard(output.body)


class WatchedClaimsType:
    """Makes such machines. `heard`: of all of them, in the thread that runs them."""

    topic = Topic.CLAIMS

    def __init__(self, heard: Heard, known_rules: int = RULES_VERSION) -> None:
        self._heard = heard
        self._known_rules = known_rules

    def __call__(self) -> WatchedClaims:
        """A machine that has seen nothing."""
        return self._watched(WatchedClaims(self._known_rules))

    def restore(self, snapshot: bytes) -> WatchedClaims:
        """The machine that made the snapshot."""
        return self._watched(WatchedClaims.restore(snapshot, self._known_rules))

    def _watched(self, machine: WatchedClaims) -> WatchedClaims:
        machine.heard = self._heard
        return machine
