"""The model of an execution's status and urgency: what each change must follow from."""

from typing import TYPE_CHECKING, Any

from schemas import claims as c
from schemas import facts as f
from schemas import tasks as t
from schemas import work as w
from schemas.reasons import Reason
from tests.simulation.model_runs import COUNTED, Look, Run, may_see

if TYPE_CHECKING:
    from tests.simulation.model_step import Step


def changed(step: "Step", fact: f.ExecutionChanged) -> None:
    run = step.claim.current(fact.token)
    step.must(2, run is not None, f"{fact.token} is not current and became {fact.status}")
    assert run is not None
    CHANGES[fact.status](step, run, fact)
    step.fired[f"execution {fact.status}"] += 1


def reprioritised(step: "Step", work: w.Reprioritised) -> None:
    run = step.claim.live(work.token)
    step.must(2, run is not None and run.status == "granted", f"{work.token} has another place and is not queued")
    assert run is not None
    run.urgency, step.prompted = work.priority, run
    step.fired["Reprioritised"] += 1


def is_as_urgent_as_its_best(step: "Step", run: Run | Look | None) -> None:
    """Of work that is queued dispatch knows the best priority of all who want it."""
    if isinstance(run, Run) and run.status == "granted":
        best = step.claim.urgency_of(run)
        step.must(10, run.urgency == best, f"{run.token} has priority {run.urgency}, it is wanted at {best}")


def kept(step: "Step", fact: f.Kept) -> None:
    run, step.kept = step.kept, None
    step.must(7, run is not None and run.token == fact.token, f"{fact.token} was kept without a word of an operator")
    step.fired["kept"] += 1


def own_failure(step: "Step", run: Run, record: t.TaskFailed) -> None:
    """The execution's own task fails with it."""
    assert run.exit is not None
    last = run.attempt >= step.model.config["max_attempts"] and run.counted()
    expected = Reason.ATTEMPTS_EXHAUSTED if run.verdict(run.exit) == "temporary" else Reason.PERMANENT_FAILURE
    if run.exit.failure == "fits_no_node":
        expected = Reason.FITS_NO_NODE
    step.must(4, record.reason is expected, f"{record.task} failed as {record.reason}, not as {expected}")
    step.must(4, last or expected is not Reason.ATTEMPTS_EXHAUSTED, f"{record.task} had attempts left")
    step.must(4, record.output == run.named, f"{record.task} failed with {record.output}, it had named {run.named}")
    step.told = True


def _running(step: "Step", run: Run, _fact: f.ExecutionChanged) -> None:
    step.must(2, isinstance(step.record, c.Started) and run is step.subject, "it runs without a start")
    run.status, run.private = "running", step.record.runner == "process"


def _done(step: "Step", run: Run, fact: f.ExecutionChanged) -> None:
    if isinstance(step.record, c.Imported):
        _was_done(step, run, fact)
        return
    exited = step.record
    current = isinstance(exited, c.Exited) and run is step.subject and run.is_live
    step.must(2, current and run.verdict(exited) == "success", f"{run.token} was done without a success")
    run.status, run.output, run.verified_at = "done", run.named or exited.output, step.offset
    step.must(4, fact.output == run.output, f"{run.token} has output {run.output}, not {fact.output}")
    if run.named:
        run.late = {}
    step.done, step.told = run, not run.task
    if run.impure or step.claim.fingerprint.startswith("impure:"):
        del step.claim.runs[run.token]


def _was_done(step: "Step", run: Run, fact: f.ExecutionChanged) -> None:
    step.must(2, run.status == "granted" and run.task == step.record.task, f"{run.token} was not granted here")
    run.status, run.output, run.verified_at = "done", step.record.output, step.offset
    step.must(4, fact.output == run.output, f"{run.token} was imported with {run.output}, not {fact.output}")
    step.done = run
    if step.claim.fingerprint.startswith("impure:"):
        del step.claim.runs[run.token]


def _failed(step: "Step", run: Run, _fact: f.ExecutionChanged) -> None:
    ended = isinstance(step.record, c.Exited | c.Lost) and run is step.subject and run.exit is not None
    step.must(2, ended, f"{run.token} failed without an exit")
    assert run.exit is not None
    verdict = run.verdict(run.exit)
    step.must(4, verdict != "success", f"{run.token} succeeded and failed")
    if verdict == "permanent" and run.exit.failure in COUNTED and not run.impure:
        step.claim.failures.append((run, run.exit.exit_code))
    _gone(step, run)
    step.failed, step.told = run, not run.task


def _gone(step: "Step", run: Run) -> None:
    step.claim.end(run)
    run.status = "gone"


def _cancelled(step: "Step", run: Run, _fact: f.ExecutionChanged) -> None:
    wanted = isinstance(step.record, c.Withdrawn) and run is step.subject and run.is_live
    step.must(5, wanted, f"{run.token} was cancelled though it was wanted")
    heir = next((w for w in step.claim.waits_at(run) if may_see(step.sight, w.want.owner, run)), None)
    step.must(5, heir is None, f"{run.token} was cancelled although {heir and heir.want.task} waits on it")
    _gone(step, run)


def _dropped(step: "Step", run: Run, fact: f.ExecutionChanged) -> None:
    kind = {"missing": c.OutputMissing, "removed": c.Removed, "invalidated": c.Invalidated}[fact.status]
    step.must(7, isinstance(step.record, kind) and run.status == "done", f"{run.token} became {fact.status}")
    if fact.status != "invalidated":
        step.claim.depart(run)
        step.fired["gone, and its word stands"] += bool(run.rivals)
    else:
        _gone(step, run)
    step.dropped = run


def _impure(step: "Step", run: Run, _fact: f.ExecutionChanged) -> None:
    step.must(7, isinstance(step.record, c.PurityLost | c.PurityDropped) and run is step.subject, "impure why?")
    run.impure = True
    if run.status == "done":
        _gone(step, run)
        step.dropped = run


CHANGES: dict[str, Any] = {
    "running": _running,
    "done": _done,
    "failed": _failed,
    "lost": _failed,
    "cancelled": _cancelled,
    "missing": _dropped,
    "removed": _dropped,
    "invalidated": _dropped,
    "impure": _impure,
}
