"""A process's own disk: rows of state and the offset they are of, written together or not at all.

    folder/claims-3/            one RocksDB for each partition
        "!"            the header and the head
        "=" + key      a row

It is a cache of the log and of the snapshots: whatever is wrong with it is set aside under another name, and the state
is made anew from a snapshot or from the log. Nothing is synced, because nothing is lost with it: a process that is
killed leaves a whole commit, and a machine that loses its power leaves an older one.
"""

import logging
import shutil
from collections.abc import Callable, Generator, Iterable
from errno import EACCES, EDQUOT, EIO, EMFILE, ENFILE, ENOSPC, EROFS
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
from rocksdict import BlockBasedOptions, Cache, DbClosedError, DBCompressionType, Options, Rdict, RdictIter, WriteBatch

from coordinator.machine import Machine
from coordinator.rows import Rowed
from streams.lockfile import FolderLock
from streams.log import LogError, Place
from streams.rowcache import CachedRows
from streams.state import LAYOUT, EncodedRow, Header, MachineType, head_of

LOGGER = logging.getLogger(__name__)
ROWS_CACHED = 4_000  # of each partition
ROWS_CHANGED = 2_000  # after which a commit is due
WRITE_BUFFER = 4 << 20
BLOCK = 16 << 10
BLOCK_CACHE = 32 << 20
FILLED_AT_ONCE = 10_000
HEADER, ROW = b"!", b"="
DAMAGED = "DAMAGED"  # a file that says so
OUT_OF_REACH = [f"(os error {code})" for code in (ENOSPC, EDQUOT, EROFS, EACCES, EIO, EMFILE, ENFILE)]
Failure = Exception  # RocksDB's binding raises nothing more special

RowsRead = Generator[EncodedRow, None, None]
"""Rows as they are read. It holds the files open until it is through, or closed."""


class Meta(Header, frozen=True, kw_only=True):
    """What stands in the store beside the rows: the header with the head."""

    head: msgspec.Raw


class LocalStore:
    """The local states of one process, in a folder that no other process uses at the same time.

    `rows`: how many rows of each partition stay in memory unchanged. Raises FolderInUse.
    """

    def __init__(self, folder: Path, *, rows: int = ROWS_CACHED) -> None:
        self._folder = folder
        self._lock = FolderLock(folder)
        self._rows = rows
        self._cache = Cache(BLOCK_CACHE)
        self._guard = Lock()
        self._open: dict[Place, LocalState] = {}

    def open(self, place: Place) -> "LocalState":
        """The state of a partition; a former opening of the same one is closed. Raises LogError."""
        with self._guard:
            former = self._open.pop(place, None)
            if former is not None:
                former.close()
            state = LocalState(self._folder / f"{place.topic}-{place.partition}", place, self._cache, self._rows)
            self._open[place] = state
            return state

    def close(self) -> None:
        """Close what is open, and let another process use the folder."""
        with self._guard:
            for state in self._open.values():
                state.close()
            self._open.clear()
            self._lock.release()


