"""One process at a time in a data folder. The lock is the open file's, so the kernel drops it however we end."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NAME = "up.lock"
REMEDY = "stop it, or choose another --data-dir"
TRIES = 10
PAUSE = 0.05  # seconds


class FolderInUse(Exception):
    """Another process works in the folder; one line that names both."""


class FolderLock:
    """Held from its making until `release`, or until the process ends. Raises FolderInUse if another holds it.

    `remedy`: what people are told to do then.
    """

    def __init__(self, folder: Path, remedy: str = REMEDY) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise FolderInUse(f"{folder} is in use by process {holder}: {remedy}") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a process holds it."""
        try:
            with (folder / NAME).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(folder: Path, remedy: str = REMEDY) -> FolderLock:
    """The lock; after a few tries, as who only looks whether it is held has it for an instant. Raises FolderInUse."""
    for _ in range(TRIES):
        try:
            return FolderLock(folder, remedy)
        except FolderInUse:
            time.sleep(PAUSE)
    return FolderLock(folder, remedy)
