"""What pages show of the log itself, read by one thread beside them: a log that is silent holds up no page.

A reading is made when a page asked for it, at most once a second, and pages show the last one with its age.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from streams.log import Log, LogError

PAUSE = 1.0  # seconds between two readings
FRESH = 4.0  # seconds for which a reading is good enough
WAIT = 2.0  # seconds that a page waits for one that is

Probe = Callable[[Log], Any]
_log = logging.getLogger(__name__)


class ProbeFailed(Exception):
    """A probe found nothing, for the reason in its one line."""


class Reading(NamedTuple):
    """What a probe found, and when, in seconds of `time.time`; `trouble`: why it found nothing since then."""

    value: Any
    at: float
    trouble: str = ""


UNFORESEEN = "the server failed to read this: its log says more"
NOTHING = Reading(None, 0.0, "the log has not answered yet")


class Scout:
    """Runs probes on a connection to the log of its own. `probes`: by name."""

    def __init__(self, log: Log, probes: dict[str, Probe]) -> None:
        self._log = log.clone()
        self._probes = probes
        self._wanted: set[str] = set()
        self._readings: dict[str, Reading] = {}
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pages: log", daemon=True)
        self._thread.start()

    def knows(self, name: str) -> bool:
        """Whether there is such a probe."""
        return name in self._probes

    def latest(self, name: str) -> Reading:
        """A fresh reading, or after a while the last one; a newer one is made for who asks next."""
        with self._change:
            self._wanted.add(name)
            self._change.notify_all()
            self._change.wait_for(lambda: self._is_fresh(name) or self._closed, WAIT)
            return self._readings.get(name, NOTHING)

    def _is_fresh(self, name: str) -> bool:
        reading = self._readings.get(name, NOTHING)
        return bool(reading.trouble and reading.at) or time.time() - reading.at < FRESH

    def close(self) -> None:
        """End the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._log.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                wanted, self._wanted = self._wanted, set()
            for name in sorted(wanted):
                self._read(name)
            with self._change:
                self._change.wait_for(lambda: self._closed, PAUSE)

    def _read(self, name: str) -> None:
        before = self._readings.get(name, NOTHING)
        try:
            made = Reading(self._probes[name](self._log), time.time())
        except (LogError, ProbeFailed) as error:
            made = before._replace(trouble=str(error))
        except Exception as error:  # noqa: BLE001 # it is told, once, and what else is read goes on
            if before.trouble != UNFORESEEN:
                _log.error("%s: %s", name, "".join(traceback.format_exception(error)))
            made = before._replace(trouble=UNFORESEEN)
        with self._change:
            self._readings[name] = made
            self._change.notify_all()
