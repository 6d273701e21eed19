"""Snapshots: the state of a partition's machine at an offset, in a folder that all coordinators see.

    folder/claims-3/00000000000000123456.snapshot
        SHA-256 of the next line
        the header, which names the digest of all that follows
        its length, the head
        its length, ["key", row]            for each row, in order of the keys

A snapshot is written under another name, synced, and only then given its own; it never changes. Who writes the same
one writes the same bytes. It is read as it was written, entry by entry: a state need not fit in memory. Before
anything of one is used, all of it is checked; one that is damaged is set aside, and an older one used.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from coordinator.machine import Machine
from streams.durable import written_whole
from streams.log import LogError, Place
from streams.state import LAYOUT, EncodedRow, Header, MachineType, encoded_rows, entries, head_of, in_memory

KEPT = 3
SUFFIX = ".snapshot"
UNFINISHED_AFTER = 3_600.0  # seconds: whoever wrote it has died
PIECE = 1 << 20
UNKNOWN = "0" * 64


class SnapshotHeader(Header, frozen=True, kw_only=True):
    """`state_hash`: digest of the state, as `streams.state.state_hash` has it."""

    state_hash: str


class DamagedSnapshot(Exception):
    """What is in the file is not what was written; one line that names it."""


class NewerSnapshot(Exception):
    """It was written by newer code, in a layout that this code does not know; one line that names it."""


class _Row(msgspec.Struct, array_like=True):
    key: str
    row: msgspec.Raw


_ROWS = msgspec.json.Decoder(_Row)


class Snapshot:
    """One file. `header`: what it is of."""

    def __init__(self, path: Path) -> None:
        """Raises DamagedSnapshot, NewerSnapshot, FileNotFoundError."""
        self.path = path
        with path.open("rb") as file:
            self.header = self._read_header(file)

    def check(self) -> None:
        """Read all of it. Raises DamagedSnapshot, FileNotFoundError."""
        digest = sha256()
        with self.path.open("rb") as file:
            self._read_header(file)
            while piece := file.read(PIECE):
                digest.update(piece)
        if digest.hexdigest() != self.header.state_hash:
            raise self._damaged()

    def head(self) -> bytes:
        """All of the state but the rows."""
        with self.path.open("rb") as file:
            self._read_header(file)
            return self._entry(file)

    def rows(self) -> Iterator[EncodedRow]:
        """The rows in order of their keys, each read as it is asked for."""
        with self.path.open("rb") as file:
            self._read_header(file)
            self._entry(file)
            while entry := self._entry(file):
                row = _ROWS.decode(entry)
                yield row.key, bytes(row.row)

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state it is, all in memory."""
        return in_memory(kind, self.head(), self.rows())

    def _read_header(self, file: IO[bytes]) -> SnapshotHeader:
        digest, line = file.readline(), file.readline()
        if sha256(line).hexdigest().encode() + b"\n" != digest:
            raise self._damaged()
        try:
            header = msgspec.json.decode(line, type=SnapshotHeader)
        except msgspec.ValidationError as error:
            raise NewerSnapshot(f"{self.path} has another layout: {error}; upgrade crunch-reuse") from error
        if header.layout > LAYOUT:
            raise NewerSnapshot(
                f"{self.path} has layout {header.layout}, this code knows {LAYOUT}; upgrade crunch-reuse"
            )
        return header

    def _entry(self, file: IO[bytes]) -> bytes:
        """The next entry; empty at the end."""
        length = b""
        while (digit := file.read(1)).isdigit():
            length += digit
        return file.read(int(length) + 1)[:-1] if length else b""

    def _damaged(self) -> DamagedSnapshot:
        return DamagedSnapshot(f"{self.path} is damaged: its bytes are not those that were written; remove it")


class SharedSnapshots:
    """The newest `keep` snapshots of each partition below `folder`, which any number of processes may use."""

    def __init__(self, folder: Path, *, keep: int = KEPT) -> None:
        self.folder = folder
        self._keep = keep

    def keep(self, header: Header, machine: Machine) -> None:
        """Write a machine's state. Raises LogError if that can't be done."""
        self.write(header, head_of(machine), encoded_rows(machine))

    def write(self, header: Header, head: bytes, rows: Iterable[EncodedRow]) -> None:
        """Write a state, rows in order of their keys; then remove what is older than the newest `keep`."""
        folder = self._folder_of(Place(header.topic, header.partition))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(folder / f"{header.offset:020d}{SUFFIX}") as file:
                _write(file, header, entries(head, rows))
        except OSError as error:
            raise LogError(f"can't keep a snapshot in {folder}: {error.strerror}; make room there") from error
        for old in self.paths(Place(header.topic, header.partition))[self._keep :]:
            old.unlink(missing_ok=True)
        _remove_unfinished(folder)

    def load(self, place: Place) -> Iterator[Snapshot]:
        """The partition's snapshots, highest offset first, each whole; a damaged one is renamed `*.damaged`.

        Those that newer code has written are left alone.
        """
        for path in self.paths(place):
            try:
                snapshot = Snapshot(path)
                snapshot.check()
            except DamagedSnapshot:
                with suppress(FileNotFoundError):  # somebody else has found it, too
                    path.rename(path.with_suffix(".damaged"))
            except (NewerSnapshot, FileNotFoundError):  # or somebody else has removed it
                continue
            else:
                yield snapshot

    def paths(self, place: Place) -> list[Path]:
        """Files of the partition's snapshots, highest offset first, unread."""
        return sorted(self._folder_of(place).glob(f"*{SUFFIX}"), reverse=True)

    def offsets(self, place: Place) -> list[int]:
        """Offsets of the partition's snapshots, highest first, unread."""
        return [int(path.stem) for path in self.paths(place)]

    def _folder_of(self, place: Place) -> Path:
        return self.folder / f"{place.topic}-{place.partition}"


def _write(file: IO[bytes], header: Header, written: Iterator[bytes]) -> None:
    """The beginning has its length before its content is known, so it is written twice."""
    file.write(_beginning(header, UNKNOWN))
    digest = sha256()
    for entry in written:
        digest.update(entry)
        file.write(entry)
    file.seek(0)
    file.write(_beginning(header, digest.hexdigest()))


def _beginning(header: Header, state_hash: str) -> bytes:
    fields = {name: getattr(header, name) for name in Header.__struct_fields__}
    fields |= {"targets": dict(sorted(header.targets.items())), "marks": dict(sorted(header.marks.items()))}
    line = msgspec.json.encode(SnapshotHeader(**fields, state_hash=state_hash)) + b"\n"
    return sha256(line).hexdigest().encode() + b"\n" + line


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob("*.new"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - UNFINISHED_AFTER:
                path.unlink()
