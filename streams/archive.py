"""An archive of the log: its records in files that never change, and that anyone can read.

    archive.json                             what there is; a line with the SHA-256 of the rest, then JSON
    claims-0/00000000000000000000.jsonl      a segment: a line about itself, then one line for each record
    checkpoints/work-0/…                     where a partition was trimmed before it was archived: its oldest state

A segment's first line names the SHA-256 of the segment before it, and `archive.json` that of each: one chain for each
partition. A record's line has its offset, its append time (ms since 1970), its key, and its value: as text, or as
base64 under `bytes` where it is no UTF-8. streams/archiving.py writes it; ArchiveLog is the log that can only be read.
"""

from array import array
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec

from schemas.log import Genesis
from schemas.topics import Topic
from streams.log import Append, Floor, Log, LogError, LogMismatch, Place, Stored, out_of_range

MANIFEST = "archive.json"
CHECKPOINTS = "checkpoints"
LAYOUT = 1
INDEXES = 256  # segments whose lines are known at a time


class ArchiveDamaged(LogError):
    """The archive does not hold what was written into it; one line that names the file."""


class Segment(msgspec.Struct, frozen=True):
    """A file of `count` records from offset `first` on; its SHA-256."""

    first: int
    count: int
    sha256: str


class Shelf(msgspec.Struct):
    """A partition: its Genesis, its segments in order, and the floor of its machine when it was archived.

    `start`: lowest offset there was when its archive was begun; there may be no record at all, where all were trimmed.
    """

    genesis: Genesis
    segments: list[Segment] = []
    floor: Floor | None = None
    start: int = 0

    @property
    def end(self) -> int:
        """Offset after the last."""
        return self.segments[-1].first + self.segments[-1].count if self.segments else self.start


class Manifest(msgspec.Struct):
    """What an archive holds: partitions by `topic/number`, as they were at `made_at` (ms since 1970)."""

    made_at: int
    partitions: dict[str, Shelf]
    layout: int = LAYOUT


class Heading(msgspec.Struct, frozen=True):
    """A segment's first line. `previous`: SHA-256 of the segment before it, empty for the first."""

    topic: Topic
    partition: int
    first: int
    previous: str


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record."""

    offset: int
    time: int
    key: str
    value: str | None = None
    bytes: str | None = None


_LINES = msgspec.json.Decoder(Line)


def line_of(record: Stored) -> bytes:
    """The record's line, with its end."""
    offset, time, key, value = record
    try:
        line = Line(offset, time, key, value=value.decode())
    except UnicodeDecodeError:
        line = Line(offset, time, key, bytes=b64encode(value).decode())
    return msgspec.json.encode(line) + b"\n"


def record_of(line: bytes) -> Stored:
    """The record in a line."""
    found = _LINES.decode(line)
    value = b64decode(found.bytes) if found.bytes is not None else (found.value or "").encode()
    return Stored(found.offset, found.time, found.key, value)


def path_of(folder: Path, place: Place, first: int) -> Path:
    """The file of the segment that begins at `first`."""
    return folder / f"{place.topic}-{place.partition}" / f"{first:020d}.jsonl"


def read_manifest(folder: Path) -> Manifest:
    """What the archive holds. Raises LogMismatch where there is none, ArchiveDamaged."""
    path = folder / MANIFEST
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise LogMismatch(f"{folder} is no archive: it has no {MANIFEST}; make one with audit export --all") from None
    if digest != sha256(body).hexdigest().encode():
        raise ArchiveDamaged(f"{path} is not what was written: take the archive from another copy")
    try:
        return msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise LogMismatch(f"{path} has a layout that this code does not know: upgrade crunch-reuse") from error


