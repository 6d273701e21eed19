"""The threads between an incarnation and the log, each with a connection of its own.

A log that can't be reached is tried again until the incarnation ends: what the executor says may be said twice. Any
other failure of the log ends the incarnation.
"""

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from consumers.executor.actions import Append
from consumers.executor.leasesetting import LeaseSetting
from schemas.codec import Undecodable, decode, encode
from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic
from streams import log as streams
from streams.log import Log, LogUnreachable, Stored
from streams.routes import Routes, key_of

LOGGER = logging.getLogger(__name__)

READ = 500
_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 0.5
_BATCH = 500


class Feed(ABC):
    """A thread over a connection of its own."""

    def __init__(self, log: Log, name: str, fail: Callable[[BaseException], object]) -> None:
        self._log = log.clone()
        self._fail = fail
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, at once where it waits; what it had still to do is not done."""
        self._closing.set()
        self._wake()
        self._log.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._step()
            except LogUnreachable as error:
                LOGGER.warning("%s: %s", self._thread.name, error)
                self._closing.wait(_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - handed to the thread that owns the core, which ends
                if not self._closing.is_set():
                    self._fail(error)
                return

    @abstractmethod
    def _step(self) -> None:
        """Wait for something to do, and do it."""

    def _wake(self) -> None:  # noqa: B027 - who waits for nothing but the log has nothing to add
        """End what the thread waits for besides the log."""


class Reader(Feed):
    """Hands on the records of the node's partition of `assignments`, from its present end on."""

    def __init__(
        self,
        log: Log,
        routes: Routes,
        node: str,
        seen: Callable[[Record, Cause | None], object],
        fail: Callable[[BaseException], object],
    ) -> None:
        super().__init__(log, "assignments", fail)
        self._seen = seen
        self._place = routes.place(Topic.ASSIGNMENTS, node)
        self._position = self._log.end(self._place)

    def _step(self) -> None:
        for stored in self._log.read(self._place, self._position, READ):
            self._hand_on(stored)
            self._position = stored.offset + 1
        self._log.wait({self._place: self._position}, _WAIT_SECONDS)

    def _hand_on(self, stored: Stored) -> None:
        envelope = decode(self._place.topic, stored.value)
        if isinstance(envelope, Undecodable):
            LOGGER.error("%s offset %d: %s", self._place, stored.offset, envelope.detail)
        else:
            self._seen(envelope.body, envelope.cause)


class Appender(Feed):
    """Appends records in the order they are put, and says of each when it is durable."""

    def __init__(
        self, log: Log, routes: Routes, acked: Callable[[int], object], fail: Callable[[BaseException], object]
    ) -> None:
        super().__init__(log, "appender", fail)
        self._routes = routes
        self._acked = acked
        self._queue: queue.SimpleQueue[Append | None] = queue.SimpleQueue()
        self._batch: list[Append] = []

    def put(self, action: Append) -> None:
        """From any thread."""
        self._queue.put(action)

    def _step(self) -> None:
        if not self._batch:
            self._fill()
        if self._batch and not self._closing.is_set():
            self._log.append([_record(self._routes, append.topic, append.body) for append in self._batch])
            for append in self._batch:
                self._acked(append.ref)
            self._batch = []

    def _fill(self) -> None:
        """All that is there; at least one, or nothing when it is to end."""
        item = self._queue.get()
        while item is not None:
            self._batch.append(item)
            if len(self._batch) == _BATCH or self._queue.empty():
                return
            item = self._queue.get()

    def _wake(self) -> None:
        self._queue.put(None)


class LeaseReader(Feed):
    """Hands on the lease that the dispatcher keeps to, as often as the settings change it."""

    def __init__(
        self,
        log: Log,
        settings: LeaseSetting,
        changed: Callable[[int], object],
        fail: Callable[[BaseException], object],
    ) -> None:
        super().__init__(log, "settings", fail)
        self._settings = settings
        self._changed = changed

    def _step(self) -> None:
        before = self._settings.lease
        if self._settings.catch_up(self._log) != before:
            self._changed(self._settings.lease)
        self._log.wait(self._settings.position(), _WAIT_SECONDS)


def _record(routes: Routes, topic: Topic, body: Any) -> streams.Append:
    key = key_of(body)
    return streams.Append(routes.place(topic, key), key, encode(body))
