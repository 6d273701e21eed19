"""A log that is read again and again: what was read stays in memory, within bounds.

An audit reads every partition once for each partition that may have caused something in it. From Postgres that is
cheap; from Kafka each reading from the beginning costs a question and a fetch, a tenth of a second and more.
"""

from collections.abc import Callable
from typing import NamedTuple

from streams.log import Log, Place, Stored

MOST_BYTES = 256 * 1024 * 1024


class Held(NamedTuple):
    """Records of a partition, in order without a gap, from offset `start` on."""

    start: int
    records: list[Stored]


class RememberingLog:
    """Stands before a log for one thread that only reads. `most`: bytes of values that it keeps."""

    def __init__(self, log: Log, most: int = MOST_BYTES) -> None:
        self._log = log
        self._room = most
        self._held: dict[Place, Held] = {}
        self._ends: dict[Place, int] = {}
        self.create = log.create
        self.partitions = log.partitions
        self.genesis = log.genesis
        self.append = log.append
        self.trim = log.trim
        self.wait = log.wait
        self.wake = log.wake
        self.floor = log.floor
        self.move_floor = log.move_floor
        self.address = log.address
        self.clone: Callable[[], Log] = log.clone
        self.close = log.close

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """As the log; what was read before is not asked again, also where it was trimmed meanwhile."""
        start, records = self._held.get(place, Held(offset, []))
        if start <= offset < start + len(records):
            return records[offset - start : offset - start + limit]
        found = self._log.read(place, offset, limit)
        size = sum(len(record.value) for record in found)
        if offset == start + len(records) and size <= self._room:
            self._room -= size
            records.extend(found)
            self._held[place] = Held(start, records)
        return found

    def end(self, place: Place) -> int:
        """As the log."""
        end = self._ends[place] = self._log.end(place)
        return end

    def start(self, place: Place) -> int:
        """As the log; or, where it was trimmed since, and all is kept to the end that was last asked for, as it was."""
        held = self._held.get(place)
        if held and place in self._ends and held.start + len(held.records) >= self._ends[place]:
            return min(held.start, self._log.start(place))
        return self._log.start(place)
