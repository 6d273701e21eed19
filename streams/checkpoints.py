"""Checkpoints: a machine's state at an offset, as a cache of the log. Losing one costs a replay, never a decision.

A file is written once and never changed: a line with the SHA-256 of the rest, then the checkpoint as JSON. One that
can't be read is set aside under another name and the next older is used.
"""

import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Protocol, Self

import msgspec
from msgspec import Raw

from coordinator.machine import Machine
from schemas.topics import Topic
from streams.log import LogError, Place
from streams.marks import Marks
from streams.state import Header, MachineType


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """State of one partition's machine before `offset`, and all that must still hold for it to be used.

    `targets`: log id of every partition it writes to, by `topic/partition`. `digest`: of the record before `offset`.
    `rules`: newest rules the code that made it knew. `marks`: highest cause (offset, index) seen, by source log id.
    `state`: the machine's snapshot.
    """

    topic: Topic
    partition: int
    log_id: str
    targets: dict[str, str]
    offset: int
    digest: str
    rules: int
    marks: Marks
    state: Raw

    @classmethod
    def of(cls, header: Header, machine: Machine) -> Self:
        """The machine as it is now."""
        fields = {name: getattr(header, name) for name in cls.__struct_fields__ if name != "state"}
        return cls(**fields, state=Raw(machine.snapshot()))

    @property
    def header(self) -> Header:
        """All but the state."""
        return Header(**{name: getattr(self, name) for name in self.__struct_fields__ if name != "state"})

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state it is."""
        return kind.restore(bytes(self.state))


class Saved(Protocol):
    """A state that was kept, of whatever form."""

    @property
    def header(self) -> Header:
        """What it is of."""
        ...

    def machine(self, kind: MachineType) -> Machine:
        """The machine whose state it is."""
        ...


class CheckpointStore(Protocol):
    """Where states are kept. What is kept may be lost, but never comes back changed."""

    def keep(self, header: Header, machine: Machine) -> None:
        """Keep a machine's state, durably. Raises LogError if that can't be done."""
        ...

    def load(self, place: Place) -> Iterator[Saved]:
        """The partition's states, highest offset first."""
        ...

    def offsets(self, place: Place) -> list[int]:
        """Their offsets, highest first, without a look at the states."""
        ...


class MemoryCheckpoints:
    """Checkpoints in this process: the newest `keep` of each partition."""

    def __init__(self, keep: int = 3) -> None:
        self._keep = keep
        self.at: dict[Place, list[Checkpoint]] = {}

    def keep(self, header: Header, machine: Machine) -> None:
        """Keep a machine's state."""
        self.save(Checkpoint.of(header, machine))

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep it."""
        place = Place(checkpoint.topic, checkpoint.partition)
        others = [other for other in self.at.get(place, []) if other.offset != checkpoint.offset]
        self.at[place] = sorted([checkpoint, *others], key=lambda one: -one.offset)[: self._keep]

    def load(self, place: Place) -> Iterator[Checkpoint]:
        """The partition's checkpoints, highest offset first."""
        return iter(self.at.get(place, []))

    def offsets(self, place: Place) -> list[int]:
        """Their offsets, highest first."""
        return [checkpoint.offset for checkpoint in self.at.get(place, [])]


class DirectoryCheckpoints:
    """Checkpoints as files below `root`: the newest `keep` of each partition. One process at a time uses a root."""

    def __init__(self, root: Path, keep: int = 3) -> None:
        self._root = root
        self._keep = keep
        for unfinished in root.glob("*/*.new"):
            unfinished.unlink()

    def keep(self, header: Header, machine: Machine) -> None:
        """Keep a machine's state. Raises LogError."""
        self.save(Checkpoint.of(header, machine))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write, sync, and only then give it its name; then remove what is older than the newest `keep`."""
        folder = self._folder(Place(checkpoint.topic, checkpoint.partition))
        body = msgspec.json.encode(checkpoint)
        content = sha256(body).hexdigest().encode() + b"\n" + body
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{checkpoint.offset:020d}.json", content)
        except OSError as error:
            raise LogError(f"can't keep a checkpoint in {folder}: {error.strerror}; make room there") from error
        for old in _newest_first(folder)[self._keep :]:
            old.unlink(missing_ok=True)

    def load(self, place: Place) -> Iterator[Checkpoint]:
        """The partition's checkpoints, highest offset first; an unreadable file is renamed `*.damaged`."""
        for path in _newest_first(self._folder(place)):
            checkpoint = read_checkpoint(path)
            if checkpoint is None:
                path.rename(path.with_suffix(".damaged"))
            else:
                yield checkpoint

    def offsets(self, place: Place) -> list[int]:
        """Offsets of the files, highest first, unread."""
        return [int(path.stem) for path in _newest_first(self._folder(place))]

    def _folder(self, place: Place) -> Path:
        return self._root / f"{place.topic}-{place.partition}"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"), reverse=True)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in a file; None if it can't be used. Raises FileNotFoundError."""
    digest, _, body = path.read_bytes().partition(b"\n")
    if not _belongs(digest, body):
        return None
    try:
        return msgspec.json.decode(body, type=Checkpoint)
    except msgspec.DecodeError:  # whole, but of another version's layout
        return None


def is_whole(path: Path) -> bool:
    """Whether a file holds what was written into it. Raises FileNotFoundError."""
    digest, _, body = path.read_bytes().partition(b"\n")
    return _belongs(digest, body)


def _belongs(digest: bytes, body: bytes) -> bool:
    return digest == sha256(body).hexdigest().encode()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there durably and whole, or not at all. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
