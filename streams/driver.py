"""Runs several runners in one thread, those that have something to do in turn, and lets time pass where a machine waits
for it.

This is the edge: the only clock here is a monotonic one, and it measures nothing but silence.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from schemas.codec import encode
from schemas.work import Tick
from streams.log import Append, Log, LogError, LogUnreachable, Place
from streams.loop import Runner

LOGGER = logging.getLogger(__name__)
PATIENCE = 5.0  # seconds in one wait, at most
RESTARTS = 5


class Ticker:
    """Appends a `Tick` when a caught-up runner's partition was silent for `tick()` ms and a deadline is outstanding.

    A standby that follows waits for longer than that: it ticks only where nobody else does.

    `deadline_outstanding`, `tick`: asked of the runner's machine each time; both may change with its state.
    """

    def __init__(
        self,
        log: Log,
        runner: Runner,
        deadline_outstanding: Callable[[], bool],
        tick: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._runner = runner
        self._deadline_outstanding = deadline_outstanding
        self._tick = tick
        self._clock = clock
        self._heard = (runner.position, clock())

    def due_in(self) -> float | None:
        """Seconds until a tick is due; None while no deadline is outstanding. Asked when the runner has caught up."""
        position, since = self._heard
        if self._runner.position != position:
            self._heard = (self._runner.position, since := self._clock())
        if not self._deadline_outstanding():
            return None
        return max(0.0, since + self._tick() / 1000 + self._runner.hesitation() - self._clock())

    def append(self) -> None:
        """Say that time has passed."""
        self._log.append([Append(self._runner.place, "", encode(Tick()))])


class Crew(NamedTuple):
    """Runners that take turns in one thread, and the ticker of the one whose machine waits for time, if any."""

    runners: Sequence[Runner]
    ticker: Ticker | None = None


class Driver:
    """Polls a crew's runners in turn until it is stopped; sleeps while none has anything to do.

    `log`: what the crew's runners read; who waits there has what it waited for. `assemble` makes the crew, in the
    thread of `run`; and again when the log went away under it and came back: what became of its last append is then
    unknown, so everything starts over from the floors.

    `crew`: the present one, without runners before the first and after the last. `took`: hears of each batch, and how
    many seconds it took.
    """

    def __init__(self, log: Log, assemble: Callable[[], Crew]) -> None:
        self.crew = Crew(())
        self.took: Callable[[Runner, float], None] = _unheard
        self._assemble = assemble
        self._log = log
        self._stopping = threading.Event()
        self._progressed = False
        self._swept = 0.0  # when all runners were polled last

    def run(self) -> None:
        """Run until `stop`, then keep a checkpoint of each runner's state.

        Raises MachineStopped, LogMismatch and other LogErrors of a runner at once; LogUnreachable when the log does not
        come back while a crew is assembled, or goes away RESTARTS times with no progress in between. After `stop` no
        LogError is raised: what it kept from being done is another's to do, who may have taken the states already.
        """
        try:
            self._run()
        except LogError as error:
            if not self._stopping.is_set():
                raise
            LOGGER.warning("after a stop: %s", error)

    def stop(self) -> None:
        """Let `run` return after the batch in hand; from any thread."""
        self._stopping.set()
        self._log.wake()

    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self.crew = crew = self._assemble()
            try:
                self._work(crew)
            except LogUnreachable as error:
                failures = 1 if self._progressed else failures + 1
                if failures > RESTARTS:
                    raise
                LOGGER.warning("%s; starting over from the floors", error)

    def _work(self, crew: Crew) -> None:
        self._progressed = False
        busy = self._all(crew)
        try:
            while not self._stopping.is_set():
                if sum([self._poll(runner) for runner in busy]):
                    self._progressed = True
                    busy = self._await_busy(crew, 0)
                else:
                    busy = self._sleep(crew) or self._all(crew)
            with ExitStack() as each:  # what one can't keep, with the brokers away, does not keep the others from it
                for runner in crew.runners:
                    each.callback(runner.checkpoint)
        finally:
            self.crew = Crew(())
            for runner in crew.runners:
                runner.close()

    def _poll(self, runner: Runner) -> int:
        begun = time.perf_counter()
        taken = runner.poll()
        if taken:
            self.took(runner, time.perf_counter() - begun)
        return taken

    def _all(self, crew: Crew) -> Sequence[Runner]:
        self._swept = time.monotonic()
        return crew.runners

    def _sleep(self, crew: Crew) -> Sequence[Runner]:
        due = crew.ticker.due_in() if crew.ticker else None
        if crew.ticker and due == 0:
            crew.ticker.append()
            return ()
        dues = [PATIENCE, due, *(runner.due_in() for runner in crew.runners)]
        return self._await_busy(crew, min(due for due in dues if due is not None))

    def _await_busy(self, crew: Crew, seconds: float) -> Sequence[Runner]:
        """Runners whose turn it is, once there is one; none after so many seconds.

        A poll in vain costs two questions to the log, so who has nothing to read is left out; but not for long: all
        look whether the log is still the one that they have read.
        """
        positions = {runner.place: runner.position for runner in crew.runners if not runner.is_held_up()}
        moved = set[Place]()
        if positions:
            moved = self._log.wait(positions, seconds)
        else:
            self._stopping.wait(seconds)
        if time.monotonic() > self._swept + PATIENCE:
            return self._all(crew)
        return [runner for runner in crew.runners if runner.place in moved or runner.due_in() == 0]


def _unheard(_runner: Runner, _seconds: float) -> None:
    """Nobody wants to know."""
