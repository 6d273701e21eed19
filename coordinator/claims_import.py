"""Executions that had finished in another system: entries from here on, under tokens of this log.

They are entries like any other: seen by who may see their owner, looked at again when they are old, and, where two say
different things of one fingerprint, a conflict that somebody has to decide.
"""

from coordinator.claims_give import FACTS, TASKS, Context, Said, changed, disagreements
from coordinator.claims_state import Claim, Execution, has_request
from coordinator.fingerprint import is_impure
from coordinator.machine import Output, answered, nothing
from schemas.claims import Imported, Requested
from schemas.facts import Granted
from schemas.reasons import Reason
from schemas.tasks import TaskCompleted


def imported(ctx: Context, claim: Claim, record: Imported) -> Said:
    """A finished execution joins the claim; what runs or waits under it goes on as it is."""
    if has_request(claim, record.task):
        return [nothing(record.fingerprint, Reason.ALREADY)]
    execution = _entry(ctx, record)
    said = [
        Output(
            FACTS,
            Granted(
                fingerprint=record.fingerprint,
                token=execution.token,
                task=record.task,
                root=record.root,
                owner=record.owner,
                why="imported",
            ),
        ),
        changed(execution, "done", output=record.output, started_at=record.started_at, finished_at=record.finished_at),
    ]
    if not is_impure(record.fingerprint):
        claim.executions[execution.token] = execution
        said += disagreements(claim, execution)
    completed = TaskCompleted(root=record.root, task=record.task, token=execution.token, output=record.output)
    return [*said, Output(TASKS, completed), answered(record.fingerprint)]


def _entry(ctx: Context, record: Imported) -> Execution:
    want = Requested(
        fingerprint=record.fingerprint,
        task=record.task,
        root=record.root,
        owner=record.owner,
        by_inputs=record.by_inputs,
    )
    return Execution(
        token=ctx.new_token(),
        want=want,
        task=record.task,
        root=record.root,
        status="done",
        holders={record.owner: record.task},
        children={str(rank): spec for rank, spec in enumerate(record.children)},
        output=record.output,
        verified_at=ctx.seen.offset,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )
