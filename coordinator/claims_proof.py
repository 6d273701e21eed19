"""The promise that nothing runs twice, looked at while it is kept: what else whoever was just granted an execution saw.

The machine decides by `decide`; this looks at what stands there afterwards, and needs no word of how it came about.
What it finds is a fact like any other: in the log for ever, decided by every process alike, and by the audit again.
"""

from coordinator.claims_give import FACTS, Outputs
from coordinator.claims_state import Claim, Execution, can_wait, visible
from coordinator.machine import Output
from coordinator.visibility import View
from schemas.facts import MOST_BESIDE, Doubled, Granted

ON_PURPOSE = frozenset({"refresh", "conflict", "quarantined", "retry"})  # granted beside others, or in their place


def with_alerts(view: View, claim: Claim, said: Outputs) -> Outputs:
    """What is said, and after each grant that should not have been, that it was."""
    for output in said:
        yield output
        if type(output.body) is Granted and (found := beside(view, claim, output.body)):
            yield Output(FACTS, _doubled(output.body, found))


def beside(view: View, claim: Claim, granted: Granted) -> list[Execution]:
    """Live executions granted before, any of which the owner of a fresh grant could have waited on instead."""
    own = claim.executions.get(granted.token)
    if len(claim.executions) < 2 or own is None or own.status == "done" or granted.why in ON_PURPOSE:
        return []
    seen = visible(view, own.owner, claim)
    earlier = seen[: seen.index(own)] if own in seen else []
    return [execution for execution in earlier if can_wait(execution, own.want)]


def _doubled(granted: Granted, found: list[Execution]) -> Doubled:
    tokens = tuple(execution.token for execution in found[:MOST_BESIDE])
    return Doubled(fingerprint=granted.fingerprint, token=granted.token, beside=tokens, live=1 + len(found))
