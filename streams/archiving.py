"""Writing the log into an archive, and writing on where one was begun. What its files are: streams/archive.py."""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from coordinator.audit import TARGETS
from schemas.topics import Topic
from streams.archive import (
    CHECKPOINTS,
    LAYOUT,
    MANIFEST,
    ArchiveLog,
    Heading,
    Manifest,
    Segment,
    Shelf,
    line_of,
    path_of,
    place_named,
    read_manifest,
    shelf_of,
)
from streams.audit import Progress
from streams.caused import records
from streams.cuts import whole_ends
from streams.durable import write_whole
from streams.kept import Damaged, KeptStates, kept_in_folder, nothing_kept
from streams.log import Log, LogMismatch, Place, Stored
from streams.replaying import places_of
from streams.snapshots import Snapshot

SEGMENT_RECORDS = 20_000
SEGMENT_BYTES = 16 * 1024 * 1024


class Archived(msgspec.Struct):
    """What was written: records, segments, bytes of them."""

    records: int = 0
    segments: int = 0
    bytes: int = 0


def archive(
    log: Log, folder: Path, kept: KeptStates = nothing_kept, progress: Progress = lambda _what, _count: None
) -> Archived:
    """Write all that the log holds by now, or what it holds beyond what the archive does.

    What is written is a log by itself: no record in it follows from one that is not. `kept`: where states are that a
    trimmed partition's audit begins from. Raises LogMismatch if the archive is of another log, or if records between
    the two were trimmed; LogError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(log, folder)
    places = [place for topic in Topic for place in places_of(log, topic)]
    # Floors before ends: what a floor has passed stands before the ends that are read after it.
    floors = {place: log.floor(f"{place.topic}-machine", place) for place in places if place.topic in TARGETS}
    ends = whole_ends(log, places)
    done = Archived()
    for place in places:
        shelf = manifest.partitions.setdefault(str(place), shelf_of(log, place))
        first = _begin(log, place, shelf)
        for segment in _segments(log, folder, place, shelf, (first, ends[place]), progress):
            shelf.segments.append(segment)
            done.segments += 1
            done.records += segment.count
            done.bytes += path_of(folder, place, segment.first).stat().st_size
        shelf.floor = floors.get(place)
        if shelf.floor is not None and shelf.start > 0:
            _keep_state(folder, place, shelf, kept)
    manifest.made_at = time.time_ns() // 1_000_000
    body = msgspec.json.encode(manifest)
    write_whole(folder / MANIFEST, sha256(body).hexdigest().encode() + b"\n" + body)
    return done


def _manifest(log: Log, folder: Path) -> Manifest:
    """That of the archive as it is, after a look whether it is of this log."""
    if not (folder / MANIFEST).exists():
        begun = {f"{place.topic}-{place.partition}" for topic in Topic for place in places_of(log, topic)}
        if any(entry.name not in begun for entry in folder.iterdir()):  # else it was begun, and never finished
            raise LogMismatch(f"{folder} is not empty and holds no archive: name another folder")
        return Manifest(0, {}, LAYOUT)
    archived = ArchiveLog(folder)
    manifest = read_manifest(folder)
    for name, shelf in manifest.partitions.items():
        place = place_named(name)
        if log.genesis(place).log_id != shelf.genesis.log_id:
            raise LogMismatch(f"{folder} holds the archive of another log: {name} was made anew; name another folder")
        _check_last(log, archived, place)
    return manifest


def _check_last(log: Log, archived: ArchiveLog, place: Place) -> None:
    """The last record that was archived stands in the log, if it was not trimmed."""
    last = archived.end(place) - 1
    if last >= log.end(place):
        raise LogMismatch(f"{place} ends at {log.end(place)}, and its archive at {last + 1}: the log was truncated")
    if last >= log.start(place) and log.read(place, last, 1)[0] != archived.read(place, last, 1)[0]:
        raise LogMismatch(
            f"{place} has another record at {last} than was archived: the log was truncated and has grown"
        )


def _begin(log: Log, place: Place, shelf: Shelf) -> int:
    start = log.start(place)
    if not shelf.segments:
        shelf.start = start
    if shelf.end < start:
        raise LogMismatch(f"{place} was trimmed to {start}, its archive ends at {shelf.end}: begin a new one elsewhere")
    return shelf.end


def _segments(
    log: Log, folder: Path, place: Place, shelf: Shelf, span: tuple[int, int], progress: Progress
) -> Iterator[Segment]:
    first, end = span
    previous = shelf.segments[-1].sha256 if shelf.segments else ""
    path_of(folder, place, 0).parent.mkdir(exist_ok=True)
    for chunk in chunks(_unbroken(place, first, records(log, place, first, end))):
        offset = chunk[0].offset
        heading = msgspec.json.encode(Heading(place.topic, place.partition, offset, previous)) + b"\n"
        content = b"".join((heading, *map(line_of, chunk)))
        path = path_of(folder, place, offset)
        write_whole(path, content)
        path.chmod(0o444)
        previous = sha256(content).hexdigest()
        progress(f"archiving {place}", len(chunk))
        yield Segment(offset, len(chunk), previous)


def _unbroken(place: Place, first: int, found: Iterable[Stored]) -> Iterator[Stored]:
    for expected, record in enumerate(found, first):
        if record.offset != expected:
            raise LogMismatch(f"{place} was trimmed to {record.offset} while it was archived: try again")
        yield record


def chunks(found: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Records in lists, none of them empty, each of so many or so large that more would be too much at a time."""
    chunk: list[Stored] = []
    size = 0
    for record in found:
        chunk.append(record)
        size += len(record.value)
        if len(chunk) >= SEGMENT_RECORDS or size >= SEGMENT_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _keep_state(folder: Path, place: Place, shelf: Shelf, kept: KeptStates) -> None:
    """The oldest state from which what is archived can be decided again, if none is there yet."""
    if any(kept_in_folder(folder / CHECKPOINTS)(place)):
        return
    for one in sorted(kept(place), key=lambda one: one.offset):
        with suppress(Damaged):  # the audit of the log itself names it
            loaded = one.load() if one.offset >= shelf.start else None
            if loaded is not None and isinstance(loaded.saved, Snapshot):
                _copy(loaded.saved, folder / CHECKPOINTS, place)
                return


def _copy(snapshot: Snapshot, folder: Path, place: Place) -> None:
    target = folder / f"{place.topic}-{place.partition}" / snapshot.path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(snapshot.path, target)
