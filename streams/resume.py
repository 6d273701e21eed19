"""Where a runner starts, and whether the log it finds is the one that its floor and checkpoints speak of.

Whatever does not fit stops the process: a truncated or recreated log would hand out offsets again that causes, tokens
and floors already name.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple, Protocol

from streams.checkpoints import Saved
from streams.log import Floor, Log, LogMismatch, Place
from streams.marks import Marks
from streams.routes import Routes
from streams.state import Header

REMEDY = "restore the log from a backup, or start over with a new one"


class Start(NamedTuple):
    """State before `offset`, none at the beginning; digest of the record before it; the floor, if there is one."""

    offset: int
    digest: str
    marks: Marks
    state: Saved | None
    floor: Floor | None


class Loads(Protocol):
    """Where states were kept."""

    def load(self, place: Place) -> Iterator[Saved]:
        """Those of a partition, highest offset first."""
        ...


def find_start(log: Log, reader: str, place: Place, routes: Routes, checkpoints: Loads, rules: int) -> Start:
    """The newest checkpoint that can be used, at or below the floor; else the log's beginning.

    Raises LogMismatch where log, floor and checkpoints contradict each other.
    """
    floor = log.floor(reader, place)
    if floor is not None:
        _check(log, place, f"the floor of {reader}", floor)
    emit_from = floor.offset if floor else 0
    for saved in checkpoints.load(place):
        header = saved.header
        _check_checkpoint(log, place, routes, header)
        if header.offset <= emit_from and header.rules <= rules:
            return Start(header.offset, header.digest, dict(header.marks), saved, floor)
    if log.start(place) > 0:
        raise LogMismatch(
            f"{place} is trimmed to {log.start(place)} and no checkpoint can be used:"
            f" look whether the folder of snapshots is mounted; else {REMEDY}"
        )
    return Start(0, "", {}, None, floor)


def _check_checkpoint(log: Log, place: Place, routes: Routes, checkpoint: Header) -> None:
    at = Floor(checkpoint.offset, checkpoint.digest, checkpoint.log_id)
    _check(log, place, "a checkpoint", at)
    for target, log_id in routes.log_ids.items():
        if checkpoint.targets.get(target) != log_id:
            raise LogMismatch(f"{target} was made anew since a checkpoint of {place}: {REMEDY}")


def _check(log: Log, place: Place, what: str, at: Floor) -> None:
    if at.log_id != log.genesis(place).log_id:
        raise LogMismatch(f"{place} was made anew since {what} was kept: {REMEDY}")
    end, start = log.end(place), log.start(place)
    if at.offset > end:
        raise LogMismatch(f"{place} ends at {end}, {what} is at {at.offset}: the log was truncated; {REMEDY}")
    if at.offset < start:
        raise LogMismatch(f"{place} starts at {start}, {what} is at {at.offset}: trimmed too far; {REMEDY}")
    if at.offset > start and digest_at(log, place, at.offset - 1) != at.digest:
        raise LogMismatch(f"{place} holds another record at {at.offset - 1} than {what} says: {REMEDY}")


def digest_at(log: Log, place: Place, offset: int) -> str:
    """SHA-256 of the value at an offset, in hexadecimal."""
    return sha256(log.read(place, offset, 1)[0].value).hexdigest()
