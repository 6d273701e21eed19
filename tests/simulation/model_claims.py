"""The model of one partition of `claims`: what each command may lead to, from the design's invariants alone."""

from collections import Counter
from typing import Any

from msgspec.structs import replace

from schemas import claims as c
from schemas.facts import Answered, Disagreed
from schemas.reasons import Failure, Outcome
from schemas.settings import ConfigSet, Forwarded
from schemas.topics import Topic
from tests.simulation.model_runs import COUNTED, DEFAULTS, Claim, Look, Run
from tests.simulation.model_step import Step
from tests.simulation.sight import Broken, Sight

Outputs = list[tuple[Topic, Any]]


class ClaimsModel:
    """Judges the steps of one partition in order. `tokens`: all that were ever granted anywhere, and for what."""

    def __init__(self, fired: Counter[str], tokens: dict[str, str]) -> None:
        self.fired = fired
        self.tokens = tokens
        self.sight = Sight()
        self.config = dict(DEFAULTS)
        self.claims: dict[str, Claim] = {}
        self.stale = 0
        self.live = 0
        self.open = 0

    def forwarded(self, body: Forwarded) -> None:
        """Settings count from here on, in this partition."""
        if isinstance(body.change, ConfigSet):
            self.config[body.change.name] = body.change.value
        else:
            self.sight.apply(body.change)

    def judge(self, record: Any, offset: int, outputs: Outputs, answer: Answered) -> None:
        """Raise Broken if this does not follow from the record."""
        if isinstance(record, c.Aged):
            self.stale = max(self.stale, min(record.before, offset))
            return
        claim = self.claims.get(record.fingerprint)
        if claim is None:
            claim = self.claims[record.fingerprint] = Claim(record.fingerprint)
        if answer.outcome is not Outcome.DONE:
            self.fired[f"{answer.outcome}: {answer.reason}"] += 1
            told = [body for _, body in outputs]
            if told != _came_late(claim, record):
                raise Broken(2, f"answered {answer.outcome}, and yet: {told}", record.fingerprint)
            self.fired["came late and differs"] += len(told)
            _check_refusal(claim, record)
            return
        busy = self._count(claim)
        step = Step(self, claim, record, offset)
        BEFORE[type(record)](step, claim, record)
        for _, body in outputs:
            step.follows(body)
        step.close()
        live, waiting = self._count(claim)
        self.live, self.open = self.live + live - busy[0], self.open + waiting - busy[1]

    def _count(self, claim: Claim) -> tuple[int, int]:
        return sum(run.is_live for run in claim.runs.values()), len(claim.waiting) + len(claim.looks)

    def is_quiet(self) -> bool:
        """Whether no execution lives and nobody waits."""
        return not self.live and not self.open

    def unfinished(self) -> list[str]:
        """Who waits, and what runs."""
        lines = []
        for claim in self.claims.values():
            lines += [f"{task} waits at {wait.place.token}" for task, wait in claim.waiting.items()]
            lines += [f"{run.token} is {run.status}" for run in claim.runs.values() if run.is_live]
        return lines


# --- What a record does before anything follows from it --------------------------------------------------------------


def _requested(step: Step, claim: Claim, record: c.Requested) -> None:
    if record.task in claim.waiting or claim.runs_for(record.task):
        raise Broken(5, f"{record.task} asked twice and was decided twice", claim.fingerprint)
    step.pending = record


def _imported(step: Step, claim: Claim, record: c.Imported) -> None:
    if claim.runs_for(record.task):
        raise Broken(5, f"{record.task} was imported twice", claim.fingerprint)
    fields = {name: getattr(record, name) for name in ("fingerprint", "task", "root", "owner", "by_inputs")}
    step.pending = c.Requested(**fields)


def _leaves(step: Step, claim: Claim, record: c.Withdrawn | c.PurityDropped) -> None:
    wait = claim.waiting.pop(record.task, None)
    if wait is None:
        step.subject = claim.runs_for(record.task)
        departed = next((run for run in claim.departed if run.task == record.task), None)
        if departed is not None and isinstance(record, c.PurityDropped):
            claim.end(departed)
        elif step.subject is None:
            raise Broken(5, f"{record.task} neither runs nor waits, and yet something followed", claim.fingerprint)
    else:
        step.fired["waiter left"] += 1


def _prioritised(step: Step, claim: Claim, record: c.TaskPrioritised) -> None:
    wait, run = claim.waiting.get(record.task), claim.runs_for(record.task)
    if wait is not None:
        wait.want, step.prompted = replace(wait.want, priority=record.priority), wait.place
    elif run is not None and run.is_live:
        run.want, step.prompted = replace(run.want, priority=record.priority), run
    else:
        raise Broken(5, f"{record.task} neither runs nor waits, and was given a priority", claim.fingerprint)
    step.fired[f"given a priority: {'waits' if wait else run.status}"] += 1


def _of_a_live_one(step: Step, claim: Claim, record: Any) -> Run:
    run = claim.live(record.token)
    if run is None:
        raise Broken(2, f"{type(record).__name__} counted under a token that is not current", claim.fingerprint)
    step.subject = run
    return run


def _started(step: Step, claim: Claim, record: c.Started) -> None:
    _of_a_live_one(step, claim, record).unable = False


def _reported(step: Step, claim: Claim, record: c.Reported) -> None:
    run = _of_a_live_one(step, claim, record)
    run.success = record.success if isinstance(record.success, bool) else run.success
    run.named = record.output if isinstance(record.output, str) else run.named
    step.fired["reported"] += 1


