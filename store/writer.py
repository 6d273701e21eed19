"""Putting files into blocks: one buffer of a block's size, used again and again, whatever the size of the files."""

from collections.abc import Callable
from io import FileIO
from mmap import mmap

from store.errors import LimitExceeded, SourceUnreadable, cause
from store.manifest import File, Segment
from store.port import Putting
from store.shelves import MAX_BLOCK_BYTES

Progress = Callable[[int], object]


class FileWriter:
    """Stores files one after another, each from the start of a block of its own."""

    def __init__(self, blocks: Putting, max_bytes: int | None = None, progress: Progress | None = None) -> None:
        self.files = 0
        self.bytes = 0
        self._blocks = blocks
        self._max_bytes = max_bytes
        self._progress = progress
        # Of an anonymous map only the pages that a file reaches take memory, and small files reach few.
        self._buffer = memoryview(mmap(-1, MAX_BLOCK_BYTES))

    def write(self, path: str, stream: FileIO) -> File:
        """Store what `stream` holds until its end; `path` is for the errors SourceUnreadable and LimitExceeded."""
        file: File = []
        while count := self._fill(path, stream):
            self.bytes += count
            if self._max_bytes is not None and self.bytes > self._max_bytes:
                raise LimitExceeded(path, f"{self._max_bytes} bytes")
            file.append(Segment(self._blocks.put(self._buffer[:count]), count, 0, count))
            if self._progress:
                self._progress(count)
        self.files += 1
        return file

    def _fill(self, path: str, stream: FileIO) -> int:
        filled = 0
        try:
            while filled < len(self._buffer) and (count := stream.readinto(self._buffer[filled:])):
                filled += count
        except OSError as error:
            raise SourceUnreadable(path, cause(error)) from error
        return filled
