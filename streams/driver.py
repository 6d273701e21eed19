"""Runs several runners in one thread, in turn, and lets time pass where a machine waits for it.

This is the edge: the only clock here is a monotonic one, and it measures nothing but silence.
"""

import threading
import time
from collections.abc import Callable, Sequence

from schemas.codec import encode
from schemas.work import Tick
from streams.log import Append, Log
from streams.loop import Runner

PATIENCE = 5.0  # seconds in one wait, at most


class Ticker:
    """Appends a `Tick` when a caught-up runner's partition was silent for `tick()` ms and a deadline is outstanding.

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
        return max(0.0, since + self._tick() / 1000 - self._clock())

    def append(self) -> None:
        """Say that time has passed."""
        self._log.append([Append(self._runner.place, "", encode(Tick()))])


class Driver:
    """Polls its runners in turn until it is stopped; sleeps where none has anything to do."""

    def __init__(self, log: Log, runners: Sequence[Runner], ticker: Ticker | None = None) -> None:
        self._runners = runners
        self._ticker = ticker
        self._waiter = log.clone()  # closing it wakes the wait and touches nothing else
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run until `stop`, then keep a checkpoint of each. Raises what a runner raises: LogError, MachineStopped."""
        try:
            while not self._stopping.is_set():
                if not self._poll_all():
                    self._idle()
        finally:
            self._waiter.close()
        for runner in self._runners:
            runner.checkpoint()

    def stop(self) -> None:
        """Let `run` return after the batch in hand; from any thread."""
        self._stopping.set()
        self._waiter.close()

    def _poll_all(self) -> int:
        return sum([runner.poll() for runner in self._runners])

    def _idle(self) -> None:
        due = self._ticker.due_in() if self._ticker else None
        if self._ticker and due == 0:
            self._ticker.append()
            return
        positions = {runner.place: runner.position for runner in self._runners}
        self._waiter.wait(positions, PATIENCE if due is None else min(due, PATIENCE))
