"""The claims machine: per fingerprint, who runs it, who waits, who is given the output.

A claim is a set of executions, each under a token of its own; "current" always means this execution's token. Nothing
is ever given away but through `visible` and `may_see`, asked anew at every step under the settings as this partition
has them: an answer given yesterday gives nothing away today.

    requested ──▶ granted ──▶ running ──▶ done (an entry) ──▶ copies
        │             ▲           │
        ├─▶ waiting ──┴─ redecided┴─▶ failed, lost: again, or the waiters are decided anew
        └─▶ reused, or waiting for one look at an old entry
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import msgspec

from coordinator import claims_entry, claims_exit, claims_import, claims_life, claims_waiters
from coordinator.claims_decide import decide
from coordinator.claims_give import Context, Outputs, Said
from coordinator.claims_proof import with_alerts
from coordinator.claims_state import Claim, has_request
from coordinator.config import Config, apply
from coordinator.fingerprint import is_impure
from coordinator.machine import RULES_VERSION, Seen, answered, check_rules, nothing
from coordinator.rows import Rows, whole
from coordinator.visibility import View
from schemas import claims as c
from schemas.reasons import Reason
from schemas.settings import ConfigSet, Forwarded
from schemas.topics import Topic

Handler = Callable[[Context, Claim, Any], Outputs]


class State(msgspec.Struct, kw_only=True):
    """All that a partition's prefix has led to, but the claims."""

    config: Config
    view: View
    stale_before: int = 0
    settings_position: int = -1


class _Claims(msgspec.Struct):
    claims: dict[str, Claim] = {}


def requested(ctx: Context, claim: Claim, record: c.Requested) -> Said:
    """A task asks. The same task's second request under this fingerprint has no effect while the first stands."""
    if claim.executions and has_request(claim, record.task):
        return [nothing(record.fingerprint, Reason.ALREADY)]
    said = decide(ctx, claim, record)
    said.append(answered(record.fingerprint))
    return said


HANDLERS: dict[type, Handler] = {
    c.Requested: requested,
    c.Imported: claims_import.imported,
    c.Withdrawn: claims_entry.withdrawn,
    c.PurityDropped: claims_entry.purity_dropped,
    c.TaskPrioritised: claims_waiters.task_prioritised,
    c.Started: claims_life.started,
    c.Reported: claims_life.reported,
    c.ChildQueued: claims_life.child_queued,
    c.Exited: claims_exit.exited,
    c.Verified: claims_entry.verified,
    c.OutputMissing: claims_entry.output_missing,
    c.PurityLost: claims_life.purity_lost,
    c.Lost: claims_exit.lost,
    c.Unplaceable: claims_life.unplaceable,
    c.Quarantined: claims_entry.quarantined,
    c.Released: claims_entry.released,
    c.Invalidated: claims_entry.invalidated,
    c.Removed: claims_entry.removed,
}


class Claims:
    """Machine of topic `claims`. `rows`: a claim for each fingerprint in which anything is left to remember."""

    topic: ClassVar[Topic] = Topic.CLAIMS
    row: ClassVar[type[Claim]] = Claim

    def __init__(
        self, known_rules: int = RULES_VERSION, state: State | None = None, rows: Rows[Claim] | None = None
    ) -> None:
        self.known_rules = known_rules
        self.rows: Rows[Claim] = {} if rows is None else rows
        self.state = state or State(config=Config(), view=View())
        self._ctx = Context(self.state.config, self.state.view, self.state.stale_before)

    def step(self, seen: Seen) -> Outputs:
        """What follows from one record; see Machine.step."""
        body = seen.body
        handler = HANDLERS.get(type(body))
        if handler is None:
            return self._of_the_partition(seen)
        ctx, claims, fingerprint = self._ctx, self.rows, body.fingerprint
        ctx.seen, ctx.grants = seen, 0
        claim = claims.get(fingerprint)
        if claim is None:
            claim = claims[fingerprint] = Claim()
        said = handler(ctx, claim, body)
        if type(said) is not list:
            return self._lazily(said, fingerprint, claim)
        if not claim.executions:
            self._forget(fingerprint, claim)
        return list(with_alerts(ctx.view, claim, said)) if ctx.grants and len(claim.executions) > 1 else said

    def _lazily(self, said: Outputs, fingerprint: str, claim: Claim) -> Outputs:
        yield from with_alerts(self.state.view, claim, said)
        if not claim.executions:
            self._forget(fingerprint, claim)

    def _forget(self, fingerprint: str, claim: Claim) -> None:
        """Let go of a claim in which nothing is left that a later decision could depend on."""
        if is_impure(fingerprint) or claim.is_empty():
            del self.rows[fingerprint]

    def _of_the_partition(self, seen: Seen) -> Outputs:
        body = seen.body
        if isinstance(body, c.Aged):
            self.state.stale_before = max(self.state.stale_before, min(body.before, seen.offset))
            self._ctx.stale_before = self.state.stale_before
            yield answered("")
        elif isinstance(body, Forwarded):
            self._apply(body)

    def _apply(self, body: Forwarded) -> None:
        check_rules(body, self.known_rules)
        if body.position <= self.state.settings_position:
            return
        self.state.settings_position = body.position
        if isinstance(body.change, ConfigSet):
            apply(self.state.config, body.change)
        self.state.view.apply(body.change)

    def head(self) -> bytes:
        """The state but the claims, as JSON bytes."""
        return msgspec.json.encode(self.state)

    def snapshot(self) -> bytes:
        """The state as JSON bytes."""
        return whole("claims", self.rows, self.head())

    @classmethod
    def restore(cls, snapshot: bytes, known_rules: int = RULES_VERSION) -> Self:
        """The machine that made the snapshot."""
        rows = msgspec.json.decode(snapshot, type=_Claims).claims
        return cls(known_rules, msgspec.json.decode(snapshot, type=State), rows)
