"""The promise that nothing runs twice, looked at while it is kept: what else whoever was just granted an execution saw.

The machine decides by `decide`; this looks at what stands there afterwards, and needs no word of how it came about.
"""

from collections.abc import Callable

from coordinator.claims import Claims
from coordinator.claims_give import Outputs
from coordinator.claims_state import Claim, can_wait, visible
from coordinator.machine import RULES_VERSION, Output, Seen
from coordinator.visibility import View
from schemas.facts import Granted
from schemas.topics import Topic

ON_PURPOSE = frozenset({"refresh", "conflict", "quarantined", "retry"})  # granted beside others, or in their place

Heard = Callable[[Granted, int], None]
"""Hears of each grant, and of how many live executions its owner could be served by then: 1, its own."""


def live_in_view(view: View, claim: Claim, granted: Granted) -> int:
    """Live executions that the owner of a fresh grant may see and wait on, its own and those granted before it."""
    own = claim.executions.get(granted.token)
    if own is None or own.status == "done" or granted.why in ON_PURPOSE:
        return 1
    seen = visible(view, own.owner, claim)
    earlier = seen[: seen.index(own)] if own in seen else []
    return 1 + sum(can_wait(execution, own.want) for execution in earlier)


class WatchedClaims(Claims):
    """The machine of `claims`, which tells of its grants. Its steps and its state are the machine's own."""

    heard: Heard = staticmethod(lambda _granted, _live: None)

    def step(self, seen: Seen) -> Outputs:
        """What follows from one record."""
        said = super().step(seen)
        if type(said) is not list:
            return self._lazily_told(said)
        if self._ctx.grants:
            for output in said:
                self._tell(output)
        return said

    def _lazily_told(self, said: Outputs) -> Outputs:
        for output in said:
            self._tell(output)
            yield output

    def _tell(self, output: Output) -> None:
        fact = output.body
        if type(fact) is Granted:
            claim = self.rows.get(fact.fingerprint)
            self.heard(fact, live_in_view(self.state.view, claim, fact) if claim else 1)


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
