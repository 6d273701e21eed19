"""The audit: is everything in the log what follows from its commands, and was anything decided that should never be?

`verify` reads every command from the first one on, lets the machines decide again in a replay that writes nothing, and
holds each output against the topics: there, byte for byte, once, and nothing beside it. On the way every checkpoint is
compared with the state that the replay has come to. Then checkers that do not ask the machines go through the same
commands and what stands in the topics because of them, and look for what must never be.

`replay` shows what was known at an earlier moment.

Both can run beside a coordinator at work: what its floors have not passed yet is left for the next time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from types import MappingProxyType

import msgspec

from coordinator.audit import TARGETS, AnswersOnce, Checker
from coordinator.audit_claims import ClaimsChecker
from coordinator.audit_digests import DigestsChecker
from coordinator.audit_jobs import JobsChecker
from coordinator.picture import Picture
from schemas.codec import NewerSchema, Undecodable, decode
from schemas.topics import Topic
from streams.caused import ends_of, steps
from streams.checkpoints import Checkpoint, CheckpointStore, MemoryCheckpoints
from streams.comparing import Comparison, Difference, Findings, Repeats, Span, survey
from streams.log import Append, Floor, Log, LogMismatch, Place
from streams.loop import BATCH, MachineStopped, MachineType, Runner
from streams.moments import first_at
from streams.replaying import ReplayingLog

Checkers = Mapping[Topic, Sequence[Callable[[], Checker]]]
CHECKERS: Checkers = {
    Topic.SETTINGS: [AnswersOnce],
    Topic.TASKS: [JobsChecker],
    Topic.CLAIMS: [ClaimsChecker, DigestsChecker],
}
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
        """Commands decided again in a second."""
        return self.commands / self.seconds if self.seconds else 0.0


def verify(
    log: Log,
    machines: Sequence[MachineType],
    checkpoints: CheckpointStore | None = None,
    progress: Progress = lambda _what, _count: None,
    checkers: Checkers = CHECKERS,
) -> Report:
    """Audit the whole log with these machines. Raises LogError if the log can't be read."""
    began = time.monotonic()
    audit = _Audit(log, machines, checkpoints or MemoryCheckpoints(), progress)
    audit.survey()
    for machine in machines:
        for source in _places(log, machine.topic):
            audit.decide_again(machine, source)
    audit.find_repeats_of_nothing()
    for source in audit.spans:
        if source.topic in checkers:
            audit.check(source, [checker() for checker in checkers[source.topic]])
    audit.report.seconds = time.monotonic() - began
    return audit.report


class _Audit:
    def __init__(
        self, log: Log, machines: Sequence[MachineType], checkpoints: CheckpointStore, progress: Progress
    ) -> None:
        self._log = log
        self._progress = progress
        self._findings = Findings()
        self._repeats = Repeats()
        self.report = Report(differences=self._findings.kept)
        # Floors before ends: what a floor has passed stands before the ends that are read after it.
        sources = [source for machine in machines for source in _places(log, machine.topic)]
        self._kept = {source: list(checkpoints.load(source)) for source in sources}
        self.spans = {source: self._span(source) for source in sources}
        self._ends = ends_of(log, [place for topic in Topic for place in _places(log, topic)])

    def _span(self, source: Place) -> Span:
        floor = self._log.floor(f"{source.topic}-machine", source)
        until = floor.offset if floor else 0
        begin = 0
        if self._log.start(source) > 0:
            begin = min((c.offset for c in self._usable(source)), default=until)
            self.report.notes.append(f"{source} was trimmed: decided again from offset {begin} on")
        return Span(self._log.genesis(source).log_id, begin, until)

    def _usable(self, source: Place) -> list[Checkpoint]:
        start = self._log.start(source)
        return [c for c in self._kept[source] if c.offset >= start]

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
        """Replay one partition against its targets and its checkpoints."""
        span = self.spans[source]
        self.report.undecided += self._ends[source] - span.until
        comparison = Comparison(self._log, source, span, self._targets(source), self._repeats, self._findings)
        try:
            self._replay(machine, source, comparison)
        except (MachineStopped, LogMismatch) as error:
            self._findings.add(9, source, span.begin, f"it can't be decided again: {error}")
        else:
            comparison.finish()
        self.report.decisions += comparison.agreed
        self.report.trimmed += comparison.trimmed
        self.report.pending += comparison.pending
        self._count()

    def _replay(self, machine: MachineType, source: Place, comparison: Comparison) -> None:
        span = self.spans[source]
        kept = {c.offset: c for c in self._usable(source) if span.begin <= c.offset <= span.until}
        begin = kept.get(span.begin)
        start = MemoryCheckpoints()
        if begin is not None:
            start.save(begin)
        floor = Floor(begin.offset, begin.digest, begin.log_id) if begin else None
        replaying = ReplayingLog(self._log, source, span.until, comparison.take, floor)
        runner = Runner(replaying, machine, source.partition, start, every=2**62)
        for offset in sorted({*kept, span.until}):
            self._run_to(runner, offset)
            self._compare_state(runner, kept.get(offset))
        self.report.states[str(source)] = sha256(runner.machine.snapshot()).hexdigest()

    def _run_to(self, runner: Runner, offset: int) -> None:
        while runner.position < offset:
            count = runner.poll(min(BATCH, offset - runner.position))
            self.report.commands += count
            self._progress(f"deciding {runner.place} again", count)

    def _compare_state(self, runner: Runner, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        self.report.checkpoints += 1
        if bytes(checkpoint.state) != runner.machine.snapshot():
            self._findings.add(9, runner.place, checkpoint.offset, "the checkpoint holds another state than the replay")

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


def _places(log: Log, topic: Topic) -> list[Place]:
    return [Place(topic, number) for number in range(log.partitions(topic))]


# --- As it was --------------------------------------------------------------------------------------------------------


def replay(
    log: Log, machines: Sequence[MachineType], moment: int, ends: Mapping[Place, int] = MappingProxyType({})
) -> Picture:
    """What was known when every command appended up to `moment` (ms since 1970) had been decided.

    `ends`: partitions that are read to before an offset instead. The commands are decided again; nothing is looked up
    in what was decided then. Raises LogError, MachineStopped.
    """
    picture = Picture()
    for machine in machines:
        if machine.topic is Topic.WORK:
            continue  # nothing that people are shown follows from it, and it is trimmed
        for source in _places(log, machine.topic):
            end = ends.get(source, first_at(log, source, moment + 1))
            past = ReplayingLog(log, source, end, lambda outputs: _draw(picture, outputs))
            runner = Runner(past, machine, source.partition, MemoryCheckpoints(), every=2**62)
            while runner.poll():
                pass
            picture.offsets[str(source)] = end
    return picture


def _draw(picture: Picture, outputs: Sequence[Append]) -> None:
    for output in outputs:
        if output.place.topic is Topic.FACTS:
            envelope = decode(Topic.FACTS, output.value)
            assert not isinstance(envelope, Undecodable), "a runner appends records"
            picture.draw(envelope.body)
