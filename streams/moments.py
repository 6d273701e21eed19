"""From a time to an offset."""

from streams.log import Log, LogMismatch, Place


def first_at(log: Log, place: Place, moment: int) -> int:
    """Offset of the partition's first record appended at or after `moment` (ms since 1970), or its end.

    Append times hardly ever step back; where they do, it is off by those records. Raises LogError.
    """
    low, high = log.start(place), log.end(place)
    while low < high:
        middle = (low + high) // 2
        if log.read(place, middle, 1)[0].time < moment:
            low = middle + 1
        else:
            high = middle
    return low


def time_of(log: Log, place: Place, offset: int) -> int:
    """Append time of one record, ms since 1970. Raises LogMismatch if there is none."""
    found = log.read(place, offset, 1)
    if not found:
        raise LogMismatch(f"{place} has no offset {offset}: it ends there")
    return found[0].time
