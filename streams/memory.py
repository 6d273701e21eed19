"""The log in memory: the simulator's and the tests'. It loses everything with its process, and is otherwise a log."""

import time as clock
from collections.abc import Callable, Sequence
from copy import copy
from threading import Condition

from schemas.codec import encode
from schemas.log import Genesis
from schemas.topics import Topic
from streams.genesis import random_id
from streams.log import Append, Floor, LogError, LogMismatch, Place, Stored, out_of_range, to_stored


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return clock.time_ns() // 1_000_000


class Partition:
    """One partition's records: those from offset `start` on, and the Genesis even after it was trimmed."""

    __slots__ = ("genesis", "records", "start")

    def __init__(self, genesis: Genesis, time: int) -> None:
        self.genesis = genesis
        self.start = 0
        self.records = [Stored(0, time, "", encode(genesis))]


class MemoryLog:
    """A log in this process, which any number of threads may share.

    `now`: append time in milliseconds since 1970; append times are as monotone as it is.
    `new_id`: makes the log ids, each different from every other.
    """

    def __init__(self, now: Callable[[], int] = wall_clock, new_id: Callable[[], str] = random_id) -> None:
        self._now = now
        self._new_id = new_id
        self._changed = Condition()
        self._counts: dict[Topic, int] = {}
        self.floors: dict[tuple[str, Place], Floor] = {}
        self.closed = self.woken = False
        self.at: dict[Place, Partition] = {}

    def create(self, partitions: dict[Topic, int]) -> None:
        """Make the topics that are missing. Raises LogMismatch, changing nothing, on another count."""
        with self._changed:
            for topic, count in partitions.items():
                if self._counts.get(topic, count) != count:
                    raise LogMismatch(
                        f"topic {topic} has {self._counts[topic]} partitions, not {count}: they never change"
                    )
            for topic, count in partitions.items():
                if topic not in self._counts:
                    self.make(topic, count)

    def make(self, topic: Topic, count: int) -> None:
        """Make a topic's partitions anew, with new log ids, whatever was there."""
        self._counts[topic] = count
        for partition in range(count):
            genesis = Genesis(log_id=self._new_id(), topic=topic, partition=partition, partitions=count)
            self.at[Place(topic, partition)] = Partition(genesis, self._now())

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of the topic. Raises LogMismatch if it does not exist."""
        try:
            return self._counts[topic]
        except KeyError:
            raise LogMismatch(f"the log has no topic {topic}: create its topics first") from None

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record, also after a trim."""
        return self._find(place).genesis

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append all records, or none; their offsets."""
        offsets = []
        with self._changed:
            if self.closed:
                raise LogError("the log is closed")
            targets = self._targets(records)
            now = self._now()
            for target, (_, key, value) in zip(targets, records, strict=True):
                offset = target.start + len(target.records)
                target.records.append(to_stored((offset, now, key, value)))
                offsets.append(offset)
            self._changed.notify_all()
        return offsets

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on. Raises LogMismatch below the start or beyond the end."""
        partition = self._find(place)
        with self._changed:
            first = offset - partition.start
            if 0 <= first <= len(partition.records):
                return partition.records[first : first + limit]
            end = partition.start + len(partition.records)
        raise out_of_range(place, offset, partition.start, end)

    def end(self, place: Place) -> int:
        """Offset that the next record of the partition will get."""
        partition = self._find(place)
        with self._changed:
            return partition.start + len(partition.records)

    def start(self, place: Place) -> int:
        """Lowest offset still there."""
        return self._find(place).start

    def trim(self, place: Place, before: int) -> None:
        """Forget records below `before`, at most all there are."""
        partition = self._find(place)
        with self._changed:
            drop = min(max(before - partition.start, 0), len(partition.records))
            del partition.records[:drop]
            partition.start += drop

    def wait(self, positions: dict[Place, int], timeout: float) -> set[Place]:
        """Places with a record at or beyond their position, once there is one; none after `timeout` seconds."""
        targets = [(place, self._find(place), offset) for place, offset in positions.items()]

        def there() -> set[Place]:
            return {place for place, at, offset in targets if at.start + len(at.records) > offset}

        with self._changed:
            self._changed.wait_for(lambda: self.closed or self.woken or there(), timeout)
            self.woken = False
            return there()

    def wake(self) -> None:
        """End the wait that is under way on this handle, or else the next one."""
        with self._changed:
            self.woken = True
            self._changed.notify_all()

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The reader's emitted floor in this partition, or None if it never had one."""
        return self.floors.get((reader, place))

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Raise the floor; one that is not higher is ignored."""
        with self._changed:
            present = self.floors.get((reader, place))
            if present is None or floor.offset > present.offset:
                self.floors[reader, place] = floor

    def address(self) -> None:
        """There is no way to another process's memory."""

    def clone(self) -> "MemoryLog":
        """Another handle on the same records."""
        handle = copy(self)
        handle.closed = handle.woken = False
        return handle

    def close(self) -> None:
        """Wake who waits on this handle; nothing can be appended through it any more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _targets(self, records: Sequence[Append]) -> list[Partition]:
        at = self.at
        try:
            return [at[place] for place, _, _ in records]
        except KeyError as error:
            raise LogMismatch(f"the log has no partition {error.args[0]}") from None

    def _find(self, place: Place) -> Partition:
        try:
            return self.at[place]
        except KeyError:
            raise LogMismatch(f"the log has no partition {place}") from None
