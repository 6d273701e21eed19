"""One run: the town is built, the storm and the nemeses do their worst, then all has to come to rest and be right."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.machines import machines
from streams.broker import BrokerError
from streams.log import LogError
from streams.past import replay
from tests.chaos.field import Field
from tests.chaos.history import History, told
from tests.chaos.jobs import Catalogue
from tests.chaos.judge import Judge
from tests.chaos.nemeses import Nemeses, names
from tests.chaos.onlooker import differing
from tests.chaos.reader import Reader
from tests.chaos.report import ChaosReport, as_json
from tests.chaos.ruin import SAYS, Ruin
from tests.chaos.storm import EVEN, Mood, Storm
from tests.chaos.town import Town
from tests.chaos.watch import Watch
from tests.simulation.sight import Broken

START = 300.0  # seconds within which the first job is complete, before anything strikes
SETTLE = 300.0  # seconds within which, after the last strike, one more job has to end, and at last everything else
PAUSE = 2.0  # seconds between two strikes by one hand
IDLE = "never struck while work was in flight"
UNFORESEEN = "ended as nobody foresaw"
_UNEXPECTED = re.compile(r"unexpected [A-Za-z]+: ")
LOOK_EVERY = 10.0  # seconds between two looks at the log, if it is only kept
LOOK_HASTILY = 4.0  # the same, if somebody waits for what there is to be found


class Run:
    """`folder`: where the town stands and its history stays.

    `nemeses`: names of those that strike; None: all, and one of the ruins. `settle`: seconds within which,
    after the last strike, one more job has to end, and at last everything else. `mood`: of those who ask. `hasty`:
    whether it is over as soon as something is found. `alone`: see Town.
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
        hasty: bool = False,
        alone: bool = False,
    ) -> None:
        self.report = ChaosReport(seed=seed, minutes=seconds / 60, runner=runner, mutant=mutant)
        self._seconds = seconds
        self._settled = settle
        self._mood = mood
        self._hasty = hasty
        named = [*names(runner), list(SAYS)[seed % len(SAYS)]] if nemeses is None else nemeses
        self._town = Town(folder, runner, mutant, alone, is_read="kill api" in named, is_viewed="kill views" in named)
        self._field = Field(self._town, seed)
        self._ruins = [name for name in named if name in SAYS][:1]  # there is only one end
        self._nemeses = Nemeses(self._field, PAUSE, [name for name in named if name not in SAYS])
        self._history = History(folder / "history", self._town.log, self._town.snapshots)
        self._breath = threading.Event()  # never set
        self._reader: Reader | None = None

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
        except (Broken, AssertionError, LogError, BrokerError) as error:
            self.report.wrong.append(" ".join(str(error).split())[:500])

    def _storm(self) -> None:
        town = self._town
        watch = Watch(town.log)
        catalogue = Catalogue(town.store(), town.folder / "office", town.image)
        storm = Storm(town.log, catalogue, watch, self.report.seed, self._mood)
        try:
            storm.introduce()
            if town.is_read:
                reader = town.reader(storm.introduce_admin(), storm.jobs)
                reader.start()
                self._reader = reader
            storm.start()
            with self._noting():
                self._rage(storm, watch)
            if not (self._hasty and self.report.wrong):
                with self._noting():
                    self._settle(storm, watch)
                self._hear_reader()
                self._verdict(storm, watch)
                with self._noting():
                    self._ruin(storm)
        finally:
            self._hear_reader()
            watch.stop()
            storm.close()

    def _hear_reader(self) -> None:
        """What it was told counts, however all else ends; then it is gone."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
            self.report.wrong += reader.wrong
            self.report.answers = reader.answers

    def _rage(self, storm: Storm, watch: Watch) -> None:
        patience = min(START, self._settled)
        try:
            self._look_on(patience, watch.until_first_output)
            if self.report.wrong:
                return
            assert watch.until_first_output(0), f"invariant 10: before any strike no job ends in {patience:g} s"
            self._strike()
        finally:
            storm.stop()

    def _strike(self) -> None:
        self._nemeses.start()
        try:
            self._look_on(self._seconds, self._field.hold)
        finally:
            self._nemeses.stop()

    def _look_on(self, seconds: float, hold: Callable[[float], bool]) -> None:
        """Write down what happens for so long, until `hold` says that it is over, or what is found is enough."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.report.wrong:
            if hold(min(LOOK_HASTILY if self._hasty else LOOK_EVERY, left)):
                return
            if self._hasty:
                self.report.wrong += self._history.look()
            else:
                self._history.write()

    def _settle(self, storm: Storm, watch: Watch) -> None:
        """No waiter waits for ever: every job ends, every execution too."""
        began = time.monotonic()
        left = watch.until_ended(storm.jobs, self._settled)
        assert not left, f"invariant 10: {len(left)} jobs have not ended, none in {self._settled:g} s: {left[:5]}"
        judge = self._history.read()  # of all that was kept until now, which takes its time
        caught_up = time.monotonic()
        while not judge.model.is_quiet():
            waited = time.monotonic() - caught_up
            assert waited < self._settled, f"invariant 10: after {waited:.0f} s: {judge.model.unfinished()[:5]}"
            self._breath.wait(0.5)
            judge = self._history.read()
        self.report.settled_in = time.monotonic() - began
        if self._reader is not None:
            self._compare_with_api(self._reader, watch)
        if self._town.views:
            differs = differing(self._town.views, self._town.dsn, self._settled)
            assert not differs, f"invariant 10: the live views do not come to show what the read model says: {differs}"

    def _compare_with_api(self, reader: Reader, watch: Watch) -> None:
        left = reader.until_told(self._settled)
        reader.stop()
        assert not left, f"invariant 10: the API tells the end of {len(left)} jobs no more: {left[:5]}"
        for root, said in reader.states.items():
            assert said == watch.states[root], f"invariant 9: job {root} is {said} in the API, not as in the facts"

    def _verdict(self, storm: Storm, watch: Watch) -> None:
        """Each of those who look says what it finds, whatever the others found."""
        report = self.report
        report.commands, report.repeated_by_clients = len(storm.acknowledged), storm.repeated
        report.jobs = dict(Counter(watch.states.get(root, "unknown") for root in storm.jobs))
        with self._noting():
            self._judged(storm)
        found = self._history.audit()
        report.records, report.repeats = found.records, found.repeats
        report.audit_wrong, report.audit_speed, report.checkpoints = found.wrong, found.speed, found.checkpoints
        report.wrong += told(found)
        with self._noting():
            self._compare_with_replay(storm, watch)

    def _judged(self, storm: Storm) -> None:
        judge, report = self._history.read(), self.report
        report.counts = dict(judge.counts)
        report.copies = judge.counts["tasks TaskCopied"]
        report.executions = judge.counts["facts Granted"]
        self._count_strikes(judge)
        with self._noting():
            report.starts = judge.count_starts(self._town.starts)
        judge.model.finish(storm.acknowledged)
        report.rules_fired = len(judge.model.fired)

    def _compare_with_replay(self, storm: Storm, watch: Watch) -> None:
        log = self._history.log
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
            self.report.wrong += [f"{name} {IDLE}" for name in self.report.idle()]

    def _look_at_processes(self) -> None:
        ends: Counter[str] = Counter()
        for resident in self._town.everybody:
            self.report.processes_started += resident.starts
            for end in resident.ends:
                ends[f"{resident.kind} {_how(end.code)}{': ' + end.line if end.line else ''}"[:160]] += 1
                if is_unforeseen(end.line):
                    self.report.wrong.append(f"{resident.name} {UNFORESEEN}: {end.line}")
            if resident.said.exists() and b"Traceback" in resident.said.read_bytes():
                self.report.wrong.append(f"{resident.name} {UNFORESEEN}: see {resident.said}")
        self.report.ends = dict(ends.most_common(20))


def is_unforeseen(line: str) -> bool:
    """Whether a process's last line is what it says of an error that nobody foresaw; others use the word too."""
    return _UNEXPECTED.search(line) is not None


def _how(code: int) -> str:
    return f"killed by {-code}" if code < 0 else f"exit {code}"
