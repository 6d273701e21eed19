"""What a process does changes with the partitions it holds: duties that begin and end while it runs."""

from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack
from queue import SimpleQueue
from typing import NamedTuple

from gateway.parts import Event, Part, Parts
from streams.log import Place


class Duty(NamedTuple):
    """A part that runs while it is due. `key`: two of one key are one, which goes on. `make`: may lean on a stack."""

    key: Hashable
    make: Callable[[ExitStack], Part]


class Duties:
    """Runs what is due for the places held. `plan` says what that is, in order; `events` hears of the first that fails.

    Used by one thread.
    """

    def __init__(self, events: "SimpleQueue[Event]", plan: Callable[[frozenset[Place]], Iterable[Duty]]) -> None:
        self._events = events
        self._plan = plan
        self._running: dict[Hashable, ExitStack] = {}

    def hold(self, places: frozenset[Place]) -> None:
        """From now on these are held: end what is no longer due, the last begun first, then begin what is new."""
        due = {duty.key: duty for duty in self._plan(places)}
        for key in [key for key in reversed(self._running) if key not in due]:
            self._running.pop(key).close()
        for key in [key for key in due if key not in self._running]:
            self._begin(due[key])

    def _begin(self, duty: Duty) -> None:
        with ExitStack() as stack:
            part = duty.make(stack)
            parts = Parts(self._events)
            stack.callback(parts.stop)  # before what it leans on is closed
            parts.start(part)
            self._running[duty.key] = stack.pop_all()
