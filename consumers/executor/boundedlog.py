"""What a task says, kept within bounds: its beginning, its end, and how much was left out between the two.

A task that prints a gigabyte, or for ever, fills neither the disk nor the memory, and is not held up either: it is read
as fast as it writes. On the disk it is a file for the head and a ring for the tail.
"""

import os
import threading
from io import FileIO
from pathlib import Path

from store.errors import cause
from store.words import KEPT, Words

_CHUNK = 2**20


class BoundedLog:
    """The log of one task, at `path` once it is closed. `bound`: bytes kept, half of them head and half tail."""

    def __init__(self, path: Path, bound: int = KEPT) -> None:
        self.path = path
        self.error = ""  # why it could not be written to the disk; the task is read on all the same
        self._half = bound // 2
        self._ring_path = path.with_name(f"{path.name}.tail")
        self._head = path.open("w+b", buffering=0)
        self._ring: FileIO | None = None  # made when there is a tail
        self._written = 0
        self._lock = threading.Lock()

    @property
    def written(self) -> int:
        """Bytes that came so far."""
        return self._written

    @property
    def dropped(self) -> int:
        """Bytes left out so far."""
        return max(self._written - 2 * self._half, 0)

    def write(self, data: bytes) -> None:
        """The next piece of output, from any thread."""
        with self._lock:
            head = data[: max(self._half - self._written, 0)]
            try:
                self._keep(head, data[len(head) :])
            except OSError as error:
                self.error = self.error or cause(error)
            self._written += len(data)

    def note(self, line: str) -> None:
        """A line of the executor's own."""
        self.write(f"crunch-reuse: {line}\n".encode())

    def end(self, most: int) -> Words:
        """The last bytes that came, `most` at most and half the bound; before `close`. Raises OSError.

        No bytes once something could not be written: what is there is older.
        """
        with self._lock:
            if self.error:
                return Words(total=self._written, end=b"")
            size = min(most, self._written, self._half)
            in_ring = min(max(self._written - self._half, 0), size)
            in_head = size - in_ring
            said = os.pread(self._head.fileno(), in_head, min(self._written, self._half) - in_head)
            if self._ring:
                said += self._in_ring(self._ring.fileno(), (self._written - self._half - in_ring) % self._half, in_ring)
            return Words(total=self._written, end=said)

    def close(self) -> None:
        """Put head and tail together."""
        with self._lock, self._head:
            try:
                if self._ring:
                    self._join(self._ring.fileno())
            except OSError as error:
                self.error = self.error or cause(error)
            if self._ring:
                self._ring.close()
                self._ring_path.unlink()

    def _keep(self, head: bytes, tail: bytes) -> None:
        if head:
            _write_all(self._head.fileno(), head)
        end = self._written + len(head) + len(tail) - self._half
        tail = tail[-self._half :]
        position = (end - len(tail)) % self._half
        room = self._half - position
        self._put(tail[:room], position)
        self._put(tail[room:], 0)

    def _put(self, data: bytes, position: int) -> None:
        if self._ring is None and data:
            self._ring = self._ring_path.open("w+b", buffering=0)
        while self._ring and data:
            written = os.pwrite(self._ring.fileno(), data, position)
            data, position = data[written:], position + written

    def _join(self, ring: int) -> None:
        if self.dropped:
            line = f"\n[{self.dropped} bytes left out: at most {2 * self._half} are kept]\n"
            _write_all(self._head.fileno(), line.encode())
        in_ring = min(max(self._written - self._half, 0), self._half)
        oldest = (self._written - self._half) % self._half if in_ring == self._half else 0
        for offset in range(0, in_ring, _CHUNK):
            self._copy(ring, oldest + offset, min(_CHUNK, in_ring - offset))

    def _in_ring(self, ring: int, position: int, size: int) -> bytes:
        said = os.pread(ring, min(size, self._half - position), position)
        return said + os.pread(ring, size - len(said), 0)

    def _copy(self, ring: int, position: int, size: int) -> None:
        while size:
            position %= self._half
            data = os.pread(ring, min(size, self._half - position), position)
            if not data:
                return
            _write_all(self._head.fileno(), data)
            position += len(data)
            size -= len(data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
