"""One step of the claims machine, output by output: what each says must be true, and allowed, at that very moment."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas import claims as c
from schemas import facts as f
from schemas import tasks as t
from schemas import work as w
from schemas.reasons import Reason
from tests.simulation import model_ends
from tests.simulation.model_runs import Claim, Look, Run, Wait, may_see
from tests.simulation.sight import Broken

if TYPE_CHECKING:
    from tests.simulation.model_claims import ClaimsModel

Want = c.Requested


class Step:
    """What is under way within one step.

    `pending`: the request that is being decided. `subject`, `look`: what the record is about. `done`, `failed`: the
    execution that this step ended. `proof`: token of an entry whose inputs somebody was just proved to read.
    """

    def __init__(self, model: "ClaimsModel", claim: Claim, record: Any, offset: int) -> None:
        self.model, self.claim, self.record, self.offset = model, claim, record, offset
        self.fired = model.fired
        self.sight = model.sight
        self.pending: Want | None = None
        self.subject: Run | None = None
        self.look: Look | None = None
        self.dropped: Run | None = None
        self.done: Run | None = None
        self.failed: Run | None = None
        self.told = False  # that its own task ended
        self.promoted: Run | None = None
        self.prompted: Run | Look | None = None  # whose priority changed
        self.kept: Run | None = None  # against what came too late
        self.copied: Want | None = None
        self.proof = ""
        self.born: dict[str, list[Any]] = {}
        self.moved: dict[str, list[int]] = {}

    def follows(self, body: Any) -> None:
        """The next output."""
        RULES[type(body)](self, body)

    def must(self, number: int, is_so: Any, what: str) -> None:
        if not is_so:
            raise Broken(
                number, f"{what}; at {type(self.record).__name__}, offset {self.offset}", self.claim.fingerprint
            )

    # --- Deciding a request ---------------------------------------------------------------------------------------

    def settle(self) -> None:
        """What was being decided must have come to something: at least it waits on a look of its owner's own."""
        want, self.pending = self.pending, None
        if want is not None:
            own = next((look for look in self.claim.looks.values() if look.prove == want.owner), None)
            self.must(5, own is not None, f"the request of {want.task} came to nothing")
            self.claim.put(want, own)
            self.fired["waits for a proof"] += 1

    def decided(self, task: str) -> Want:
        """The request that is decided by what was just said."""
        self.take_turn(task)
        want, self.pending = self.pending, None
        self.must(5, want is not None and want.task == task, f"something was decided for {task}, who did not ask now")
        assert want is not None
        return want

    def move(self, task: str, *, is_heir: bool = False) -> Wait:
        """A waiter moves: for a cause that concerns what it waits on, and in its turn."""
        wait = self.claim.waiting.pop(task, None)
        self.must(5, wait is not None, f"{task} was moved and did not wait")
        assert wait is not None
        place = wait.place
        entry = place.entry if isinstance(place, Look) else place
        operator = isinstance(self.record, c.Quarantined | c.Invalidated)
        named = place in (self.subject, self.look) or entry in (self.subject, self.dropped)
        self.must(5, operator or named, f"{task} was moved without a cause")
        if not is_heir:
            self.moved.setdefault(place.token, []).append(wait.rank)
        return wait

    def take_turn(self, task: str) -> None:
        """Who was proved to read an entry's inputs is decided without a word of it, having waited on nothing."""
        wait = self.claim.waiting.get(task)
        if self.proof and wait is not None and wait.place is self.look:
            self.settle()
            self.pending = self.move(task).want

    def redecided(self, fact: f.Redecided) -> None:
        self.settle()
        wait = self.move(fact.task)
        self.must(5, not self.proof, f"{fact.task} was proved to read the inputs, and told that it had waited")
        self.fired["kept to its owner"] += isinstance(self.record, c.Started)
        place = wait.place
        on = place.entry.token if isinstance(place, Look) else place.token
        self.must(5, fact.token == on, f"{fact.task} did not wait on {fact.token}")
        self.pending = wait.want
        self.fired["redecided"] += 1

    def granted(self, fact: f.Granted) -> None:
        self.must(3, fact.token not in self.model.tokens, f"token {fact.token} was given out before")
        self.model.tokens[fact.token] = self.claim.fingerprint
        if fact.replaces:
            run = self._retried(fact)
        elif not fact.task:
            run = self._looks_for_disagreement(fact)
        else:
            want = self.decided(fact.task)
            imported = isinstance(self.record, c.Imported)
            self.must(1, imported is (fact.why == "imported"), f"{fact.task} was granted as {fact.why}")
            told = fact.why == "quarantined" and not self.claim.seen(self.sight, want.owner)
            self.must(6, not told, f"{fact.task} was told that something was quarantined, of which it sees nothing")
            why = "" if imported else self._needless(want)
            self.must(1, not why, f"{fact.task} was granted an execution although {why}")
            run = Run(fact.token, want, fact.task)
            run.children = [*self.record.children] if imported else []
        self.must(6, fact.owner == run.holders[0][0], f"{fact.owner} was granted the work of {run.holders[0][0]}")
        self.claim.runs[fact.token] = run
        self.fired[f"granted: {fact.why}"] += 1

    def _needless(self, want: Want) -> str:
        if want.refresh or self.claim.quarantined:
            return ""
        seen = self.claim.seen(self.sight, want.owner, self._proved_to(want))
        if self.claim.is_disputed(self.sight, want.owner, self._proved_to(want)):
            return ""
        for run in seen:
            if run.status == "done" or run.holds(want):
                return f"{run.token} is {run.status}"
        return ""

    def _proved_to(self, want: Want) -> str:
        """Token of the entry that counts as visible to who was just proved to read its inputs, this once; or empty."""
        return self.proof if self.look is not None and self.look.prove == want.owner else ""

    def _retried(self, fact: f.Granted) -> Run:
        old = self.failed
        self.must(2, old and old.token == fact.replaces and old.task == fact.task, f"{fact.replaces} did not end here")
        assert old is not None
        assert old.exit is not None
        left = old.attempt < self.model.config["max_attempts"] or not old.counted()
        again = old.verdict(old.exit) == "temporary" and left
        self.must(
            1, again and fact.attempt == old.attempt + old.counted(), f"{fact.replaces} was not to be tried again"
        )
        run = Run(fact.token, old.want, old.task, fact.attempt)
        run.impure, run.holders = old.impure, old.holders[:1]
        told = not old.named and old.success is not False
        run.replaced, run.late = [*old.replaced, *([old.token] if told else [])], dict(old.late)
        for wait in self.claim.waits_at(old):
            wait.place = run
        self.told = True
        return run

    def _looks_for_disagreement(self, fact: f.Granted) -> Run:
        self.must(1, self.copied and self.model.config["verify_rate"], "granted for nobody")
        assert self.copied is not None
        self.fired["re-executed"] += 1
        return Run(fact.token, self.copied, "")

    def waiting(self, fact: f.Waiting) -> None:
        want = self.decided(fact.task)
        claim, run = self.claim, self.claim.runs.get(fact.token)
        self.must(5, run is not None, f"{fact.task} waits on what is not there: {fact.token}")
        assert run is not None
        self.must(6, may_see(self.sight, want.owner, run), f"{want.owner} waits on the execution of {run.holders}")
        usable = not (run.impure or claim.quarantined or want.refresh)
        self.must(7, usable and not claim.is_disputed(self.sight, want.owner), f"{fact.token} is not for use")
        place: Run | Look | None = run
        if fact.kind == "execution":
            self.must(5, run.holds(want), f"{fact.task} waits on {fact.token}, which is {run.status} or too small")
        else:
            place = next((look for look in claim.looks.values() if look.entry is run and not look.prove), None)
            self.must(5, place is not None and run.status == "done", f"nobody looks at {fact.token}")
        assert place is not None
        claim.put(want, place)
        self.fired[f"waits on {fact.kind}"] += 1

    # --- Giving ---------------------------------------------------------------------------------------------------

    def copied_to(self, copy: t.TaskCopied) -> None:
        self.take_turn(copy.task)
        if self.pending is not None and self.pending.task == copy.task:
            want, waited = self.decided(copy.task), False
        else:
            self.settle()
            want, waited = self.move(copy.task).want, True
        run = self.claim.runs.get(copy.token)
        self.must(7, run is not None and run.status == "done", f"{copy.task} was given {copy.token}, which is no entry")
        assert run is not None
        self._may_be_given(run, want, copy)
        same = (copy.output, copy.log, copy.root) == (run.output, run.exit.log if run.exit else "", want.root)
        self.must(4, same, f"the copy {copy.output} is not its source {run.output}")
        self._children_are(run, copy.task, copy.children)
        self.copied = want
        run.holders.append((want.owner, want.task))
        self.fired["given to a waiter" if waited else "reused"] += 1
        self.fired["child copied"] += len(run.children)

    def _may_be_given(self, run: Run, want: Want, copy: t.TaskCopied) -> None:
        proved = run.token == self._proved_to(want)
        sees = may_see(self.sight, want.owner, run)
        self.must(6, sees or proved, f"{want.owner} was given the output of {run.holders}")
        self.fired["given by proof"] += not sees
        told = [task for owner, task in run.holders if self.sight.reads(want.owner, owner)]
        self.must(6, copy.source in (told or [""]), f"{want.owner} was told of {copy.source}")
        for_use = not (run.impure or self.claim.quarantined or want.refresh)
        agreed = not self.claim.is_disputed(self.sight, want.owner, self._proved_to(want))
        self.must(7, for_use and agreed, f"{run.token} is not for use")
        self.must(7, run.verified_at >= self.model.stale, f"{run.token} was to be looked at first")

    def reused(self, fact: f.Reused) -> None:
        self.must(4, self.copied and self.copied.task == fact.task, f"{fact.task} was said to reuse")

    def created(self, record: t.TaskCreated) -> None:
        self.born.setdefault(record.created_by, []).append(record.spec)

    def _children_are(self, run: Run, task: str, count: int) -> None:
        born = self.born.pop(task, [])
        self.must(
            8, born == run.children and count == len(born), f"{task} has {len(born)} of {len(run.children)} children"
        )

    def completed(self, record: t.TaskCompleted) -> None:
        run = self.done
        self.must(2, run and not self.told and record.task == run.task, f"{record.task} completed twice, or not at all")
        assert run is not None
        self.must(2, record.token == run.token, f"{record.token} is not the token that exited")
        self.must(4, record.output == run.output, f"{record.task} completed with another output")
        if isinstance(self.record, c.Imported):  # its children are in the job already
            self.must(8, not (record.children or self.born), f"children of {record.task} were born again")
        else:
            self._children_are(run, record.task, record.children)
        self.told = True
        self.fired["completed"] += 1

    # --- Failures and heirs ---------------------------------------------------------------------------------------

    def task_failed(self, record: t.TaskFailed) -> None:
        run = self.failed
        if run is not None and record.task == run.task and not self.told:
            model_ends.own_failure(self, run, record)
        else:
            self._failure_without_a_run(record)
        self.fired[f"failed: {record.reason}"] += 1

    def _failure_without_a_run(self, record: t.TaskFailed) -> None:
        self.take_turn(record.task)
        self.must(2, not record.output, f"{record.task} had no execution of its own, and was given an output")
        if self.pending is not None and self.pending.task == record.task:
            want = self.decided(record.task)
            self.must(6, self._may_be_refused(want, record.reason), f"{record.task} failed as {record.reason}")
        else:
            want = self.move(record.task).want
            known = [code for run, code in self.claim.failures if may_see(self.sight, want.owner, run)]
            enough = known.count(record.exit_code) >= self.model.config["failure_quorum"]
            self.must(6, record.reason is Reason.FAILURE_QUORUM and enough, f"{record.task} failed without a quorum")

    def _may_be_refused(self, want: Want, reason: Reason) -> bool:
        """Too many lost nodes, or waiters, of executions that its owner may know of."""
        limit = self.model.config
        if reason is Reason.LOSES_NODES:
            lost = sum(self.sight.reads(want.owner, owner) for owner in self.claim.losses)
            return lost >= limit["quarantine_losses"]
        seen = self.claim.seen(self.sight, want.owner)
        looks = [look for look in self.claim.looks.values() if look.entry in seen and not look.prove]
        crowds = [len([*self.claim.waits_at(place)]) for place in (*seen, *looks)]
        return reason is Reason.TOO_MANY_WAITERS and max(crowds, default=0) >= limit["max_waiters"]

    def promoted_to(self, fact: f.Promoted) -> None:
        run = self.claim.live(fact.token)
        current = run is not None and isinstance(self.record, c.Withdrawn) and run is self.subject
        self.must(2, current, f"{fact.token} was handed on though its task wants it")
        assert run is not None
        first = next((w for w in self.claim.waits_at(run) if may_see(self.sight, w.want.owner, run)), None)
        self.must(5, first and first.want.task == fact.task, f"{fact.task} is not the first in line who may see it")
        want = self.move(fact.task, is_heir=True).want
        self.must(6, fact.owner == want.owner and not run.impure, f"{fact.token} was handed to {fact.owner}")
        held = {name: getattr(run.want, name) for name in ("cores", "memory", "scratch")}
        run.task, run.holders, run.want = want.task, [(want.owner, want.task)], replace(want, **held)
        run.replaced, run.late = [], {}
        self.promoted = run
        self.fired["promoted"] += 1

    # --- Work and other news --------------------------------------------------------------------------------------

    def ready(self, work: w.Ready) -> None:
        if work.kind == "execute":
            run = self.claim.runs.get(work.token)
            self.must(2, run and run.is_live and run.task == work.task, f"{work.token} is ready and was not granted")
            assert run is not None
            run.urgency = work.priority
            return
        self.must(3, work.token not in self.model.tokens, f"token {work.token} was given out before")
        self.model.tokens[work.token] = self.claim.fingerprint
        entry = self.claim.runs.get(work.entry)
        self.must(7, entry is not None and entry.status == "done", f"a look at what is no entry: {work.entry}")
        assert entry is not None
        look = self.claim.looks[work.token] = Look(work.token, entry, work.prove)
        opened = entry.want.by_inputs and not entry.private and not entry.children
        self.must(6, opened or not work.prove, f"{work.prove} may not prove anything here")
        if isinstance(self.record, c.Lost) and self.look is not None:
            for wait in self.claim.waits_at(self.look):
                wait.place = look
        self.fired["look"] += 1

    def cancelled(self, work: w.Cancelled) -> None:
        look = self.claim.looks.pop(work.token, None)
        self.must(
            5, look is not None or work.token not in self.claim.runs, f"{work.token} was cancelled while it lives"
        )
        if look is not None and self.subject is None:
            self.look = look
        self.fired["work cancelled"] += 1

    def of_its_task(self, record: t.TaskStarted | t.TaskReported) -> None:
        run = self.claim.live(record.token)
        self.must(2, run is not None and run.task == record.task, f"{record.task} was told of {record.token}")

    def disagreed(self, fact: f.Disagreed) -> None:
        earlier, later = (self.claim.current(token) for token in fact.tokens)
        late = later.late.get(fact.tokens[0], "") if later is not None else ""
        outputs = [earlier.output if earlier is not None else late, later.output if later is not None else ""]
        self.must(7, len({*outputs}) == 2 and (*outputs,) == fact.outputs, "they do not disagree")
        hidden = earlier in self.claim.departed and later not in earlier.rivals
        self.must(6, not hidden, f"{fact.tokens[0]} is told of to who may see none of what it stood against")
        self.fired["disagreed"] += 1

    def news(self, body: Any) -> None:
        self.fired[type(body).__name__] += 1

    # --- The end of the step --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nobody is left behind."""
        self.settle()
        claim = self.claim
        if isinstance(self.record, c.Exited | c.Lost) and isinstance(self.subject, Run):
            self.must(
                4, not self.subject.is_live and self.told, f"{self.subject.token} ended and its task was not told"
            )
        if isinstance(self.record, c.Imported):
            self.must(4, self.told, f"{self.record.task} was imported and not told")
            self.fired["imported"] += 1
        model_ends.is_as_urgent_as_its_best(self, self.prompted)
        self.must(7, self.kept is None, "an operator kept one, and nothing tells which")
        self.must(8, not self.born, f"children after, or without, the end of {[*self.born]}")
        for task, wait in claim.waiting.items():
            place = wait.place
            there = claim.looks.get(place.token) if isinstance(place, Look) else claim.live(place.token)
            usable = not (claim.quarantined or (isinstance(place, Run) and place.impure))
            self.must(5, there is place and usable, f"{task} is left waiting on {place.token}, which is over")
            if place is self.promoted or (place is self.subject and place.private):
                self.must(6, may_see(self.sight, wait.want.owner, place), f"{task} came to wait for {place.holders}")
        for look in claim.looks.values():
            self.must(5, any(claim.waits_at(look)), f"the look {look.token} goes on for nobody")
        for token, ranks in self.moved.items():
            self.must(5, ranks == sorted(ranks), f"those who waited on {token} moved out of turn")
        self._has_left()
        claim.departed = [run for run in claim.departed if run.rivals]

    def _has_left(self) -> None:
        record, run = self.record, self.subject
        if isinstance(record, c.Withdrawn) and run is not None and run.is_live and run.task == record.task:
            self.must(5, False, f"{record.task} has withdrawn and still runs")


RULES: dict[type, Any] = {
    f.Redecided: Step.redecided,
    f.Granted: Step.granted,
    f.Waiting: Step.waiting,
    f.Promoted: Step.promoted_to,
    f.Reused: Step.reused,
    f.Disagreed: Step.disagreed,
    f.Kept: model_ends.kept,
    f.ExecutionChanged: model_ends.changed,
    f.ClaimChanged: Step.news,
    t.TaskCreated: Step.created,
    t.TaskStarted: Step.of_its_task,
    t.TaskReported: Step.of_its_task,
    t.TaskCompleted: Step.completed,
    t.TaskCopied: Step.copied_to,
    t.TaskFailed: Step.task_failed,
    t.TaskUnclaimed: Step.news,
    w.Ready: Step.ready,
    w.Reprioritised: model_ends.reprioritised,
    w.Cancelled: Step.cancelled,
}
