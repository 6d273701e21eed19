"""A log as a runner of the past saw it: it ends at an offset, and what is appended to it goes somewhere else."""

from collections.abc import Callable, Sequence

from schemas.topics import Topic
from streams.log import Append, Floor, Log, Place, Stored

Sink = Callable[[Sequence[Append]], None]


class ReplayingLog:
    """Stands before a log for one runner of `source`. Nothing is written; every step from `begin` on is emitted.

    `begin`: where emitting begins, None for the first record. `sink` is handed what the runner appends.
    """

    def __init__(self, log: Log, source: Place, end: int, sink: Sink, begin: Floor | None = None) -> None:
        self._log = log
        self._source = source
        self._end = end
        self._sink = sink
        self._begin = begin
        self.partitions = log.partitions
        self.genesis = log.genesis
        self.start = log.start
        self.wait = log.wait
        self.wake = log.wake
        self.address = log.address
        self.close = log.close

    def create(self, _partitions: object) -> None:
        """Never: a replay makes no topics."""
        raise AssertionError("a replay writes nothing")

    def append(self, records: Sequence[Append]) -> list[int]:
        """Hand the records to the sink; the offsets are nobody's."""
        self._sink(records)
        return [-1] * len(records)

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """As the log, but the source ends where it is told to."""
        if place == self._source:
            limit = min(limit, self._end - offset)
        return self._log.read(place, offset, limit) if limit > 0 else []

    def end(self, place: Place) -> int:
        """As the log, but the source ends where it is told to."""
        return self._end if place == self._source else self._log.end(place)

    def trim(self, _place: Place, _before: int) -> None:
        """Never: a replay forgets nothing."""
        raise AssertionError("a replay writes nothing")

    def floor(self, _reader: str, _place: Place) -> Floor | None:
        """Where emitting begins."""
        return self._begin

    def move_floor(self, _reader: str, _place: Place, _floor: Floor) -> None:
        """Nothing: the real floor stays where it is."""

    def clone(self) -> "ReplayingLog":
        """The same replay for another thread."""
        return ReplayingLog(self._log.clone(), self._source, self._end, self._sink, self._begin)


def places_of(log: Log, topic: Topic) -> list[Place]:
    """The partitions of a topic."""
    return [Place(topic, number) for number in range(log.partitions(topic))]