def _child_queued(step: Step, claim: Claim, record: c.ChildQueued) -> None:
    run = _of_a_live_one(step, claim, record)
    if record.child in run.keys:
        raise Broken(8, f"child {record.child} was accepted twice", claim.fingerprint)
    run.keys[record.child] = None
    run.children.append(record.spec)
    step.fired["child queued"] += 1


def _exited(step: Step, claim: Claim, record: c.Exited) -> None:
    _of_a_live_one(step, claim, record).exit = record


def _verified(step: Step, claim: Claim, record: c.Verified) -> None:
    step.look = _open_look(claim, record.token)
    del claim.looks[record.token]
    if record.proved or not step.look.prove:
        step.look.entry.verified_at = step.offset
    step.fired["verified"] += 1
    step.fired["proof failed"] += bool(step.look.prove) and not record.proved
    if record.proved and step.look.prove:
        step.proof = step.look.entry.token


def _output_missing(step: Step, claim: Claim, record: c.OutputMissing) -> None:
    step.subject = _open_look(claim, record.token).entry


def _open_look(claim: Claim, token: str) -> Look:
    look = claim.looks.get(token)
    if look is None:
        raise Broken(2, f"a look counted under a token that is not current: {token}", claim.fingerprint)
    return look


def _lost(step: Step, claim: Claim, record: c.Lost) -> None:
    if record.token in claim.looks:
        step.look = claim.looks.pop(record.token)
        step.fired["look lost"] += 1
        return
    run = _of_a_live_one(step, claim, record)
    reason = "" if record.failure is Failure.NODE else "fits"
    run.exit = c.Exited(
        fingerprint=record.fingerprint, token=record.token, node=record.node, exit_code=-1, failure=record.failure
    )
    step.fired[f"lost {reason}".strip()] += 1
    if record.failure is Failure.NODE:
        claim.losses.append(run.holders[0][0])


def _unplaceable(step: Step, claim: Claim, record: c.Unplaceable) -> None:
    _of_a_live_one(step, claim, record).unable = True
    step.fired["unplaceable"] += 1


def _quarantined(step: Step, claim: Claim, record: c.Quarantined) -> None:
    claim.quarantined = True


def _released(step: Step, claim: Claim, record: c.Released) -> None:
    claim.quarantined, claim.losses = False, []
    claim.settled = claim.outputs([*claim.runs.values(), *claim.departed])
    claim.departed = []


def _invalidated(step: Step, claim: Claim, record: c.Invalidated) -> None:
    kept = None if record.token else claim.runs.get(record.keep)
    if kept is not None:
        step.kept = kept if kept.late else None
        kept.replaced, kept.late = [], {}


def _removed(step: Step, claim: Claim, record: c.Removed) -> None:
    step.subject = claim.runs.get(record.token)


BEFORE: dict[type, Any] = {
    c.Requested: _requested,
    c.Imported: _imported,
    c.Withdrawn: _leaves,
    c.PurityDropped: _leaves,
    c.TaskPrioritised: _prioritised,
    c.Started: _started,
    c.Reported: _reported,
    c.ChildQueued: _child_queued,
    c.Exited: _exited,
    c.Verified: _verified,
    c.OutputMissing: _output_missing,
    c.PurityLost: _of_a_live_one,
    c.Lost: _lost,
    c.Unplaceable: _unplaceable,
    c.Quarantined: _quarantined,
    c.Released: _released,
    c.Invalidated: _invalidated,
    c.Removed: _removed,
}


def _came_late(claim: Claim, record: Any) -> list[Disagreed]:
    """An output of an attempt that was given up is noted beside that of the next; what follows from its refusal."""
    run = claim.successor(record.token) if isinstance(record, c.Exited) else None
    if run is None or record.token in run.late or not _is_comparable(run, record):
        return []
    run.late[record.token] = record.output
    if run.status != "done" or run.output == record.output:
        return []
    tokens, outputs = (record.token, run.token), (record.output, run.output)
    return [Disagreed(fingerprint=claim.fingerprint, tokens=tokens, outputs=outputs)]


def _is_comparable(run: Run, exited: c.Exited) -> bool:
    succeeded = exited.exit_code == 0 and exited.failure in COUNTED and exited.output
    impure = run.impure or exited.fingerprint.startswith("impure:")
    return bool(succeeded) and not (impure or run.named or run.want.by_record)


# --- What may be refused ---------------------------------------------------------------------------------------------


def _check_refusal(claim: Claim, record: Any) -> None:
    """A request, an exit, a loss or a finding that is current must not be passed over."""
    match record:
        case c.Requested(task=task) | c.Imported(task=task):
            wrong = task not in claim.waiting and claim.runs_for(task) is None
        case c.Exited(token=token) | c.Started(token=token):
            run = claim.live(token)
            wrong = run is not None and (isinstance(record, c.Exited) or run.status == "granted")
        case c.Removed(token=token):
            wrong = token in claim.runs and claim.live(token) is None
        case c.Lost(token=token):
            wrong = claim.live(token) is not None or token in claim.looks
        case c.Verified(token=token) | c.OutputMissing(token=token):
            wrong = token in claim.looks
        case c.Withdrawn(task=task) | c.TaskPrioritised(task=task):
            wrong = _is_wanted_by(claim, task, record)
        case _:
            wrong = False
    if wrong:
        raise Broken(10, f"{type(record).__name__} was current and had no effect", claim.fingerprint)


def _is_wanted_by(claim: Claim, task: str, record: c.Withdrawn | c.TaskPrioritised) -> bool:
    """Whether the task waits, or something runs for it that what it says is about."""
    run = claim.runs_for(task)
    unstarted_only = isinstance(record, c.Withdrawn) and record.unstarted_only
    stays = run is None or not run.is_live or (unstarted_only and run.status == "running")
    return task in claim.waiting or not stays
