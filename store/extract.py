"""Writing a collection to a directory: read-only copies. Never links to blocks, which a task could then alter.

Keep has no modes and no times: files get 0444 and directories 0755, less the umask, and the time of now.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from store.errors import ExtractFailed, LimitExceeded, cause
from store.manifest import Directory, File, Manifest, Segment
from store.port import Blocks
from store.reader import LastBlock

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(manifest: Manifest, blocks: Blocks, destination: Path, max_bytes: int | None = None) -> int:
    """Write the tree into `destination`, new or empty; returns the bytes written.

    Raises ExtractFailed (also where the destination is not empty), LimitExceeded before more than `max_bytes` are
    written, and what Blocks.get raises. What was written until then stays, for the caller to remove.
    """
    writer = _Writer(LastBlock(blocks), max_bytes)
    with _failing_as(str(destination)):
        destination.mkdir(parents=True, exist_ok=True)
        if next(destination.iterdir(), None):
            raise ExtractFailed(str(destination), "the directory is not empty")
        descriptor = os.open(destination, _OPEN_DIRECTORY)
    with _closing(descriptor):
        writer.write_directory("", manifest.root, descriptor)
    return writer.written


@dataclass(slots=True)
class _Writer:
    last: LastBlock
    max_bytes: int | None
    written: int = 0

    def write_directory(self, prefix: str, directory: Directory, descriptor: int) -> None:
        for name in sorted(directory):
            node = directory[name]
            path = prefix + name
            if isinstance(node, dict):
                with _new_directory(path, name, descriptor) as child:
                    self.write_directory(f"{path}/", node, child)
            else:
                self._write_file(path, name, node, descriptor)

    def _write_file(self, path: str, name: str, file: File, directory: int) -> None:
        with _failing_as(path), os.fdopen(os.open(name, _NEW_FILE, 0o444, dir_fd=directory), "wb", buffering=0) as out:
            for segment in file:
                self.written += segment.length
                if self.max_bytes is not None and self.written > self.max_bytes:
                    raise LimitExceeded(path, f"{self.max_bytes} bytes")
                self._write_segment(segment, out)

    def _write_segment(self, segment: Segment, out: FileIO) -> None:
        # The view must be gone before the next block is read: it would keep this one in memory.
        piece = memoryview(self.last.get(segment.locator))[segment.offset : segment.offset + segment.length]
        while piece:
            piece = piece[out.write(piece) :]


@contextmanager
def _new_directory(path: str, name: str, parent: int) -> Iterator[int]:
    with _failing_as(path):
        os.mkdir(name, 0o755, dir_fd=parent)
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    with _closing(descriptor):
        yield descriptor


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _failing_as(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExtractFailed(path, cause(error)) from error
