"""Reading the log by cause: what stands in the topics because of one partition's records, and only because of them."""

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Any, NamedTuple

import msgspec

from coordinator.audit import Step
from schemas.codec import Envelope, Undecodable, decode
from schemas.log import Cause, Genesis
from schemas.topics import Topic
from streams.log import Log, LogUnreachable, Place, Stored
from streams.marks import Marks, is_new

BATCH = 2_000
Rank = tuple[int, int]  # offset and index of a cause


class Caused(NamedTuple):
    """A record that names its cause: the cause's rank, where it stands, its key and bytes."""

    rank: Rank
    place: Place
    offset: int
    key: str
    value: bytes


class _Head(msgspec.Struct):
    """As much of an envelope as says where it comes from."""

    cause: Cause | None = None


_HEADS = msgspec.json.Decoder(_Head)


def cause_of(value: bytes) -> Cause | None:
    """The cause that a record names, or None. Raises msgspec.DecodeError for what is no record."""
    return _HEADS.decode(value).cause


def cause_if_any(value: bytes) -> Cause | None:
    """The cause that it names, also where it is no record otherwise; None where none can be read."""
    try:
        return cause_of(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def log_ids_of(log: Log) -> frozenset[str]:
    """Those of all its partitions: whoever names another as its cause is foreign to it. Raises LogError."""
    return frozenset(log.genesis(Place(topic, n)).log_id for topic in Topic for n in range(log.partitions(topic)))


class Foreign(NamedTuple):
    """A record in `facts` that no machine of this log wrote: it counts for nothing. `why`: how that is known."""

    why: str


def fact_of(value: bytes, log_ids: frozenset[str]) -> Envelope[Any] | Undecodable | Foreign | None:
    """What a record in `facts` is to who adds them up: a machine's fact, or None for the partition's own beginning.

    `log_ids`: as `log_ids_of` has them. Undecodable: a machine's word that can't be read, so nobody may go on past it.
    """
    envelope = decode(Topic.FACTS, value)
    if isinstance(envelope, Undecodable):
        cause = cause_if_any(value)
        return envelope if cause is not None and cause.log_id in log_ids else Foreign(envelope.detail)
    if isinstance(envelope.body, Genesis):
        return None
    if envelope.cause is None:
        return Foreign("it names no cause, so no machine wrote it")
    return envelope if envelope.cause.log_id in log_ids else Foreign("its cause is in no partition of this log")


def records(log: Log, place: Place, start: int, end: int) -> Iterator[Stored]:
    """The partition's records from `start`, or from where it begins by now, to before `end`."""
    while start < end:
        start = max(start, log.start(place))
        if start >= end:
            return
        batch = log.read(place, start, min(BATCH, end - start))
        if not batch:
            raise LogUnreachable(f"{place} ends at {end}, and gave nothing at {start}: try again")
        yield from batch
        start = batch[-1].offset + 1


def caused_by(log: Log, place: Place, end: int, log_id: str) -> Iterator[Caused]:
    """Records at `place` caused by the partition with this log id, in order of their causes, repeats left out.

    What can't be read is left out too: it has no cause.
    """
    marks: Marks = {}
    named = f'"cause":["{log_id}",'.encode()
    for record in records(log, place, 0, end):
        if named not in record.value[:200]:
            continue
        cause = cause_if_any(record.value)
        if cause is not None and cause.log_id == log_id and is_new(marks, cause):
            yield Caused((cause.offset, cause.index), place, record.offset, record.key, record.value)


def steps(log: Log, source: Place, end: int, targets: dict[Place, int]) -> Iterator[Step]:
    """Each record of a partition before `end`, with all that stands in the targets (place to end) because of it.

    A repeat of a record is no step: it counted when it was read first.
    """
    log_id = log.genesis(source).log_id
    outputs = merge(*(caused_by(log, place, until, log_id) for place, until in targets.items()))
    waiting = next(outputs, None)
    marks: Marks = {}
    for record in records(log, source, 0, end):
        command = decode(source.topic, record.value)
        if not isinstance(command, Undecodable) and not is_new(marks, command.cause):
            continue
        mine: list[Any] = []
        while waiting is not None and waiting.rank[0] <= record.offset:
            mine.append(body_of(waiting))
            waiting = next(outputs, None)
        body = command if isinstance(command, Undecodable) else command.body
        yield Step(record.offset, f"{log_id}.{record.offset}.", body, tuple(mine))


def body_of(caused: Caused) -> Any:
    """The record itself; Undecodable if it is none."""
    envelope = decode(caused.place.topic, caused.value)
    return envelope if isinstance(envelope, Undecodable) else envelope.body


def ends_of(log: Log, places: Sequence[Place]) -> dict[Place, int]:
    """Where these partitions end now."""
    return {place: log.end(place) for place in places}
