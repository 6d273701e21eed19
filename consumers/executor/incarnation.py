"""One incarnation of the executor at work: drives the core with a clock, threads and the log.

The thread that calls `run` owns the core; all others put events into its queue. Appends go out in order, by one
thread. Signs of life are given beside this process (`consumers.executor.heart`), which tells what it holds.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec

from consumers.executor import actions as do
from consumers.executor.attempt import Attempt, not_understood
from consumers.executor.core import ExecutorCore
from consumers.executor.feeds import Appender, LeaseReader, Reader
from consumers.executor.heart import Heart
from consumers.executor.lease import Timing
from consumers.executor.leasesetting import LeaseSetting
from consumers.executor.left import Left
from consumers.executor.prover import proves
from consumers.executor.pulse import milliseconds
from consumers.executor.site import Site
from consumers.verifier import Found, Judged, Look, VerifierCore, look
from schemas.claims import Exited
from schemas.fields import Record
from schemas.log import Cause
from schemas.work import Ready
from streams.log import Log
from streams.routes import Routes

LOGGER = logging.getLogger(__name__)

_END_SECONDS = 10.0  # how long a told stop may take before what is left is left to the lease

Event = Callable[[int], list[do.Action]]


class Incarnation:
    """Runs one core until it says `Stop`. `stop`, `drain` and `trouble` may be called from any thread.

    `left`: by token, what a former executor left of the work that the core adopts.
    """

    def __init__(
        self, core: ExecutorCore, log: Log, site: Site, heart: Heart, settings: LeaseSetting, left: dict[str, Left]
    ) -> None:
        self._core = core
        self._site = site
        self._heart = heart
        self._left = left
        self._timing = Timing.of_lease(settings.lease)
        self._told: tuple[tuple[str, ...], bool] = ((), False)
        self._tell_again = 0  # when to say that we go on
        self._hand_over_at: int | None = None
        self._verifier = VerifierCore()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._attempts: dict[str, Attempt] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stop_by: int | None = None
        routes = Routes(log)
        # Before `Joined` is appended: what is assigned because of it can't stand below this.
        self._reader = Reader(log, routes, core.joined.node, self._seen, self._fail)
        self._appender = Appender(log, routes, self._acked, self._fail)
        self._settings = LeaseReader(log, settings, self._retime, self._fail)

    def run(self) -> do.Stop:
        """Join, work, and say why it ended. Nothing runs any more when this returns. Raises LogError."""
        feeds = (self._reader, self._appender, self._settings)
        try:
            for feed in feeds:
                feed.start()
            self._perform(self._core.join(milliseconds()))
            return self._loop()
        finally:
            self._heart.stop()
            self._kill_all()
            for feed in feeds:
                feed.close()
            for thread in list(self._threads.values()):
                thread.join()

    def drain(self, patience: int) -> None:
        """Take nothing new, finish what is held, end. What is not done after so many ms is handed over."""

        def drain(now: int) -> list[do.Action]:
            self._hand_over_at = now + patience
            return self._core.drain(now)

        self._events.put(drain)

    def trouble(self, is_there: bool) -> None:
        """Whether something keeps the node from working."""
        self._events.put(lambda now: self._core.trouble(is_there, now))

    def phases(self) -> Counter[str]:
        """How much work is held, by phase; from any thread."""
        return self._core.phases()

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
            self._hand_over_in_time(milliseconds())
            self._beat(milliseconds())
        return self._core.stopped

    def _pause(self, now: int) -> float:
        ours = (self._tell_again, self._stop_by, self._hand_over_at)
        due = [time for time in (self._core.due(), self._verifier.due(), *ours) if time is not None]
        return max(min(due) - now, 0) / 1000

    def _beat(self, now: int) -> None:
        held = self._core.tokens(), self._core.pauses(now)
        if held != self._told or now >= self._tell_again:
            self._told, self._tell_again = held, now + self._timing.interval
            self._heart.beat(*held)

    def _hand_over_in_time(self, now: int) -> None:
        if self._hand_over_at is not None and now >= self._hand_over_at:
            self._hand_over_at = None
            self._perform(self._hand_over(now))

    def _perform(self, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Append():
                    self._appender.put(action)
                case do.Live():
                    self._heart.begin(self._core.identity(), self._timing, action.sent)
                    self._tell_again = 0
                case do.StartWork() | do.AdoptWork():
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
            attempt = Attempt(ready, self._site, self._left.get(ready.token))
        except msgspec.MsgspecError as error:
            report = not_understood(ready, self._site.node, error)
            # At once: behind what is queued it would come after an end that was asked for meanwhile, as a second one.
            self._perform(self._ended(ready.token, report, milliseconds()))
            return
        self._attempts[ready.token] = attempt
        if self._stop_by is not None:
            attempt.hand_over()
        self._thread(ready.token, lambda: self._run(ready.token, attempt))

    def _run(self, token: str, attempt: Attempt) -> None:
        report = attempt.run()
        self._site.outcomes[outcome_of(report)] += 1
        self._events.put(lambda now: self._ended(token, report, now))

    def _start_look(self, wanted: Look) -> None:
        self._thread(wanted.token, lambda: self._look(wanted))

    def _look(self, wanted: Look) -> None:
        found = look(self._site.collections, wanted.ready, partial(proves, self._site.way))
        self._events.put(lambda now: self._looked(wanted.token, found, now))

    def _look_again(self) -> None:
        for wanted in self._verifier.tick(milliseconds()):
            self._start_look(wanted)

    def _looked(self, token: str, found: Found, now: int) -> list[do.Action]:
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

    def _retime(self, lease: int) -> None:
        def retime(_: int) -> list[do.Action]:
            self._timing = Timing.of_lease(lease)
            self._core.retime(self._timing)
            self._heart.retime(self._timing)
            return []

        self._events.put(retime)

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


def outcome_of(report: Exited) -> str:
    """How an execution ended, in one word: done, or which failure it was."""
    return report.failure.value or ("done" if report.exit_code == 0 else "exit")
