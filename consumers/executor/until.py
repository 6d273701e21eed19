"""A moment that two processes share: the executor and who gives its signs of life."""

import mmap
import os
from pathlib import Path

_BYTES = 8


class Until:
    """Milliseconds of the machine's monotonic clock, kept in a file that both have in memory; 0: none yet.

    `path` None: it is shared with no other process. It is one aligned word: who reads it while it is written sees the
    old moment or the new one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._memory = mmap.mmap(-1, _BYTES) if path is None else _mapped(path)
        self._word = memoryview(self._memory).cast("q")

    @property
    def at(self) -> int:
        """The moment."""
        return self._word[0]

    @at.setter
    def at(self, moment: int) -> None:
        self._word[0] = moment

    def close(self) -> None:
        """Let the file go; what it says stays."""
        self._word.release()
        self._memory.close()


def _mapped(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < _BYTES:
            # Room on the disk is taken now: where there is none later, writing to the memory would end us (SIGBUS).
            os.pwrite(descriptor, bytes(_BYTES), 0)
        return mmap.mmap(descriptor, _BYTES)
    finally:
        os.close(descriptor)
