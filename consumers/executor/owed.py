"""What the engine was to remove and did not: removed as soon as it answers again.

Of a former executor: what was there when this one started and the engine did not answer. It can't be adopted any more
by then: when this node joined, the dispatcher gave it to somebody else. Of this one: containers that an attempt left
behind because the engine went away. Until they are gone the watchdog holds them too, for should we go first.
"""

import logging
import threading
from collections.abc import Set
from pathlib import Path

from consumers.executor.guard import Guard
from consumers.runners.choose import Runners
from consumers.runners.port import CannotRun, Spared

LOGGER = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0


class Owed:
    """Asks again, in a thread while anything is owed, until `close`. `key`: the site's; `attempts`: its folder of them.

    All but `start` and `close` may be called from any thread.
    """

    def __init__(self, runners: Runners, guard: Guard, key: str, attempts: Path) -> None:
        self._runners = runners
        self._guard = guard
        self._key = key
        self._attempts = attempts
        self._lock = threading.Lock()
        self._marks: set[str] = set()
        self._is_asking = False
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin, if anything of a former executor's is owed."""
        if self._runners.owing:
            LOGGER.warning("what a former executor left in the engine stays until it answers: %s", self._runners.owing)
            with self._lock:
                self._ask()

    def owe(self, mark: str) -> None:
        """What carries this mark, if anything does, goes as soon as the engine answers."""
        with self._lock:
            self._marks.add(mark)
            self._ask()

    def remove(self, mark: str) -> None:
        """The same; where the engine answers now, it is gone when this returns."""
        try:
            self._sweep(lambda found: found != mark)
        except CannotRun:
            self.owe(mark)
        else:
            with self._lock:
                self._forget({mark})

    def close(self) -> None:
        """Ask no more. A question that is out is not waited for: an engine that hangs may take a minute over it."""
        with self._lock:
            self._closing.set()

    def _ask(self) -> None:
        if not self._is_asking:
            self._is_asking = True
            threading.Thread(target=self._run, name="owed", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ask_until_gone()
        except BaseException:
            with self._lock:
                self._is_asking = False  # so that the next one that is owed is asked for
            raise

    def _ask_until_gone(self) -> None:
        told = False
        while not self._closing.wait(_PAUSE_SECONDS):
            with self._lock:
                marks = frozenset(self._marks)
            try:
                removed = self._sweep(self._all_but_ours(marks))
            except CannotRun as error:
                if not told:
                    LOGGER.warning("containers that are to be removed stay until the engine answers: %s", error)
                told = True
                continue
            if removed:
                LOGGER.warning("the engine answers: removed %d containers that were left behind", removed)
            with self._lock:
                self._forget(marks)
                if not self._marks:
                    self._is_asking = False  # under the lock: what is owed from here on has a thread of its own
                    return

    def _sweep(self, spare: Spared) -> int:
        return self._runners.get("docker").sweep(self._key, spare)

    def _all_but_ours(self, marks: Set[str]) -> Spared:
        """Spares what an attempt still follows: its folder is there before the container is made and after it is gone,
        and, until the broom has come, that of a container that is owed."""
        return lambda mark: mark not in marks and (self._attempts / mark.removeprefix(f"{self._key}.")).exists()

    def _forget(self, marks: Set[str]) -> None:
        self._marks -= marks
        if not self._closing.is_set():  # else the guard may be closed already
            for mark in marks:
                self._guard.drop(mark)
