"""Gives the signs of life of one incarnation, in a thread with a connection of its own.

It runs in the process beside the executor's (`consumers.watchdog`), where nothing that the executor does holds it up.
Only where the log lives in the executor's own memory, and no other process can reach it, does it run there.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from consumers.executor.lease import Timing
from consumers.executor.life import Life
from consumers.executor.until import Until
from schemas.codec import encode
from schemas.topics import Topic
from schemas.work import Alive
from streams.log import Append, Log, LogError
from streams.routes import Routes

LOGGER = logging.getLogger(__name__)
_NOT_ABLE = "TtZX"  # stopped, traced, ended


class Living(msgspec.Struct, frozen=True, kw_only=True):
    """What another process needs to give an incarnation's signs of life.

    `identity`, `timing`, `sent`: see `Life`. `until`: path of the moment that both share. `process`: the executor's.
    """

    identity: Alive
    timing: Timing
    sent: int
    until: str
    process: int

    def pulse(self, sender: "Sender") -> "Pulse":
        """What gives them."""
        life = Life(self.identity, self.timing, self.sent)
        return Pulse(sender, life, Until(Path(self.until)), lambda: can_speak(self.process))


class Sender:
    """Appends signs of life, over a connection of its own. It is made by `open`, or when it is first needed."""

    def __init__(self, open_log: Callable[[], Log]) -> None:
        self._open_log = open_log
        self._log: Log | None = None
        self._routes: Routes | None = None

    def open(self) -> tuple[Log, Routes]:
        """Connect. Raises LogError."""
        if self._log is None:
            self._log = self._open_log()
        if self._routes is None:
            self._routes = Routes(self._log, (Topic.WORK,))
        return self._log, self._routes

    def send(self, sign: Alive) -> None:
        """Append it. Raises LogError."""
        log, routes = self.open()
        log.append([Append(routes.place(Topic.WORK, sign.pool), sign.pool, encode(sign))])

    def close(self) -> None:
        """Hang up."""
        if self._log is not None:
            self._log.close()


class Pulse:
    """From `start` to `close`, or until the deadline has passed. `able`: whether the executor could speak for itself.

    `until` always holds the deadline.
    """

    def __init__(self, sender: Sender, life: Life, until: Until, able: Callable[[], bool]) -> None:
        self._sender = sender
        self._life = life
        self._until = until
        self._able = able
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="signs-of-life", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._until.at = self._life.deadline
        self._thread.start()

    def hear(self, tokens: tuple[str, ...], pausing: bool) -> None:
        """The executor lives, and holds this."""
        with self._changed:
            self._life.hear(tokens, pausing, milliseconds())
            self._changed.notify()

    def retime(self, timing: Timing) -> None:
        """The dispatcher keeps to another lease from now on."""
        with self._changed:
            self._life.retime(timing)
            self._until.at = self._life.deadline
            self._changed.notify()

    def close(self) -> None:
        """Say nothing more. One that is on its way may still arrive."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while (sign := self._next()) is not None:
            try:
                self._sender.send(sign)
            except LogError as error:
                LOGGER.warning("%s: no sign of life: %s", sign.node, error)
                with self._changed:
                    self._life.failed(milliseconds())
            else:
                with self._changed:
                    self._life.acked(milliseconds())
                    self._until.at = self._life.deadline

    def _next(self) -> Alive | None:
        """The next one, once it is due; None: there is none any more."""
        with self._changed:
            while not self._closing:
                now = milliseconds()
                if self._life.has_passed(now):
                    return None
                if (sign := self._life.tick(now, self._able())) is not None:
                    return sign
                self._changed.wait(max(self._life.due() - now, 1) / 1000)
        return None


def milliseconds() -> int:
    """The node's monotonic clock, the same in all its processes."""
    return time.monotonic_ns() // 1_000_000


def can_speak(process: int) -> bool:
    """Whether this process, the parent of ours, runs, sleeps or waits: it is there, and nobody has stopped it."""
    if not sys.platform.startswith("linux"):
        return os.getppid() == process
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in _NOT_ABLE
