"""One incarnation of the executor at work: drives the core with a clock, threads and the log.

The thread that calls `run` owns the core; all others put events into its queue. Appends go out in order, by one
thread; signs of life by another, with a connection of its own, so that no other append can hold them up.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

import msgspec

from consumers.executor import actions as do
from consumers.executor.attempt import Attempt, not_understood
from consumers.executor.core import ExecutorCore
from consumers.executor.feeds import Appender, Pulse, Reader
from consumers.executor.site import Site
from consumers.verifier import Judged, Look, VerifierCore, look
from schemas.fields import Record
from schemas.log import Cause
from schemas.work import Ready
from store.verification import Verification
from streams.log import Log
from streams.routes import Routes

LOGGER = logging.getLogger(__name__)

_END_SECONDS = 10.0  # how long a told stop may take before what is left is left to the lease

Event = Callable[[int], list[do.Action]]


class Incarnation:
    """Runs one core until it says `Stop`. `stop` and `drain` may be called from any thread."""

    def __init__(self, core: ExecutorCore, log: Log, site: Site) -> None:
        self._core = core
        self._site = site
        self._verifier = VerifierCore()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._attempts: dict[str, Attempt] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stop_by: int | None = None
        routes = Routes(log)
        # Before `Joined` is appended: what is assigned because of it can't stand below this.
        self._reader = Reader(log, routes, core.joined.node, self._seen, self._fail)
        self._appender = Appender(log, routes, self._acked, self._fail)
        self._pulse = Pulse(log, routes, self._acked, self._failed, self._fail)

    def run(self) -> do.Stop:
        """Join, work, and say why it ended. Nothing runs any more when this returns. Raises LogError."""
        feeds = (self._reader, self._appender, self._pulse)
        try:
            for feed in feeds:
                feed.start()
            self._perform(self._core.join(milliseconds()))
            return self._loop()
        finally:
            self._kill_all()
            for feed in feeds:
                feed.close()
            for thread in list(self._threads.values()):
                thread.join()

    def drain(self) -> None:
        """Take nothing new, finish what is held, end."""
        self._events.put(self._core.drain)

    def stop(self) -> None:
        """End within seconds; what runs is killed and given back, so that it is done anew."""
        self._events.put(self._hand_over)

    # --- The loop -------------------------------------------------------------------------------------------------

    def _loop(self) -> do.Stop:
        while self._core.stopped is None:
            now = milliseconds()
            if self._stop_by is not None and now >= self._stop_by:
                return do.Stop("drained", "told to stop")
            try:
                event = self._events.get(timeout=self._pause(now))
            except queue.Empty:
                pass
            else:
                self._perform(event(milliseconds()))
            self._perform(self._core.tick(milliseconds()))
            self._look_again()
            if self._core.lease.deadline is not None:
                self._site.guard.until(self._core.lease.deadline)
        return self._core.stopped

    def _pause(self, now: int) -> float | None:
        due = [time for time in (self._core.due(), self._verifier.due(), self._stop_by) if time is not None]
        return max(min(due) - now, 0) / 1000 if due else None

    def _perform(self, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Append():
                    self._appender.put(action)
                case do.SignOfLife():
                    self._pulse.put(action)
                case do.StartWork():
                    self._start_work(action.ready)
                case do.StartVerify():
                    self._start_look(self._verifier.begin(action.ready))
                case do.KillWork():
                    self._kill(action)
                case do.Stop():
                    LOGGER.info("%s: %s", self._core.joined.node, action.reason)

    # --- Work -----------------------------------------------------------------------------------------------------

    def _start_work(self, ready: Ready) -> None:
        try:
            attempt = Attempt(ready, self._site)
        except msgspec.MsgspecError as error:
            report = not_understood(ready, self._site.node, error)
            self._events.put(lambda now: self._ended(ready.token, report, now))
            return
        self._attempts[ready.token] = attempt
        if self._stop_by is not None:
            attempt.hand_over()
        self._thread(ready.token, lambda: self._run(ready.token, attempt))

    def _run(self, token: str, attempt: Attempt) -> None:
        report = attempt.run()
        self._events.put(lambda now: self._ended(token, report, now))

    def _start_look(self, wanted: Look) -> None:
        self._thread(wanted.token, lambda: self._look(wanted))

    def _look(self, wanted: Look) -> None:
        found = look(self._site.collections, wanted.ready)
        self._events.put(lambda now: self._looked(wanted.token, found, now))

    def _look_again(self) -> None:
        for wanted in self._verifier.tick(milliseconds()):
            self._start_look(wanted)

    def _looked(self, token: str, found: Verification, now: int) -> list[do.Action]:
        judged = self._verifier.looked(token, found, now)
        return self._ended(token, judged.report, now) if isinstance(judged, Judged) else []

    def _ended(self, token: str, report: do.Report | None, now: int) -> list[do.Action]:
        self._attempts.pop(token, None)
        self._threads.pop(token, None)
        return self._core.ended(token, report, now)

    def _kill(self, action: do.KillWork) -> None:
        attempt = self._attempts.get(action.token)
        if attempt is not None:
            attempt.stop(action.grace)
        else:
            self._verifier.drop(action.token)
            if self._core.stopped is None:
                self._events.put(lambda now: self._ended(action.token, None, now))

    def _kill_all(self) -> None:
        for attempt in self._attempts.values():
            attempt.stop(grace=False)

    def _hand_over(self, now: int) -> list[do.Action]:
        self._stop_by = now + int(_END_SECONDS * 1000)
        for attempt in self._attempts.values():
            attempt.hand_over()
        return self._core.drain(now)

    # --- From other threads ---------------------------------------------------------------------------------------

    def _seen(self, body: Record, cause: Cause | None) -> None:
        self._events.put(lambda now: self._core.seen(body, cause, now))

    def _acked(self, ref: int) -> None:
        self._events.put(lambda now: self._core.acked(ref, now))

    def _failed(self, ref: int) -> None:
        self._events.put(lambda now: self._core.failed(ref, now))

    def _fail(self, error: BaseException) -> None:
        def raise_it(_: int) -> list[do.Action]:
            raise error

        self._events.put(raise_it)

    def _thread(self, token: str, target: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception as error:  # noqa: BLE001 - handed to the thread that owns the core, which ends
                self._fail(error)

        thread = threading.Thread(target=guarded, name=f"work-{token[-8:]}", daemon=True)
        self._threads[token] = thread
        thread.start()


def milliseconds() -> int:
    """The node's monotonic clock, which the watchdog reads too."""
    return time.monotonic_ns() // 1_000_000
