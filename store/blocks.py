"""Blocks on a local directory, each a file named by the md5 of its content.

How they are laid out, and get there, is in store/shelves.py. The marker file tells a store from the empty mount point
of one that is not mounted: without it nothing is "not found".
"""

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

from store.errors import BlockCorrupt, BlockMissing, BlockTooLarge
from store.folder import MARKER, faults, require_marker
from store.locator import EMPTY_BLOCK, Locator, locator_of, parse_locator
from store.port import Data
from store.shelves import (
    INCOMING,
    MAX_BLOCK_BYTES,
    Batch,
    content_of,
    create,
    draft,
    shelf,
    sync_folder,
)
from store.words import FolderWords

ASIDE = ".aside"  # what is out of use, to be forgotten later

_MD5_NAME = re.compile(r"[0-9a-f]{32}")
_SHARD_NAME = re.compile(r"[0-9a-f]{3}")


class Incoming:
    """A block that arrives in parts; made by `BlockStore.receive`, and good for one `finish` or `drop`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.md5(usedforsecurity=False)
        self.file = create(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """A block as it is found on the disk, its content not looked at."""

    locator: str
    size: int
    modified_ns: int


class BlockStore:
    """The blocks under one root directory. Locators are given with or without hints and returned without.

    The empty block is always there and is never written. Every method may raise StoreUnreachable.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.words = FolderWords(root)
        self._incoming = root / INCOMING
        self._aside = root / ASIDE

    @classmethod
    def create(cls, root: Path) -> Self:
        """The store at `root`, made if need be (with its parents); an existing one is left as it is."""
        store = cls(root)
        with store._faults():
            store._incoming.mkdir(parents=True, exist_ok=True)
            (root / MARKER).touch()
            sync_folder(root)
        return store

    def put(self, data: Data, *, md5: str = "") -> str:
        """Store a block and return its locator (`md5+size`); on return it survives a power cut.

        `md5`: what the sender says it is; BlockCorrupt if it is not. A block that is there already is compared
        (BlockCollision), its time renewed so that garbage collection sees it in use, and a damaged one replaced.
        At most MAX_BLOCK_BYTES (BlockTooLarge). StoreFull leaves nothing behind.
        """
        with self.together() as batch:
            return batch.put(data, md5=md5)

    @contextmanager
    def together(self) -> Iterator[Batch]:
        """Put many blocks: those that were put in here survive a power cut when it ends, and are in the store by then.

        It takes less time than one by one. After an error some may be in the store, and nothing else is left behind.
        """
        batch = Batch(self.root)
        try:
            yield batch
            batch.settle()
        finally:
            batch.drop()

    def receive(self) -> Incoming:
        """Begin a block that comes in parts, for `add`, and `finish` or `drop`: a part in memory, never the block."""
        with self._faults():
            return Incoming(draft(self.root, "part"))

    def add(self, incoming: Incoming, part: Data) -> None:
        """The next part. BlockTooLarge, StoreFull."""
        incoming.size += memoryview(part).nbytes
        if incoming.size > MAX_BLOCK_BYTES:
            raise BlockTooLarge(incoming.size, MAX_BLOCK_BYTES)
        incoming.digest.update(part)
        with self._faults():
            incoming.file.write(part)

    def finish(self, incoming: Incoming, md5: str = "") -> str:
        """As `put`, of all parts."""
        locator = Locator(incoming.digest.hexdigest(), incoming.size)
        if md5 and md5 != locator.md5:
            raise BlockCorrupt(md5, str(locator))
        if locator.size:
            with self.together() as batch:
                batch.take(incoming.path, incoming.file, locator)
        return locator.stripped

    def drop(self, incoming: Incoming) -> None:
        """Forget what came in, unless it was finished."""
        with self._faults():
            incoming.file.close()
            incoming.path.unlink(missing_ok=True)

    def open(self, locator: str) -> BinaryIO:
        """A block's file, after its content was read once and found right. BlockMissing, BlockCorrupt."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK:
            return io.BytesIO()
        with self._faults():
            file = self._open(wanted)
            try:
                if content_of(file).stripped != wanted.stripped:
                    self._refuse(wanted, file)
                file.seek(0)
            except BaseException:
                file.close()
                raise
        return file

    def get(self, locator: str) -> bytes:
        """A block's content, its size and md5 checked. BlockMissing, BlockCorrupt."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK:
            return b""
        with self._faults(), self._open(wanted) as file:
            if os.fstat(file.fileno()).st_size != wanted.size:
                self._refuse(wanted, file)
            data = file.read(wanted.size)
        found = locator_of(data)
        if found.stripped != wanted.stripped:
            raise BlockCorrupt(wanted.stripped, str(found))
        return data

    def exists(self, locator: str) -> bool:
        """Whether a block is there with the size it should have; False is authoritative. Its content is not read."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK:
            return True
        with self._faults():
            try:
                return self._path(wanted.md5).stat().st_size == wanted.size
            except FileNotFoundError:
                require_marker(self.root)
                return False

    def check(self, locator: str) -> None:
        """Read a block and compare size and md5, a chunk at a time. BlockMissing, BlockCorrupt."""
        wanted = parse_locator(locator)
        if wanted.stripped == EMPTY_BLOCK:
            return
        with self._faults(), self._open(wanted) as file:
            if content_of(file).stripped != wanted.stripped:
                self._refuse(wanted, file)

    def blocks(self) -> Iterator[StoredBlock]:
        """Every block in the store, in order of md5. One that is removed meanwhile may be left out."""
        with self._faults():
            require_marker(self.root)
            shards = sorted(path for path in self.root.iterdir() if _SHARD_NAME.fullmatch(path.name))
        for shard in shards:
            with self._faults():
                found = [_stored(path) for path in sorted(shard.iterdir()) if _MD5_NAME.fullmatch(path.name)]
            yield from (block for block in found if block)

    def remove(self, locator: str) -> None:
        """Remove a block; nothing happens if it is not there."""
        with self._faults():
            self._path(parse_locator(locator).md5).unlink(missing_ok=True)

    def set_aside(self, locator: str, before_ns: int) -> bool:
        """Take a block out of use, to be forgotten later; False, and it stays, if it was renewed since (ns)."""
        md5 = parse_locator(locator).md5
        path, aside = self._path(md5), self._aside / md5
        with self._faults():
            self._aside.mkdir(exist_ok=True)
            try:
                path.replace(aside)
            except FileNotFoundError:
                return False
            if aside.stat().st_mtime_ns < before_ns:
                os.utime(aside)  # from now on it is as old as its being set aside
                return True
            self._put_back(aside, path)
            return False

    def aside(self) -> Iterator[StoredBlock]:
        """What is set aside. One that is forgotten or put back meanwhile may be left out."""
        with self._faults():
            paths = sorted(self._aside.iterdir()) if self._aside.is_dir() else []
            found = [_stored(path) for path in paths if _MD5_NAME.fullmatch(path.name)]
        yield from (block for block in found if block)

    def put_back(self, locator: str) -> bool:
        """Undo `set_aside`; False, and nothing happens, if it was not set aside."""
        md5 = parse_locator(locator).md5
        with self._faults():
            return self._put_back(self._aside / md5, self._path(md5))

    def forget(self, before_ns: int) -> int:
        """Remove what was set aside before a time (ns since the epoch); says how many."""
        removed = 0
        with self._faults():
            for path in self._aside.iterdir() if self._aside.is_dir() else ():
                if path.stat().st_mtime_ns < before_ns:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _put_back(self, aside: Path, path: Path) -> bool:
        try:
            os.link(aside, path)
        except FileExistsError:
            pass  # it was written anew meanwhile: the same content
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
        aside.unlink(missing_ok=True)
        return True

    def sweep(self, before_ns: int) -> int:
        """Remove what writers that died left behind, last touched before a time (ns since the epoch); says how many."""
        removed = 0
        with self._faults():
            for path in self._incoming.iterdir():
                if path.stat().st_mtime_ns < before_ns:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _path(self, md5: str) -> Path:
        return shelf(self.root, md5)

    def _open(self, locator: Locator) -> BinaryIO:
        try:
            return self._path(locator.md5).open("rb")
        except FileNotFoundError as error:
            require_marker(self.root)
            raise BlockMissing(locator.stripped) from error

    def _refuse(self, wanted: Locator, file: BinaryIO) -> NoReturn:
        """Damaged, or intact but not what the locator says (the right md5 with another size is no block of ours)."""
        file.seek(0)
        found = content_of(file)
        if found.md5 == wanted.md5:
            raise BlockMissing(wanted.stripped)
        raise BlockCorrupt(wanted.stripped, str(found))

    def _faults(self) -> AbstractContextManager[None]:
        return faults(self.root)


def _stored(path: Path) -> StoredBlock | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return StoredBlock(locator=f"{path.name}+{info.st_size}", size=info.st_size, modified_ns=info.st_mtime_ns)
