"""The history of a run, an archive of all topics that is written on as it goes, and what those say who read it."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.audit import Report
from streams.kept import kept_in_folder
from streams.log import Log, LogError
from tests.chaos.judge import CLOCK, Judge, audited
from tests.simulation.sight import Broken

REACHED = 300.0  # seconds after the last strike within which the log can be read
TOLD = 20  # differences that are told


class History:
    """`folder`: of the archive. `opened`: opens the log. `checkpoints`: where the town's processes keep states."""

    def __init__(self, folder: Path, opened: Callable[[], Log], checkpoints: Path) -> None:
        self.folder = folder
        self._opened = opened
        self._checkpoints = checkpoints
        self._judge: Judge | None = None
        self._breath = threading.Event()  # never set

    @property
    def log(self) -> ArchiveLog:
        """As it is now."""
        return ArchiveLog(self.folder)

    def write(self) -> bool:
        """Write on it; whether the broker could be reached."""
        try:
            with closing(self._opened()) as log:
                archive(log, self.folder, kept_in_folder(self._checkpoints))
        except LogError:
            return False
        return True

    def read(self) -> Judge:
        """The judge, who has taken in all that the log holds by now. Raises AssertionError, Broken."""
        end = time.monotonic() + REACHED
        while True:
            begun = time.time()
            if self.write():
                return self._judged(begun)
            assert time.monotonic() < end, f"the log can't be read {REACHED:g} s after all was over"
            self._breath.wait(0.5)

    def audit(self) -> Report:
        """What the shipped audit says."""
        return audited(self.folder, kept_in_folder(self._checkpoints))

    def look(self) -> list[str]:
        """What is wrong already, while more goes on; nothing where the broker can't be reached."""
        begun = time.time()
        if not self.write():
            return []
        try:
            self._judged(begun)
        except Broken as error:
            return [str(error)]
        return told(self.audit())

    def _judged(self, begun: float) -> Judge:
        log = self.log
        if self._judge is None:
            self._judge = Judge(log)
        self._judge.read(log, begun - CLOCK)
        return self._judge


def told(found: Report) -> list[str]:
    """The first differences that an audit found."""
    return [f"audit: {one.place} {one.offset}: {one.text}" for one in found.differences[:TOLD]]
