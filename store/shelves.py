"""Where a folder keeps its blocks, and how they get there so that they stay: used by store/blocks.py.

The layout is that of keepstore's directory volumes: `<root>/<first three digits>/<md5>`. A block appears under its name
whole or not at all: it is written to `<root>/.tmp`, synced, and renamed; so any number of processes may share a root.
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from store.errors import BlockCollision, BlockCorrupt, BlockTooLarge
from store.folder import faults
from store.locator import Locator, locator_of
from store.port import Data

MAX_BLOCK_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
INCOMING = ".tmp"
MOST_WAITING = 8  # blocks that are written and not yet synced, each an open file


def checked(data: Data, md5: str) -> Locator:
    """The locator of a block that is to be put. `md5`: what its sender says it is; empty: nothing.

    Raises BlockTooLarge, BlockCorrupt.
    """
    size = memoryview(data).nbytes
    if size > MAX_BLOCK_BYTES:
        raise BlockTooLarge(size, MAX_BLOCK_BYTES)
    locator = locator_of(data)
    if md5 and md5 != locator.md5:
        raise BlockCorrupt(md5, str(locator))
    return locator


def shelf(root: Path, md5: str) -> Path:
    """The file of a block."""
    return root / md5[:3] / md5


def draft(root: Path, name: str) -> Path:
    """A file for what comes in, of a name that nobody else has."""
    return root / INCOMING / f"{name}.{os.getpid()}.{secrets.token_hex(8)}"


def create(path: Path) -> BinaryIO:
    """A draft, made new."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o444), "w+b")


class Batch:
    """Blocks that are put together, for one thread: written as they come, and synced in one round by `settle`.

    A file system writes its journal at each sync, for all that was done until then: so few syncs in a row cost little
    more than one, where each block by itself costs two or three. Until it is settled a block is not in the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._waiting: dict[Locator, _Draft] = {}
        self._bytes = 0
        self._folders: dict[Path, None] = {}  # with names that are to be synced

    def put(self, data: Data, *, md5: str = "") -> str:
        """As `BlockStore.put`, but that it survives a power cut only when the batch is settled."""
        locator = checked(data, md5)
        if locator.size:
            with faults(self._root):
                self._put(locator, memoryview(data))
        return locator.stripped

    def _put(self, locator: Locator, data: memoryview) -> None:
        waiting = self._waiting.get(locator)
        if waiting is not None:
            waiting.file.seek(0)
            if not _has(waiting.file, data):
                raise BlockCollision(locator.stripped)
        elif not self._renewed(locator, lambda file: _has(file, data)):
            self._begin(_written(draft(self._root, locator.md5), data), locator)

    def take(self, path: Path, file: BinaryIO, locator: Locator) -> None:
        """Put what was written to a draft; where it is not needed the draft is left as it is."""
        with faults(self._root):
            file.flush()
            if not self._renewed(locator, lambda there: _same(there, file)):
                self._begin(_Draft(path, file), locator)

    def settle(self) -> None:
        """All that was put survives a power cut from here on."""
        with faults(self._root):
            for made in self._waiting.values():
                os.fsync(made.file.fileno())
            for locator, made in self._waiting.items():
                made.path.replace(shelf(self._root, locator.md5))
            for folder in self._folders:
                sync_folder(folder)
            if self._folders:
                sync_folder(self._root)  # where another writer may have made a folder and not come so far
            self._forget()

    def drop(self) -> None:
        """Forget what was not settled."""
        with faults(self._root):
            for made in self._waiting.values():
                made.path.unlink(missing_ok=True)
            self._forget()

    def _forget(self) -> None:
        for made in self._waiting.values():
            made.file.close()
        self._waiting.clear()
        self._folders.clear()
        self._bytes = 0

    def _begin(self, made: "_Draft", locator: Locator) -> None:
        """Let the disk begin, so that it is not idle until all are synced; settle where too much waits."""
        self._waiting[locator] = made
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(made.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        folder = shelf(self._root, locator.md5).parent
        folder.mkdir(exist_ok=True)
        self._folders[folder] = None
        self._bytes += locator.size
        if len(self._waiting) >= MOST_WAITING or self._bytes >= MAX_BLOCK_BYTES:
            self.settle()

    def _renewed(self, locator: Locator, is_same: Callable[[BinaryIO], bool]) -> bool:
        """Whether the block is there, intact, and now has the time of today."""
        path = shelf(self._root, locator.md5)
        try:
            with path.open("rb") as file:
                if not is_same(file):
                    file.seek(0)
                    if content_of(file) == locator:
                        raise BlockCollision(locator.stripped)
                    return False
            os.utime(path)
        except FileNotFoundError:
            return False
        self._folders[path.parent] = None  # who renamed it may not have come so far
        return True


class _Draft(NamedTuple):
    path: Path
    file: BinaryIO


def _written(path: Path, data: memoryview) -> _Draft:
    file = create(path)
    try:
        file.write(data)
        file.flush()
    except BaseException:
        path.unlink()
        file.close()
        raise
    return _Draft(path, file)


def content_of(file: BinaryIO) -> Locator:
    """What a file holds from where it is on, a chunk in memory at a time."""
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return Locator(digest.hexdigest(), size)


def sync_folder(path: Path) -> None:
    """What was named in a folder, or renamed, stays so."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has(file: BinaryIO, data: memoryview) -> bool:
    position = 0
    while chunk := file.read(CHUNK_BYTES):
        if chunk != data[position : position + len(chunk)].tobytes():
            return False
        position += len(chunk)
    return position == data.nbytes


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    other.seek(0)
    while chunk := one.read(CHUNK_BYTES):
        if chunk != other.read(CHUNK_BYTES):
            return False
    return not other.read(1)
