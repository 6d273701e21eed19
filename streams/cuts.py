"""Where to cut a log that others write to, so that what is before the cut is a log by itself.

Partitions end at different moments for who looks at one after the other. A record might then be before the cut, and the
command that it follows from beyond it: whoever went on from there would put another command at that offset, and what
follows from that one would be dropped as a repeat.
"""

from collections.abc import Iterator, Sequence

from schemas.log import Cause
from streams.caused import cause_if_any, ends_of, records
from streams.log import Log, Place

Late = dict[Place, list[tuple[int, Cause]]]
"""By partition: offset and cause of records that came while one looked, in order."""


def whole_ends(log: Log, places: Sequence[Place]) -> dict[Place, int]:
    """An end for each of these partitions, beyond all that was there when this was called: no record before these ends
    has its cause, in one of them, at or beyond them. Raises LogError.

    What was there at the first look has its cause before the second, so only what came between has to be looked into.
    """
    before, ends = ends_of(log, places), ends_of(log, places)
    late: Late = {place: list(_causes(log, place, before[place], ends[place])) for place in places}
    by_id = {log.genesis(place).log_id: place for place in places}
    while any(_cut(place, late[place], by_id, ends) for place in places):
        continue
    return ends


def _causes(log: Log, place: Place, start: int, end: int) -> Iterator[tuple[int, Cause]]:
    for record in records(log, place, start, end):
        cause = cause_if_any(record.value)
        if cause is not None:
            yield record.offset, cause


def _cut(place: Place, late: list[tuple[int, Cause]], by_id: dict[str, Place], ends: dict[Place, int]) -> bool:
    """End this partition before the first record whose cause is not in the log; whether it was ended earlier."""
    for offset, cause in late:
        source = by_id.get(cause.log_id)
        if offset < ends[place] and source is not None and cause.offset >= ends[source]:
            ends[place] = offset
            return True
    return False