class ArchiveLog:
    """The log in an archive, which can only be read. Each segment is checked when it is first looked into.

    Raises LogMismatch where `folder` holds no archive, ArchiveDamaged where it is not what was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = read_manifest(folder)
        self._shelves = {place_named(name): shelf for name, shelf in self._manifest.partitions.items()}
        for place, shelf in self._shelves.items():
            _check_shelf(place, shelf)
        self._index: Callable[[Place, int], tuple[Path, array[int]]] = lru_cache(INDEXES)(self._index_of)

    def create(self, partitions: dict[Topic, int]) -> None:
        """Never: raises LogError."""
        raise self._unwritable()

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of the topic. Raises LogMismatch if it was not archived."""
        count = sum(place.topic is topic for place in self._shelves)
        if not count:
            raise LogMismatch(f"the archive {self._folder} has no topic {topic}")
        return count

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record, also where it was trimmed before it was archived."""
        return self._find(place).genesis

    def append(self, records: Sequence[Append]) -> list[int]:
        """Never: raises LogError."""
        raise self._unwritable()

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on, as far as its segment goes. Raises LogMismatch, ArchiveDamaged."""
        shelf = self._find(place)
        if not shelf.start <= offset <= shelf.end:
            raise out_of_range(place, offset, shelf.start, shelf.end)
        if offset == shelf.end:
            return []
        number = bisect_right(shelf.segments, offset, key=lambda segment: segment.first) - 1
        path, ends = self._index(place, number)
        first = offset - shelf.segments[number].first
        last = min(first + limit, len(ends) - 1)
        with path.open("rb") as file:
            file.seek(ends[first])
            lines = file.read(ends[last] - ends[first]).splitlines()
        return [record_of(line) for line in lines]

    def end(self, place: Place) -> int:
        """Offset after the partition's last record."""
        return self._find(place).end

    def start(self, place: Place) -> int:
        """Lowest offset that was archived."""
        return self._find(place).start

    def trim(self, place: Place, before: int) -> None:
        """Never: raises LogError."""
        raise self._unwritable()

    def wait(self, positions: dict[Place, int], timeout: float) -> set[Place]:
        """Places with a record at or beyond their position: nothing will be added."""
        return {place for place, offset in positions.items() if self.end(place) > offset}

    def wake(self) -> None:
        """Nobody ever waits."""

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The floor of the partition's machine when it was archived; other readers have none."""
        return self._find(place).floor if reader == f"{place.topic}-machine" else None

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Never: raises LogError."""
        raise self._unwritable()

    def address(self) -> None:
        """Nobody has to open it again in another process: nothing is ever written to it."""

    def clone(self) -> "ArchiveLog":
        """The same archive for another thread."""
        return ArchiveLog(self._folder)

    def close(self) -> None:
        """Nothing is held open."""

    def _find(self, place: Place) -> Shelf:
        try:
            return self._shelves[place]
        except KeyError:
            raise LogMismatch(f"the archive {self._folder} has no partition {place}") from None

    def _unwritable(self) -> LogError:
        return LogError(f"the archive {self._folder} can only be read")

    def _index_of(self, place: Place, number: int) -> "tuple[Path, array[int]]":
        """A segment's file, and where each record's line begins in it; one more for the end."""
        segments = self._find(place).segments
        segment = segments[number]
        path = path_of(self._folder, place, segment.first)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArchiveDamaged(f"{path} is missing: take the archive from another copy") from None
        heading, *lines = content.splitlines(keepends=True)
        if sha256(content).hexdigest() != segment.sha256 or len(lines) != segment.count:
            raise ArchiveDamaged(f"{path} is not what was archived: take the archive from another copy")
        previous = segments[number - 1].sha256 if number else ""
        if msgspec.json.decode(heading, type=Heading) != Heading(place.topic, place.partition, segment.first, previous):
            raise ArchiveDamaged(f"{path} does not follow on the segment before it: take another copy")
        ends = array("Q", [len(heading)])
        for line in lines:
            ends.append(ends[-1] + len(line))
        return path, ends


def place_named(name: str) -> Place:
    """The place that is written like `claims/0`. Raises ValueError."""
    topic, _, number = name.partition("/")
    return Place(Topic(topic), int(number))


def _check_shelf(place: Place, shelf: Shelf) -> None:
    if shelf.segments and shelf.segments[0].first != shelf.start:
        raise ArchiveDamaged(f"the archive lacks records of {place} before offset {shelf.segments[0].first}")
    for before, after in pairwise(shelf.segments):
        if before.first + before.count != after.first:
            raise ArchiveDamaged(f"the archive lacks records of {place} before offset {after.first}")


def shelf_of(log: Log, place: Place) -> Shelf:
    """An empty one for this partition."""
    return Shelf(genesis=log.genesis(place), start=log.start(place))
