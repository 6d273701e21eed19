"""A task's whole story: every record that concerns it, or that a decision about it depends on, in order of time.

Of every topic: what names the task or one it created; what happened under its fingerprints, whoever asked (others'
requests, grants, waiters' turns, the execution whose output it was given); what was done with their executions; what
befell its job as a whole; the answers to all of these; and the settings, as they reached the partitions that decided.

The log is read twice: once to find what belongs together, once to tell it. Nothing is held but names.
"""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from heapq import merge
from typing import Any

import msgspec
from msgspec import Raw

from schemas import facts as f
from schemas.codec import Undecodable, decode
from schemas.log import Cause, Genesis
from schemas.settings import Forwarded
from schemas.topics import Topic
from schemas.work import Ready
from streams.audit import Progress
from streams.caused import records
from streams.log import Log, Place, Stored
from streams.past import OutsideTheLog
from streams.replaying import places_of

FLOW = list(Topic)  # a cause comes before its effects where both have one time


class Told(msgspec.Struct, frozen=True):
    """One record of a story. `because`: the record that it follows from; `time`: of its append."""

    place: str
    offset: int
    time: str
    key: str
    because: str | None
    record: Raw


class Names(msgspec.Struct):
    """What a task's story is recognised by. `last`: time of the last fact about the task, ms since 1970."""

    task: str
    root: str = ""
    fingerprints: set[str] = set()
    tokens: set[str] = set()
    partitions: set[str] = set()  # those whose machines decided about it
    last: int = 0


def tell(log: Log, task: str, progress: Progress = lambda _what, _count: None) -> Generator[bytes, None, None]:
    """The story, a line of JSON for each record. Raises OutsideTheLog if nobody ever heard of the task; LogError."""
    ends = {place: log.end(place) for topic in FLOW for place in places_of(log, topic)}
    names = _names(log, task, ends, progress)
    places = {log.genesis(place).log_id: place for place in ends}
    kept: set[tuple[str, int]] = set()
    ids = {place: log_id for log_id, place in places.items()}
    streams = [_stamped(log, place, end) for place, end in ends.items()]
    for _, _, place, record in merge(*streams, key=lambda one: one[:2]):
        progress("telling", 1)
        envelope = decode(place.topic, record.value)
        if not isinstance(envelope, Undecodable) and _belongs(names, kept, place, record, envelope):
            kept.add((ids[place], record.offset))
            yield msgspec.json.encode(_told(place, record, envelope.cause, places)) + b"\n"


# --- What belongs together --------------------------------------------------------------------------------------------


def _names(log: Log, task: str, ends: dict[Place, int], progress: Progress) -> Names:
    names, named = Names(task), task.encode()
    for record in _each(log, ends, Topic.FACTS, progress):
        if named in record.value:
            _learn(names, record)
    if not names.root:
        raise OutsideTheLog(f"no task {task[:64]!r} is in the log: `crunch-reuse job JOB` lists a job's tasks")
    ids = {log.genesis(place).log_id: str(place) for place in ends}
    for record in _each(log, ends, Topic.FACTS, progress):
        _learn_tokens(names, record, ids)
    for record in _each(log, ends, Topic.WORK, progress):
        _learn_verifications(names, record)
    return names


def _each(log: Log, ends: dict[Place, int], topic: Topic, progress: Progress) -> Iterator[Stored]:
    for place, end in ends.items():
        if place.topic is topic:
            for record in records(log, place, 0, end):
                progress(f"looking through {place}", 1)
                yield record


def _learn(names: Names, record: Stored) -> None:
    """From facts about the task itself: its job, its fingerprints."""
    envelope = decode(Topic.FACTS, record.value)
    body = getattr(envelope, "body", None)
    if getattr(body, "task", "") != names.task:
        return
    names.last = max(names.last, record.time)
    names.root = getattr(body, "root", "") or names.root
    fingerprint = getattr(body, "fingerprint", "")
    if fingerprint:
        names.fingerprints.add(fingerprint)


def _learn_tokens(names: Names, record: Stored, ids: dict[str, str]) -> None:
    """From facts about its fingerprints: their executions. And which partitions spoke of it at all."""
    envelope = decode(Topic.FACTS, record.value)
    if isinstance(envelope, Undecodable) or envelope.cause is None:
        return
    body = envelope.body
    if isinstance(body, f.Granted) and body.fingerprint in names.fingerprints:
        names.tokens.add(body.token)
    if getattr(body, "task", "") == names.task or getattr(body, "fingerprint", "") in names.fingerprints:
        names.partitions.add(ids.get(envelope.cause.log_id, ""))


def _learn_verifications(names: Names, record: Stored) -> None:
    body = getattr(decode(Topic.WORK, record.value), "body", None)
    if isinstance(body, Ready) and body.fingerprint in names.fingerprints:
        names.tokens.add(body.token)


def _belongs(names: Names, kept: set[tuple[str, int]], place: Place, record: Stored, envelope: Any) -> bool:
    body = envelope.body
    if isinstance(body, Genesis):
        return False
    if place.topic is Topic.SETTINGS or isinstance(body, Forwarded | f.SettingChanged):
        return record.time <= names.last and (str(place) in names.partitions or not isinstance(body, Forwarded))
    if isinstance(body, f.Answered):
        return envelope.cause is not None and (envelope.cause.log_id, envelope.cause.offset) in kept
    return _concerns(names, getattr(body, "work", body))


def _concerns(names: Names, body: Any) -> bool:
    task, created_by = getattr(body, "task", ""), getattr(body, "created_by", "")
    if names.task in (task, created_by) or getattr(body, "fingerprint", "") in names.fingerprints:
        return True
    if getattr(body, "root", "") == names.root and not task:
        return True
    tokens = {getattr(body, "token", ""), *getattr(body, "tokens", ())}
    return not tokens.isdisjoint(names.tokens)


# --- Telling it -------------------------------------------------------------------------------------------------------


def _stamped(log: Log, place: Place, end: int) -> Iterator[tuple[int, int, Place, Stored]]:
    for record in records(log, place, 0, end):
        yield record.time, FLOW.index(place.topic), place, record


def _told(place: Place, record: Stored, cause: Cause | None, places: dict[str, Place]) -> Told:
    because = None
    if cause is not None:
        because = f"{places.get(cause.log_id, cause.log_id)} offset {cause.offset}, output {cause.index}"
    moment = datetime.fromtimestamp(record.time / 1000, UTC).isoformat(timespec="milliseconds")
    return Told(str(place), record.offset, moment, record.key, because, Raw(record.value))
