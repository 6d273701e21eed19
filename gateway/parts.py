"""Running the parts of `up`: each in a thread of its own, and the first that fails ends all."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

STOP_SECONDS = 30.0  # for one part; a part that takes longer is left behind, and ends with the process


class Part(NamedTuple):
    """`run` returns after `stop` was called, from another thread; whatever it raises is a failure."""

    name: str
    run: Callable[[], object]
    stop: Callable[[], object]


class Event(NamedTuple):
    """Why `up` ends: a part failed, or (no error) `reason` was to stop."""

    reason: str
    error: BaseException | None = None


class Ended(Exception):
    """A part came to its end although nobody stopped it."""


class Parts:
    """Threads, started in order and stopped in the opposite one. `events`: put there what ends all."""

    def __init__(self, events: "SimpleQueue[Event]") -> None:
        self._events = events
        self._running: list[tuple[Part, threading.Thread]] = []
        self._stopping = False

    def start(self, part: Part) -> None:
        """Run the part in a thread."""
        thread = threading.Thread(target=self._run, args=(part,), name=part.name, daemon=True)
        self._running.append((part, thread))
        thread.start()

    def stop(self) -> list[str]:
        """Stop all, the last started first; the names of those that did not end in time."""
        self._stopping = True
        late = []
        for part, thread in reversed(self._running):
            part.stop()
            thread.join(STOP_SECONDS)
            if thread.is_alive():
                late.append(part.name)
        return late

    def _run(self, part: Part) -> None:
        try:
            part.run()
            if not self._stopping:
                raise Ended(f"{part.name} ended by itself")
        except BaseException as error:  # noqa: BLE001 # handed to the main thread, which ends `up` with it
            self._events.put(Event(part.name, error))
