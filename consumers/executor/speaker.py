"""Lets people read what a task says while it runs: now and then the end of it goes where the store's readers find it.

A task that is silent, or over before anybody could look, costs nothing; one that says a gigabyte costs one small file a
second. A store that hangs or is full holds up no task and ends none: its own end is where that is judged.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from consumers.executor.boundedlog import BoundedLog
from store.errors import StoreError
from store.port import SpokenWords
from store.words import MOST, Words

LOGGER = logging.getLogger(__name__)
EVERY = 1.0  # seconds
LINGER = 30.0  # seconds that a task's last words stay, until its log is known to all
_CLOSE_SECONDS = 5.0  # for a store that does not answer


class _Heard:
    """One task's log. `shown`: how much of it is shown; None: nothing yet, -1: more or less than there is."""

    def __init__(self, log: BoundedLog, shown: int | None) -> None:
        self.log = log
        self.shown = shown
        self._is_new = True

    def due(self) -> bool:
        """Whether there is something new to show, of a task that was there the last time too."""
        if self._is_new:
            self._is_new = False
            return False
        return self.log.written not in (0, self.shown)

    def take(self) -> Words:
        """What is to be shown now. What can't be read is left out: the log itself says why in the end."""
        self.shown = self.log.written
        try:
            return self.log.end(MOST)
        except OSError:
            return Words(total=self.shown, end=b"")


class Speaker:
    """A thread from when it is made until `close`. `words`: where they go. `every`, `linger`: seconds."""

    def __init__(self, words: SpokenWords, every: float = EVERY, linger: float = LINGER) -> None:
        self._words = words
        self._every = every
        self._linger = linger
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._over = threading.Event()
        self._heard: dict[str, _Heard] = {}
        self._last: dict[str, Words] = {}
        self._gone: dict[str, float] = {}  # what is to be taken back, and from when on
        self._told: set[str] = set()  # troubles, since all went well
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    @contextmanager
    def heard(self, name: str, log: BoundedLog, *, is_left: bool = False) -> Iterator[None]:
        """Meanwhile what comes into this log is shown under this name; it is to be closed after that.

        `is_left`: a former executor may have shown something.
        """
        heard = _Heard(log, -1 if is_left else None)
        with self._lock:
            self._gone.pop(name, None)
            self._heard[name] = heard
            self._awake.set()
        try:
            yield
        finally:
            with self._lock:
                del self._heard[name]
                if heard.shown is not None:
                    self._last[name] = heard.take()
                    self._gone[name] = time.monotonic() + self._linger

    def forget(self, name: str) -> None:
        """Take back what a former executor showed under this name, if it did."""
        with self._lock:
            self._gone[name] = 0.0
            self._awake.set()

    def close(self) -> None:
        """Take back all that is shown, and end. Again: no effect."""
        with self._lock:
            self._gone = dict.fromkeys(self._gone, 0.0)
            self._over.set()
            self._awake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._over.is_set():
            self._awake.wait()
            self._show()
            self._over.wait(self._every)
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = {name: heard for name, heard in self._heard.items() if heard.due()}
            said = self._last | {name: heard.take() for name, heard in due.items()}
            over = [name for name, moment in self._gone.items() if moment <= now]
            self._last = {}
            for name in over:
                del self._gone[name]
            if not (self._heard or self._gone):
                self._awake.clear()
        unsaid = [name for name, words in said.items() if not self._done(partial(self._words.put, name, words))]
        left = [name for name in over if not self._done(partial(self._words.remove, name))]
        for name in unsaid:
            if name in due:
                due[name].shown = -1
        self._try_again(left)
        if (said or over) and not (unsaid or left):
            self._told.clear()

    def _try_again(self, left: list[str]) -> None:
        """With the next words, to take back what could not be; but for what is spoken under again."""
        with self._lock:
            for name in left:
                if name not in self._heard:
                    self._gone.setdefault(name, 0.0)
                    self._awake.set()

    def _done(self, what: Callable[[], None]) -> bool:
        """Whether it could be done; why not is said once, until all can be again."""
        try:
            what()
        except StoreError as error:
            if str(error) not in self._told:
                LOGGER.warning("what running tasks say can't be shown: %s", error)
            self._told.add(str(error))
            return False
        return True
