"""The audit: is everything in the log what follows from its commands, and was anything decided that should never be?

`verify` reads every command from the first one on, lets the machines decide again in a replay that writes nothing, and
holds each output against the topics: there, byte for byte, once, and nothing beside it. On the way every state that
somebody kept is compared with the one that the replay has come to. Then checkers that do not ask the machines go
through the same commands and what stands in the topics because of them, and look for what must never be.

It can run beside a coordinator at work: what its floors have not passed yet is left for the next time. Records are read
as they are needed, so what it holds in memory grows with the states and not with the log.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain

import msgspec

from coordinator.audit import TARGETS, AnswersOnce, Checker
from coordinator.audit_claims import ClaimsChecker
from coordinator.audit_digests import DigestsChecker
from coordinator.audit_jobs import JobsChecker
from coordinator.machine import RULES_VERSION, Machine
from schemas.codec import NewerSchema
from schemas.topics import Topic
from streams.caused import ends_of, steps
from streams.checkpoints import Saved
from streams.comparing import Comparison, Difference, Findings, Repeats, Span, survey
from streams.kept import Damaged, Kept, KeptStates, Loaded, nothing_kept
from streams.log import Floor, Log, LogMismatch, Place
from streams.loop import BATCH, MachineStopped, MachineType, Runner
from streams.replaying import ReplayingLog, places_of
from streams.state import Header, state_hash

Checkers = Mapping[Topic, Sequence[Callable[[], Checker]]]
CHECKERS: Checkers = {
    Topic.SETTINGS: [AnswersOnce],
    Topic.TASKS: [JobsChecker],
    Topic.CLAIMS: [ClaimsChecker, DigestsChecker],
}
COMPARED = ("log_id", "targets", "digest", "marks")  # of the header of a state
Progress = Callable[[str, int], None]
"""Called with what is being looked at, and how many records of it were read since the last call."""


class Report(msgspec.Struct, kw_only=True):
    """What an audit found. `differences`: the first of them; `wrong`: how many there are.

    `records`: in all topics. `commands`: decided again. `decisions`: outputs that agreed. `repeats`: records appended
    again. `undecided`: commands that no floor has passed. `pending`: outputs of those. `trimmed`: outputs that were
    forgotten. `checkpoints`: states compared. `states`: digest of each partition's state at its floor.
    """

    records: int = 0
    commands: int = 0
    decisions: int = 0
    repeats: int = 0
    undecided: int = 0
    pending: int = 0
    trimmed: int = 0
    checkpoints: int = 0
    wrong: int = 0
    differences: list[Difference] = []
    notes: list[str] = []
    states: dict[str, str] = {}
    seconds: float = 0.0

    @property
    def speed(self) -> float:
        """Records audited in a second."""
        return self.records / self.seconds if self.seconds else 0.0


def verify(
    log: Log,
    machines: Sequence[MachineType],
    kept: KeptStates = nothing_kept,
    progress: Progress = lambda _what, _count: None,
    checkers: Checkers = CHECKERS,
) -> Report:
    """Audit the whole log with these machines. Raises LogError if the log can't be read."""
    began = time.monotonic()
    audit = _Audit(log, machines, kept, progress)
    audit.survey()
    for machine in machines:
        for source in places_of(log, machine.topic):
            audit.decide_again(machine, source)
    audit.find_repeats_of_nothing()
    for source in audit.spans:
        if source.topic in checkers:
            audit.check(source, [checker() for checker in checkers[source.topic]])
    audit.report.seconds = time.monotonic() - began
    return audit.report


