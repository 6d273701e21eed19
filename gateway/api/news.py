"""Word that the read model has changed, from the thread that hears it to the streams that wait for it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_Ear = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class News:
    """`ring` may be called from any thread; who listens is in an event loop."""

    def __init__(self) -> None:
        self._ears: set[_Ear] = set()
        self._lock = threading.Lock()
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether there will be no more."""
        return self._is_over

    @contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something changed; who listens clears it."""
        ear = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._ears.add(ear)
        try:
            yield ear[1]
        finally:
            with self._lock:
                self._ears.discard(ear)

    def ring(self) -> None:
        """Something changed."""
        with self._lock:
            for loop, event in self._ears:
                loop.call_soon_threadsafe(event.set)

    def end(self) -> None:
        """Let everybody who listens know that it is over."""
        self._is_over = True
        self.ring()
