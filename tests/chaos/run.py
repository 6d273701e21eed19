"""One run: the town is built, the storm and the nemeses do their worst, then all has to come to rest and be right."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.machines import machines
from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.kept import KeptStates, kept_in_folder
from streams.log import LogError
from streams.past import replay
from tests.chaos.field import Field
from tests.chaos.jobs import Catalogue
from tests.chaos.judge import CLOCK, Judge, audited
from tests.chaos.nemeses import Nemeses, names
from tests.chaos.report import ChaosReport, as_json
from tests.chaos.ruin import SAYS, Ruin
from tests.chaos.storm import EVEN, Mood, Storm
from tests.chaos.town import Town
from tests.chaos.watch import Watch
from tests.simulation.sight import Broken

START = 120.0  # seconds within which the first job is complete, before anything strikes
SETTLE = 180.0  # seconds within which everything has to end after the last strike
PAUSE = 2.0  # seconds between two strikes by one hand
REACHED = 120.0  # seconds after the last strike within which the log can be read
ARCHIVE_EVERY = 10.0  # seconds


class Run:
    """`folder`: where the town stands and its history stays.

    `nemeses`: names of those that strike; None: all, and one of the ruins. `settle`: seconds within which everything
    has to end after the last strike. `mood`: of those who ask.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        seconds: float,
        *,
        runner: str = "bubblewrap",
        mutant: str = "",
        settle: float = SETTLE,
        nemeses: list[str] | None = None,
        mood: Mood = EVEN,
    ) -> None:
        self.report = ChaosReport(seed=seed, minutes=seconds / 60, runner=runner, mutant=mutant)
        self._town = Town(folder, runner, mutant)
        self._seconds = seconds
        self._settled = settle
        self._mood = mood
        self._field = Field(self._town, seed)
        named = [*names(runner), list(SAYS)[seed % len(SAYS)]] if nemeses is None else nemeses
        self._ruins = [name for name in named if name in SAYS][:1]  # there is only one end
        self._nemeses = Nemeses(self._field, PAUSE, [name for name in named if name not in SAYS])
        self._history = folder / "history"
        self._judge: Judge | None = None
        self._breath = threading.Event()  # never set

    def run(self) -> ChaosReport:
        """Do it; the report, which is also kept as report.json beside the history."""
        with self._noting(), self._town.standing():
            self._storm()
        self._look_at_processes()
        (self._town.folder / "report.json").write_bytes(as_json(self.report))
        return self.report

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What is found wrong inside goes into the report."""
        try:
            yield
        except (Broken, AssertionError) as error:
            self.report.wrong.append(" ".join(str(error).split())[:500])

    def _storm(self) -> None:
        town = self._town
        watch = Watch(town.log)
        catalogue = Catalogue(town.store(), town.folder / "office", town.image)
        storm = Storm(town.log, catalogue, watch, self.report.seed, self._mood)
        try:
            storm.introduce()
            storm.start()
            with self._noting():
                self._rage(storm, watch)
            with self._noting():
                self._settle(storm, watch)
            self._verdict(storm, watch)
            with self._noting():
                self._ruin(storm)
        finally:
            watch.stop()
            storm.close()

    def _rage(self, storm: Storm, watch: Watch) -> None:
        patience = min(START, self._settled)
        try:
            assert watch.until_first_output(patience), f"invariant 10: before any strike no job ends in {patience:g} s"
            self._strike()
        finally:
            storm.stop()

    def _strike(self) -> None:
        self._nemeses.start()
        end = time.monotonic() + self._seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self._field.hold(min(ARCHIVE_EVERY, left))
                self._archive()
        finally:
            self._nemeses.stop()

    def _settle(self, storm: Storm, watch: Watch) -> None:
        """No waiter waits for ever: every job ends, every execution too."""
        began = time.monotonic()
        left = watch.until_ended(storm.jobs, self._settled)
        assert not left, f"invariant 10: {len(left)} jobs have not ended after {self._settled:g} s: {left[:5]}"
        while True:
            judge = self._read()
            if judge.model.is_quiet():
                break
            waited = time.monotonic() - began
            assert waited < self._settled, f"invariant 10: after {waited:.0f} s: {judge.model.unfinished()[:5]}"
            self._breath.wait(0.5)
        self.report.settled_in = time.monotonic() - began

    def _read(self) -> Judge:
        end, begun = time.monotonic() + REACHED, time.time()
        while not self._archive():
            begun = time.time()
            assert time.monotonic() < end, f"the log can't be read {REACHED:g} s after all was over"
        log = ArchiveLog(self._history)
        if self._judge is None:
            self._judge = Judge(log)
        self._judge.read(log, begun - CLOCK)
        return self._judge

    def _archive(self) -> bool:
        """Write on the history, if the broker can be reached."""
        try:
            with closing(self._town.log()) as log:
                archive(log, self._history, self._kept())
        except LogError:
            return False
        return True

    def _kept(self) -> KeptStates:
        return kept_in_folder(self._town.config.folders.checkpoints)

    def _verdict(self, storm: Storm, watch: Watch) -> None:
        """Each of those who look says what it finds, whatever the others found."""
        report = self.report
        report.commands, report.repeated_by_clients = len(storm.acknowledged), storm.repeated
        report.jobs = dict(Counter(watch.states.get(root, "unknown") for root in storm.jobs))
        with self._noting():
            self._judged(storm)
        found = audited(self._history, self._kept())
        report.records, report.repeats = found.records, found.repeats
        report.audit_wrong, report.audit_speed, report.checkpoints = found.wrong, found.speed, found.checkpoints
        report.wrong += [f"audit: {one.place} {one.offset}: {one.text}" for one in found.differences[:20]]
        with self._noting():
            self._compare_with_replay(storm, watch)

    def _judged(self, storm: Storm) -> None:
        judge, report = self._read(), self.report
        report.counts = dict(judge.counts)
        report.copies = judge.counts["tasks TaskCopied"]
        report.executions = judge.counts["facts Granted"]
        self._count_strikes(judge)
        with self._noting():
            report.starts = judge.count_starts(self._town.starts)
        judge.model.finish(storm.acknowledged)
        report.rules_fired = len(judge.model.fired)

    def _compare_with_replay(self, storm: Storm, watch: Watch) -> None:
        log = ArchiveLog(self._history)
        picture = replay(log, machines(log), 2**52)
        for root in storm.jobs:
            said, is_so = watch.states.get(root), picture.jobs[root].state
            assert said == is_so, f"invariant 9: job {root} is {said} in the facts and {is_so} in a replay"

    def _ruin(self, storm: Storm) -> None:
        for name in self._ruins:
            Ruin(name, self._town, storm).strike()
            self.report.strikes[name] = (1, 1)

    def _count_strikes(self, judge: Judge) -> None:
        for strike in self._nemeses.struck:
            all_, busy = self.report.strikes.get(strike.nemesis, (0, 0))
            now = judge.in_flight(strike.begin, strike.end)
            self.report.strikes[strike.nemesis] = (all_ + 1, busy + now)
        for name in self._nemeses.names:
            self.report.strikes.setdefault(name, (0, 0))
        if not self.report.mutant:
            self.report.wrong += [f"{name} never struck while work was in flight" for name in self.report.idle()]

    def _look_at_processes(self) -> None:
        ends: Counter[str] = Counter()
        for resident in self._town.everybody:
            self.report.processes_started += resident.starts
            for end in resident.ends:
                ends[f"{resident.kind} {_how(end.code)}{': ' + end.line if end.line else ''}"[:160]] += 1
                if "unexpected" in end.line:
                    self.report.wrong.append(f"{resident.name} stopped: {end.line}")
            if resident.said.exists() and b"Traceback" in resident.said.read_bytes():
                self.report.wrong.append(f"{resident.name} did not foresee something: see {resident.said}")
        self.report.ends = dict(ends.most_common(20))


def _how(code: int) -> str:
    return f"killed by {-code}" if code < 0 else f"exit {code}"
