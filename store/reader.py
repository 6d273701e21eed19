"""Reading files back: one block in memory at a time, each checked against its md5 before a byte of it is given out."""

import io
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from store.errors import ManifestInvalid
from store.locator import portable_data_hash_of
from store.manifest import File, Manifest, parse_manifest
from store.port import Blocks

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def read_manifest_text(blocks: Blocks, pdh: str) -> str:
    """A collection's manifest as it was stored. ManifestInvalid if the block does not hold text."""
    data = blocks.get(portable_data_hash_of(pdh))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ManifestInvalid(0, f"block {pdh} does not hold one") from error


def read_manifest(blocks: Blocks, pdh: str) -> Manifest:
    """The collection of this portable data hash. ManifestInvalid if the block holds something else."""
    return parse_manifest(read_manifest_text(blocks, pdh))


class LastBlock:
    """The block that was read last: neighbours in a manifest often share one."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._locator = ""
        self._data = b""

    def get(self, locator: str) -> bytes:
        """The block's content; raises what Blocks.get raises."""
        if locator != self._locator:
            self.forget()  # first: two blocks would be twice the memory
            self._data = self._blocks.get(locator)
            self._locator = locator
        return self._data

    def forget(self) -> None:
        """Let go of the block."""
        self._locator, self._data = "", b""


class FileReader(io.RawIOBase):
    """A file of a collection as a seekable binary stream. Errors of the store come out as they are, not as OSError."""

    def __init__(self, file: File, blocks: Blocks) -> None:
        self._file = file
        self._starts = list(accumulate((segment.length for segment in file), initial=0))
        self._last = LastBlock(blocks)
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Let go of the block that was read last."""
        self._last.forget()
        super().close()

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte position, also one beyond the end, where nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise ValueError(f"can't seek to {base + offset}: before the start of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` from the current segment; 0 at the end."""
        target = memoryview(buffer).cast("B")
        if self._position >= self._starts[-1]:
            return 0
        index = bisect_right(self._starts, self._position) - 1
        segment = self._file[index]
        skip = self._position - self._starts[index]
        count = min(len(target), segment.length - skip)
        start = segment.offset + skip
        target[:count] = memoryview(self._last.get(segment.locator))[start : start + count]
        self._position += count
        return count
