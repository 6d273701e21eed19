"""Takes away the folders of attempts that are over, beside the work: no report and no slot waits for it."""

import logging
import queue
import threading
from pathlib import Path

from consumers.executor.inputs import remove_tree
from store.errors import cause

LOGGER = logging.getLogger(__name__)
LOOK = 1.0  # seconds after which who waits looks whether anybody removes at all
MOST = 16  # folders that lie about; who brings one more waits, so that a disk is not filled faster than it is cleared


class Broom:
    """A thread from when it is made until `close`. What it can't remove is there until the executor starts again."""

    def __init__(self) -> None:
        self._folders: queue.Queue[Path | None] = queue.Queue(MOST)
        self._thread = threading.Thread(target=self._run, name="broom", daemon=True)
        self._thread.start()

    def remove(self, folder: Path) -> None:
        """Nobody needs it any more; from any thread. After `close` it stays."""
        if not self._bring(folder):
            LOGGER.warning("%s stays until the executor starts again: nothing is removed any more", folder)

    def close(self) -> None:
        """Remove what is there still, and end. Again: no effect."""
        self._bring(None)
        self._thread.join()

    def _bring(self, folder: Path | None) -> bool:
        """Whether the thread was there to take it, waited for while it is at work."""
        while self._thread.is_alive():
            try:
                self._folders.put(folder, timeout=LOOK)
            except queue.Full:
                continue
            return True
        return False

    def _run(self) -> None:
        while (folder := self._folders.get()) is not None:
            try:
                remove_tree(folder)
            except OSError as error:
                LOGGER.warning("%s stays until the executor starts again: %s", folder, cause(error))
            except Exception:  # the thread is there for the next ones
                LOGGER.exception("%s stays until the executor starts again", folder)
