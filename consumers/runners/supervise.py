"""Watching over a command that runs: how long, how much it writes, who tells it to end, and what its end means."""

import signal
import threading
import time

from consumers.runners.port import Exit, Limits, Outcome, Running
from consumers.runners.space import Space, memory_of
from schemas.reasons import Failure

GRACE_SECONDS = 4.0
TEMPORARY_EXIT = 111
_LOOK_SECONDS = 0.25
_LONGEST_PAUSE = 2.0  # seconds between two looks, however long one takes
_LAST_SIGNAL = 64
_MEMORY = "out of memory: it was killed at its memory limit; ask for more in resources.memory"
_KNOWN_CODES = {
    TEMPORARY_EXIT: ": a temporary failure, by its own word",
    126: ": its program can't be executed",
    127: ": its program was not found",
}
# SIGXFSZ by number, as the shell adds it to 128: it is the same on Linux and macOS.
_FILE_TOO_LARGE = 128 + 25


class Supervision:
    """One command under its limits. `stop` may be called from any thread, also before `run`."""

    def __init__(self, limits: Limits, space: Space, grace_seconds: float = GRACE_SECONDS) -> None:
        self._limits = limits
        self._space = space
        self._grace_seconds = grace_seconds
        self._asked = threading.Event()
        self._at_once = False
        self._signals = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self._next_signal = 0.0
        self._next_look = 0.0
        self._watches_memory = False

    def watch_memory(self) -> None:
        """Nothing holds the memory of all its processes together, so look at it."""
        self._watches_memory = True

    def stop(self, grace: bool) -> None:
        """End it: INT, TERM and KILL as Crunch v1 gives them, or at once."""
        self._at_once = self._at_once or not grace
        self._asked.set()

    @property
    def was_stopped(self) -> bool:
        """Whether somebody asked for its end."""
        return self._asked.is_set()

    def run(self, running: Running, adopted: bool = False) -> Outcome:
        """Let it run to its end, whatever that is; nothing of it is left when this returns.

        `adopted`: a former executor let it go.
        """
        started = time.monotonic()
        try:
            if not adopted:
                if self.was_stopped:  # an engine tells no end of what it never started
                    return _stopped("it was told to stop before it began")
                running.go()
            return self._watch(running, started)
        finally:
            running.finish()

    def _watch(self, running: Running, started: float) -> Outcome:
        while True:
            ended = running.wait(self._pause(started))
            if ended is not None:
                return outcome_of(ended)
            if self.was_stopped:
                if outcome := self._escalate(running):
                    return outcome
            elif over := self._over_limit(running, started):
                return over

    def _pause(self, started: float) -> float:
        if self.was_stopped:
            return 0.02
        left = started + self._limits.time / 1000 - time.monotonic() if self._limits.time else _LOOK_SECONDS
        return max(min(left, _LOOK_SECONDS), 0.0)

    def _escalate(self, running: Running) -> Outcome | None:
        now = time.monotonic()
        if self._at_once:
            return _stopped("it was told to stop at once")
        if now >= self._next_signal:
            if not self._signals:  # an engine that hangs passes none of them on
                return _stopped("it was told to stop, and nobody said that it ended")
            running.signal(self._signals.pop(0))
            self._next_signal = now + self._grace_seconds
        return None

    def _over_limit(self, running: Running, started: float) -> Outcome | None:
        limit = self._limits.time
        if limit and time.monotonic() - started >= limit / 1000:
            reason = f"timeout: still running after {limit / 1000:g} s; give it a longer timeout if it needs one"
            return Outcome(exit_code=128 + signal.SIGKILL, failure=Failure.TIMEOUT, reason=reason)
        return self._looked_at_use(running) if time.monotonic() >= self._next_look else None

    def _looked_at_use(self, running: Running) -> Outcome | None:
        began = time.monotonic()
        processes = list(running.processes())
        if reason := self._space.trouble(processes):
            return Outcome(exit_code=128 + signal.SIGKILL, failure=Failure.OUTPUT, reason=reason)
        if self._watches_memory and memory_of(processes) > self._limits.memory:
            return Outcome(exit_code=128 + signal.SIGKILL, failure=Failure.OUT_OF_MEMORY, reason=_MEMORY)
        took = time.monotonic() - began
        self._next_look = began + took + min(max(_LOOK_SECONDS, 20 * took), _LONGEST_PAUSE)
        return None


def outcome_of(ended: Exit) -> Outcome:
    """What an end means. An exit code is passed on as it is."""
    code = ended.code
    if ended.trouble:
        return Outcome(exit_code=-1, failure=Failure.NODE, reason=ended.trouble)
    if code == 0:
        return Outcome(exit_code=0)
    if ended.out_of_memory:
        return Outcome(exit_code=code, failure=Failure.OUT_OF_MEMORY, reason=_MEMORY)
    if code == _FILE_TOO_LARGE:
        reason = "a file grew beyond the space it may use: ask for more in resources.scratch"
        return Outcome(exit_code=code, failure=Failure.OUTPUT, reason=reason)
    if 128 < code <= 128 + _LAST_SIGNAL:
        return Outcome(exit_code=code, failure=Failure.SIGNAL, reason=f"killed by signal {_signal_name(code - 128)}")
    return Outcome(exit_code=code, failure=Failure.EXIT, reason=f"exit code {code}{_KNOWN_CODES.get(code, '')}")


def _stopped(reason: str) -> Outcome:
    return Outcome(exit_code=128 + signal.SIGKILL, failure=Failure.SIGNAL, reason=reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
