"""An executor that speaks the real topics through the real core and feeds; only its work is a clock that runs."""

import heapq
import queue
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

import msgspec

from consumers.executor import actions as do
from consumers.executor.core import ExecutorCore
from consumers.executor.feeds import Appender, Reader
from consumers.executor.lease import Timing
from consumers.executor.life import Life
from consumers.executor.pulse import Pulse, Sender
from consumers.executor.until import Until
from coordinator.config import Config
from schemas.claims import Exited, Verified
from schemas.work import Joined, Ready
from streams.address import Address
from streams.log import Log
from streams.routes import Routes

OUTPUT = "d41d8cd98f00b204e9800998ecf8427e+0"
TIMING = Timing.of_lease(Config().lease)
_PATIENCE = 0.2  # seconds, at most, until it is seen that it is to end

Doing = Callable[[int], list[do.Action]]


class Work(msgspec.Struct):
    """What stands in the spec of simulated work."""

    ms: float


def execute(ready: Event, ending: Event, address: Address, offer: Joined, begun: Any) -> None:
    """Run one executor until it is told to end. Puts (task, time.monotonic() of its start) into the queue `begun`."""
    log = address.open()
    SimulatedExecutor(log, offer, begun).run(ready, ending)
    log.close()


class SimulatedExecutor:
    """One incarnation of one node. A piece of work lasts as long as its spec says, a verification no time."""

    def __init__(self, log: Log, offer: Joined, begun: Any) -> None:
        self._offer = offer
        self._begun = begun
        self._until = Until()
        self._core = ExecutorCore(offer, TIMING, lambda: self._until.at, lambda _: "simulated")
        self._log = log
        self._pulse: Pulse | None = None
        self._events: queue.SimpleQueue[Doing] = queue.SimpleQueue()
        self._running: list[tuple[float, str, Ready]] = []  # by end
        routes = Routes(log)
        self._reader = Reader(log, routes, offer.node, self._put_seen, self._fail)
        self._appender = Appender(log, routes, self._put_acked, self._fail)

    def run(self, ready: Event, ending: Event) -> None:
        """Join and work."""
        feeds = (self._reader, self._appender)
        for feed in feeds:
            feed.start()
        self._perform(self._core.join(_now()))
        while not ending.is_set():
            self._turn()
            if self._pulse is not None:
                ready.set()
        if self._pulse is not None:
            self._pulse.close()
        for feed in feeds:
            feed.close()

    def _turn(self) -> None:
        try:
            event = self._events.get(timeout=self._pause())
        except queue.Empty:
            pass
        else:
            self._perform(event(_now()))
        while self._running and self._running[0][0] <= time.monotonic():
            _, token, work = heapq.heappop(self._running)
            self._perform(self._core.ended(token, self._exited(work), _now()))
        self._perform(self._core.tick(_now()))
        if self._pulse is not None:
            self._pulse.hear(self._core.tokens(), pausing=False)

    def _pause(self) -> float:
        due = self._core.due()
        until = [_PATIENCE if due is None else max(due - _now(), 0) / 1000]
        if self._running:
            until.append(max(self._running[0][0] - time.monotonic(), 0))
        return min(*until, _PATIENCE)

    def _perform(self, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Append():
                    self._appender.put(action)
                case do.Live(sent):
                    life = Life(self._core.identity(), TIMING, sent)
                    self._pulse = Pulse(Sender(self._log.clone), life, self._until, lambda: True)
                    self._pulse.start()
                case do.StartWork():
                    self._start(action.token, action.ready)
                case do.StartVerify():
                    self._events.put(_ending(self._core, action.ready))
                case _:
                    raise AssertionError(f"{self._offer.node} was told {action}: it should have been left alone")

    def _start(self, token: str, ready: Ready) -> None:
        now = time.monotonic()
        self._begun.put((ready.task, now))
        length = msgspec.json.decode(ready.spec, type=Work).ms / 1000
        heapq.heappush(self._running, (now + length, token, ready))

    def _exited(self, ready: Ready) -> Exited:
        return Exited(
            fingerprint=ready.fingerprint, token=ready.token, node=self._offer.node, exit_code=0, output=OUTPUT
        )

    # --- From the feeds' threads ----------------------------------------------------------------------------------

    def _put_seen(self, body: Any, cause: Any) -> None:
        self._events.put(lambda now: self._core.seen(body, cause, now))

    def _put_acked(self, ref: int) -> None:
        self._events.put(lambda now: self._core.acked(ref, now))

    def _fail(self, error: BaseException) -> None:
        def raise_it(_: int) -> list[do.Action]:
            raise error

        self._events.put(raise_it)


def _ending(core: ExecutorCore, ready: Ready) -> Doing:
    found = Verified(fingerprint=ready.fingerprint, entry=ready.entry, token=ready.token)
    return lambda now: core.ended(ready.token, found, now)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