class _Audit:
    def __init__(self, log: Log, machines: Sequence[MachineType], kept: KeptStates, progress: Progress) -> None:
        self._log = log
        self._progress = progress
        self._findings = Findings()
        self._repeats = Repeats()
        self.report = Report(differences=self._findings.kept)
        # Floors before ends: what a floor has passed stands before the ends that are read after it.
        sources = [source for machine in machines for source in places_of(log, machine.topic)]
        self._kept = {source: sorted(kept(source), key=lambda one: one.offset) for source in sources}
        self._begin: dict[Place, Saved] = {}
        self.spans = {source: self._span(source) for source in sources}
        self._ends = ends_of(log, [place for topic in Topic for place in places_of(log, topic)])

    def _span(self, source: Place) -> Span:
        floor = self._log.floor(f"{source.topic}-machine", source)
        until = floor.offset if floor else 0
        begin = self._begin_of_trimmed(source, until) if self._log.start(source) > 0 else 0
        return Span(self._log.genesis(source).log_id, begin, until)

    def _begin_of_trimmed(self, source: Place, until: int) -> int:
        """Where deciding again can begin: at the oldest state that can be used, which is taken for right."""
        start = self._log.start(source)
        for one in self._kept[source]:
            with suppress(Damaged):  # told when the replay comes there
                loaded = one.load() if start <= one.offset <= until else None
                if loaded and loaded.saved.header.rules <= RULES_VERSION:
                    self._begin[source] = loaded.saved
                    self.report.notes.append(f"{source} was trimmed: decided again from offset {one.offset} on")
                    return one.offset
        self.report.notes.append(f"{source} was trimmed and no state of it is kept: not decided again")
        return until

    def _load(self, source: Place, one: Kept) -> Loaded | None:
        try:
            return one.load()
        except Damaged as error:
            self._findings.add(9, source, one.offset, str(error))
            return None

    def _targets(self, source: Place) -> dict[Place, int]:
        return {place: end for place, end in self._ends.items() if place.topic in TARGETS[source.topic]}

    def survey(self) -> None:
        """One look at every record."""
        sources = {span.log_id: span for span in self.spans.values()}
        for place, end in self._ends.items():
            count = survey(self._log, place, end, sources, self._repeats, self._findings)
            self.report.records += count
            self._progress(f"reading {place}", count)
        self.report.repeats = self._repeats.count
        self._count()

    def decide_again(self, machine: MachineType, source: Place) -> None:
        """Replay one partition against its targets and the states that are kept of it."""
        span = self.spans[source]
        self.report.undecided += self._ends[source] - span.until
        comparison = Comparison(self._log, source, span, self._targets(source), self._repeats, self._findings)
        try:
            if span.begin < span.until:
                self._replay(machine, source, comparison)
        except (MachineStopped, LogMismatch) as error:
            self._stopped(source, error)
        else:
            comparison.finish()
        self.report.decisions += comparison.agreed
        self.report.trimmed += comparison.trimmed
        self.report.pending += comparison.pending
        self._count()

    def _stopped(self, source: Place, error: Exception) -> None:
        """A log that is trimmed while we read it is no finding."""
        begin = self.spans[source].begin
        if begin < self._log.start(source):
            self.report.notes.append(f"{source} was trimmed while it was decided again: audit once more")
        else:
            self._findings.add(9, source, begin, f"it can't be decided again: {error}")

    def _replay(self, machine: MachineType, source: Place, comparison: Comparison) -> None:
        span, own = self.spans[source], _Witness(self._begin.pop(source, None))
        begin = own.header
        floor = Floor(begin.offset, begin.digest, begin.log_id) if begin else None
        replaying = ReplayingLog(self._log, source, span.until, comparison.take, floor)
        runner = Runner(replaying, machine, source.partition, own, every=2**62)
        for one in self._kept[source]:
            there = self._load(source, one)
            if there is not None and span.begin < one.offset <= span.until:
                self._run_to(runner, one.offset)
                self._compare_state(runner, one.name, there, own)
        self._run_to(runner, span.until)
        self.report.states[str(source)] = state_hash(runner.machine)

    def _run_to(self, runner: Runner, offset: int) -> None:
        while runner.position < offset:
            count = runner.poll(min(BATCH, offset - runner.position))
            self.report.commands += count
            self._progress(f"deciding {runner.place} again", count)

    def _compare_state(self, runner: Runner, name: str, there: Loaded, own: "_Witness") -> None:
        """Hold a kept state against the runner's, in all that a runner would take from it."""
        self.report.checkpoints += 1
        runner.checkpoint()
        header = there.saved.header
        differing = [field for field in COMPARED if getattr(header, field) != getattr(own.header, field)]
        if not there.is_of(runner.machine):
            differing.append("state")
        if differing:
            text = f"{name} holds another {', '.join(differing)} than the replay"
            self._findings.add(9, runner.place, header.offset, text)

    def find_repeats_of_nothing(self) -> None:
        """What is marked as said before, and was not."""
        by_log_id = {span.log_id: span for span in self.spans.values()}
        for place, cause in self._repeats.unsettled():
            span = by_log_id[cause.log_id]
            if span.begin <= cause.offset < span.until and self._log.start(place) == 0:
                self._findings.add(
                    9, place, 0, f"a repeat that names {cause.log_id} offset {cause.offset} repeats nothing"
                )
        self._count()

    def check(self, source: Place, checkers: Sequence[Checker]) -> None:
        """Look for what must never be in one partition's decisions, without a machine."""
        span, count = self.spans[source], 0
        try:
            for step in steps(self._log, source, span.until, self._targets(source)):
                count += 1
                for violation in chain.from_iterable(checker.check(step) for checker in checkers):
                    self._findings.add(violation.invariant, source, violation.offset, violation.text)
        except NewerSchema as error:
            self._findings.add(9, source, span.begin, f"it can't be checked: {error}")
        self._progress(f"checking {source}", count)
        self._count()

    def _count(self) -> None:
        self.report.wrong = self._findings.count


class _Witness:
    """Keeps of a replay's states no more than what they are of. `begin`: the one to begin with; None: the first."""

    def __init__(self, begin: Saved | None) -> None:
        self._begin = begin
        self.header = begin.header if begin else None

    def keep(self, header: Header, _machine: Machine) -> None:
        """Note that the replay has come here; its state is compared, not kept."""
        self.header = header

    def load(self, _place: Place) -> Iterator[Saved]:
        """Where to begin."""
        return iter([self._begin] if self._begin else [])

    def offsets(self, _place: Place) -> list[int]:
        """The same, by its offset."""
        return [self._begin.header.offset] if self._begin else []
