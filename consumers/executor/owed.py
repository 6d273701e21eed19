"""What a former executor left in an engine that did not answer when this one started: removed as soon as it does.

It can't be adopted any more by then: when this node joined, the dispatcher gave it to somebody else.
"""

import logging
import threading
from pathlib import Path

from consumers.executor.site import mark_of
from consumers.runners.choose import Runners

LOGGER = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0


class Owed:
    """Asks again, in a thread, from `start` to `close`. `key`: the site's; `attempts`: its folder of them."""

    def __init__(self, runners: Runners, key: str, attempts: Path) -> None:
        self._runners = runners
        self._key = key
        self._attempts = attempts
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin, if anything is owed."""
        if self._runners.owing:
            LOGGER.warning("what a former executor left in the engine stays until it answers: %s", self._runners.owing)
            threading.Thread(target=self._run, name="owed", daemon=True).start()

    def close(self) -> None:
        """Ask no more. A question that is out is not waited for: an engine that hangs may take a minute over it."""
        self._closing.set()

    def _is_ours(self, mark: str) -> bool:
        """Its attempt's folder is there before it is made and after it is gone."""
        name = mark.removeprefix(mark_of(self._key, ""))
        return (self._attempts / name).exists()

    def _run(self) -> None:
        while not self._closing.wait(_PAUSE_SECONDS):
            removed = self._runners.sweep_engine(self._key, self._is_ours)
            if not self._runners.owing:
                LOGGER.warning("the engine answers: removed %d containers that a former executor had left", removed)
                return
