"""Running the parts of a process: each in a thread of its own, and the first that fails, or a signal, ends all."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gateway.problems import Problem, problem_of

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 30.0  # for one part to end, when all is well
LOOK_UP_SECONDS = 0.5
GIVE_UP_SECONDS = 10.0  # for all together, when one has failed: what it waits for may never come


class Part(NamedTuple):
    """`run` returns after `stop` was called, from another thread, in so many `seconds`; what it raises is a failure."""

    name: str
    run: Callable[[], object]
    stop: Callable[[], object]
    seconds: float = STOP_SECONDS


def until_stopped(name: str, run: Callable[[threading.Event], object]) -> Part:
    """A part that looks at an event, which `stop` sets."""
    stop = threading.Event()
    return Part(name, lambda: run(stop), stop.set)


class Event(NamedTuple):
    """Why a process ends: a part failed, or (no error) `reason` was to stop."""

    reason: str
    error: BaseException | None = None


class Ended(Problem):
    """A part came to its end although nobody stopped it."""


@contextmanager
def signals(events: "SimpleQueue[Event]") -> Iterator[None]:
    """Signals that ask us to stop become events. A queue, as its `put` is safe in a signal handler."""

    def stop(number: int, _frame: object) -> None:
        events.put(Event(signal.Signals(number).name))

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def next_event(events: "SimpleQueue[Event]") -> Event:
    """Wait for an event, in the main thread.

    It looks up now and then: the kernel may give a signal to any thread, and Python calls its handler in this one only
    when this one runs.
    """
    while True:
        with suppress(Empty):
            return events.get(timeout=LOOK_UP_SECONDS)


def raise_failure(event: Event) -> None:
    """Raise a failed part's one line, or, if nobody foresaw the error, the error itself."""
    if event.error is not None:
        known = problem_of(event.error)
        raise (Problem(f"{event.reason}: {known[0]}") if known else event.error) from event.error


class Parts:
    """Threads, started in order and stopped in the opposite one. `events`: put there what ends all.

    They are daemons: one that hangs ends with the process, and nothing is lost, as what counts is in the log.
    """

    def __init__(self, events: "SimpleQueue[Event]") -> None:
        self._events = events
        self._running: list[tuple[Part, threading.Thread]] = []
        self._ending = threading.Event()
        self._failed = False

    def start(self, part: Part) -> None:
        """Run the part in a thread."""
        self._running.append((part, _thread(part.name, lambda: self._run(part))))

    def stop(self) -> None:
        """Stop one after the other, the last started first; all at once where one has failed already."""
        self._ending.set()
        if self._failed:
            self._give_up()
            return
        for part, thread in reversed(self._running):
            part.stop()
            thread.join(part.seconds)

    def _give_up(self) -> None:
        stopping = [_thread(f"stop {part.name}", part.stop) for part, _ in self._running]
        deadline = time.monotonic() + GIVE_UP_SECONDS
        for thread in (*stopping, *(thread for _, thread in self._running)):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, part: Part) -> None:
        try:
            part.run()
            if not self._ending.is_set():
                raise Ended("it ended although nobody stopped it: start it again, nothing is lost")
        except BaseException as error:  # noqa: BLE001 # handed to the main thread, which ends the process with it
            self._failed = True
            self._events.put(Event(part.name, error))


def _thread(name: str, target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