class LocalState:
    """One partition's. `meta`: what is kept, None if nothing is that can be read."""

    def __init__(self, path: Path, place: Place, cache: Cache, rows: int) -> None:
        self._path = path
        self._place = place
        self._cache = cache
        self._keep = rows
        self._rows: CachedRows[Any] | None = None
        self._before_close: Callable[[], None] = _nothing
        self._db = self._opened()
        self.meta: Meta | None = None
        self._read_meta()

    @property
    def header(self) -> Meta:
        """What is kept."""
        assert self.meta is not None, "nothing is kept here"
        return self.meta

    def check(self, log_ids: dict[str, str], start: int) -> None:
        """Put away what is of another log altogether, and what the log has been trimmed beyond.

        What is of this log and yet does not fit is left for whoever starts from it to complain of.
        """
        if self.meta is None:
            return
        ours = {**self.meta.targets, str(self._place): self.meta.log_id}
        if not any(log_ids.get(place) == log_id for place, log_id in ours.items()):
            self._begin_anew("it is of another log")
        elif self.meta.log_id == log_ids[str(self._place)] and self.meta.offset < start:
            self._begin_anew(f"the log begins at {start} by now, it is of {self.meta.offset}")

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state is kept here; its rows stay here. Raises msgspec.DecodeError."""
        return self._attach(kind.restore(bytes(self.header.head)))

    def fill(self, machine: Machine, rows: Iterable[EncodedRow]) -> Machine:
        """Forget what is kept and take these rows instead, for a machine that was made of the head they go with.

        Until the first commit the store counts as empty.
        """
        self.forget()
        rows = iter(rows)
        while batch := list(islice(rows, FILLED_AT_ONCE)):
            writes = WriteBatch(raw_mode=True)
            for key, row in batch:
                writes.put(ROW + key.encode(), row)
            self._write(writes)
        return self._attach(machine)

    def is_due(self) -> bool:
        """Whether so much has changed that a commit is due."""
        return self._rows is not None and len(self._rows) >= ROWS_CHANGED

    def commit(self, header: Header, machine: Machine) -> None:
        """Write what has changed since the last commit, and what it is the state of. Raises LogError."""
        writes = WriteBatch(raw_mode=True)
        if self._rows is not None:
            for key, row in self._rows.changes():
                if row is None:
                    writes.delete(ROW + key.encode())
                else:
                    writes.put(ROW + key.encode(), row)
        fields = {name: getattr(header, name) for name in Header.__struct_fields__}
        meta = Meta(**fields, head=msgspec.Raw(head_of(machine)))
        writes.put(HEADER, msgspec.json.encode(meta))
        self._write(writes)
        self.meta = meta
        if self._rows is not None:
            self._rows.committed()

    def frozen(self) -> RowsRead:
        """The rows as they are now, for another thread, whatever is written meanwhile. Raises as `read` does."""
        return self._rows_in(lambda: self._db.snapshot().iter())

    def count(self) -> int:
        """About how many rows are kept. Raises as `read` does."""
        try:
            return self._db.property_int_value("rocksdb.estimate-num-keys") or 0
        except Failure as error:
            raise self._unreadable(error) from error

    def forget(self) -> None:
        """Remove what is kept.

        Raises LogError where it can't be removed; or where this was closed: what is there is somebody else's by now.
        """
        self._before_close()
        self._release()
        self._rows = None
        self.meta = None
        try:
            shutil.rmtree(self._path)
        except FileNotFoundError:
            LOGGER.info("the local state in %s is gone already", self._path)
        except OSError as error:
            raise self._trouble("remove", error) from error
        self._db = self._made()

    def before_close(self, action: Callable[[], None]) -> None:
        """Do this first when it is closed: let go of what was frozen."""
        self._before_close = action

    def close(self) -> None:
        """Let go of the files. What was not committed is forgotten."""
        self._before_close()
        try:
            self._db.close()
        except DbClosedError:
            pass
        except Failure as error:  # what was committed stands in its journal, from which the next opening takes it
            LOGGER.warning("the local state in %s was not put in order at its end: %s", self._path, error)
        self._rows = None  # last: another thread's commit must not find the files open and its rows gone

    def read(self, key: str) -> bytes | None:
        """One row as the last commit left it.

        Raises LogError for what can't be read, and the next opening begins anew; or where this was closed.
        """
        try:
            value: bytes | None = self._db.get(ROW + key.encode())
        except Failure as error:
            raise self._unreadable(error) from error
        return value

    def scan(self) -> RowsRead:
        """All rows as the last commit left them, in order of their keys. Raises as `read` does."""
        return self._rows_in(lambda: self._db.iter())

    def _attach(self, machine: Machine) -> Machine:
        if isinstance(machine, Rowed):
            machine.rows = self._rows = CachedRows(self, machine.row, self._keep)
        return machine

    def _opened(self) -> Rdict:
        if (self._path / DAMAGED).exists():
            self._set_aside("a part of it could not be read")
        try:
            return self._made()
        except LogError:
            raise
        except Failure as error:
            self._set_aside(str(error))
            return self._made()

    def _made(self) -> Rdict:
        """Raises LogError where the disk is in the way, whatever RocksDB raises for what it can't use."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self._path), _options(self._cache))
        except Failure as error:
            if _is_of_the_disk(error):
                raise self._trouble("open", error) from error
            raise

    def _set_aside(self, why: str) -> None:
        """Keep it for who wants to know, out of the way; the one that was set aside before is removed."""
        aside = self._path.with_suffix(".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self._path.rename(aside)
        except OSError as error:
            raise self._trouble("set aside", error) from error
        LOGGER.warning("the local state in %s is not used, and was moved to %s: %s", self._path, aside.name, why)

    def _read_meta(self) -> None:
        """Take in what is kept, if it is of this partition and layout. Anything else is set aside."""
        try:
            value = self._db.get(HEADER)
            self.meta = msgspec.json.decode(value, type=Meta) if value is not None else None
        except Failure as error:
            self._begin_anew(str(error))
        if self.meta is not None and (self.meta.topic, self.meta.partition) != self._place:
            self._begin_anew(f"it is of {self.meta.topic}/{self.meta.partition}")
        elif self.meta is not None and self.meta.layout != LAYOUT:
            self._begin_anew(f"it has layout {self.meta.layout}, this code writes {LAYOUT}")

    def _begin_anew(self, why: str) -> None:
        self.meta = None
        self._release()
        self._set_aside(why)
        self._db = self._made()

    def _release(self) -> None:
        try:
            self._db.close()
        except DbClosedError as error:
            raise self._closed() from error

    def _write(self, writes: WriteBatch) -> None:
        try:
            self._db.write(writes)
        except DbClosedError as error:
            raise self._closed() from error
        except Failure as error:
            raise self._trouble("write to", error) from error

    def _closed(self) -> LogError:
        return LogError(f"the local state in {self._path} was closed in the midst of its use: start again")

    def _rows_in(self, begin: Callable[[], RdictIter]) -> RowsRead:
        """The rows as they are when this is called, not when the first is asked for."""
        try:
            return self._each_row(begin())
        except Failure as error:
            raise self._unreadable(error) from error

    def _each_row(self, items: RdictIter) -> RowsRead:
        try:
            items.seek(ROW)
            while items.valid():
                yield items.key()[1:].decode(), items.value()
                items.next()
            items.status()  # RocksDB ends at what it can't read as it does at the end
        except Failure as error:
            raise self._unreadable(error) from error
        finally:
            del items  # the error leads here, and the files stay locked as long as this is held

    def _unreadable(self, error: Exception) -> LogError:
        if isinstance(error, DbClosedError):
            return self._closed()
        remedy = "start again, and it is made anew"
        try:
            (self._path / DAMAGED).touch()
        except OSError as unmarked:  # a disk in trouble may take no more: the next opening can't be told by a file
            remedy = f"remove the folder ({unmarked.strerror}), and start again"
        return LogError(f"the local state in {self._path} is damaged: {error}; {remedy}")

    def _trouble(self, what: str, error: Exception) -> LogError:
        return LogError(f"can't {what} the local state in {self._path}: {error}; make room, or remove the folder")


def _options(cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_block_size(BLOCK)
    table.set_bloom_filter(10, block_based=False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_max_write_buffer_number(2)
    options.set_keep_log_file_num(2)
    return options


def _is_of_the_disk(error: Exception) -> bool:
    """Whether what is there may be whole, but can't be reached: as RocksDB says it, as its binding does, as Python."""
    said = str(error)
    told = said.startswith("IO error") or isinstance(error, OSError) or any(code in said for code in OUT_OF_REACH)
    return told and "No such file" not in said


def _nothing() -> None:
    """For who has nothing to let go of."""
