"""What can go wrong with a log, on purpose. Who tests chooses when; nothing here is left to chance.

`FaultyLog` stands before any log and spoils the appends that its plan names. `truncate` and `recreate` are disasters of
the log itself, so they need the one in memory. A broker's clock that jumps is the `now` that a MemoryLog is given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.topics import Topic
from streams.log import Append, Log, LogUnreachable, Place
from streams.memory import MemoryLog


@dataclass(frozen=True)
class Refused:
    """The append raises and has no effect."""


@dataclass(frozen=True)
class LostAck:
    """The append takes effect and raises all the same."""


@dataclass(frozen=True)
class Partial:
    """Of each partition only the first `keep` records land (0 where it is not named); it raises."""

    keep: Mapping[Place, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Duplicated:
    """The records land twice, as a producer that is not idempotent writes them; the first offsets are returned."""


@dataclass(frozen=True)
class Delayed:
    """It raises with nothing landed; the records land when `FaultyLog.land` is called: a zombie's batch in flight."""


@dataclass(frozen=True)
class Gap:
    """Of each partition the first `skip` records are lost while the later ones land; it raises."""

    skip: Mapping[Place, int] = field(default_factory=dict)


Fault = Refused | LostAck | Partial | Duplicated | Delayed | Gap
Plan = Callable[[Sequence[Append]], Fault | None]


def no_faults(records: Sequence[Append]) -> None:
    """The plan of a log that behaves."""
    return


class FaultyLog:
    """A log whose appends go wrong where `plan(records)` names a fault; all else is the inner log's."""

    def __init__(self, inner: Log, plan: Plan = no_faults) -> None:
        self.plan = plan
        self.in_flight: list[list[Append]] = []
        self._inner = inner
        self.create = inner.create
        self.partitions = inner.partitions
        self.genesis = inner.genesis
        self.read = inner.read
        self.end = inner.end
        self.start = inner.start
        self.trim = inner.trim
        self.wait = inner.wait
        self.wake = inner.wake
        self.floor = inner.floor
        self.move_floor = inner.move_floor
        self.address = inner.address
        self.close = inner.close

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append, unless the plan has something else in mind. Raises LogUnreachable where the fault does."""
        fault = self.plan(records)
        if fault is None:
            return self._inner.append(records)
        if isinstance(fault, Duplicated):
            offsets = self._inner.append(records)
            self._inner.append(records)
            return offsets
        self._inner.append(self._landing(fault, records))
        raise LogUnreachable(f"injected fault: {type(fault).__name__}")

    def land(self, batch: int = 0) -> list[int]:
        """Let a delayed batch land now; the offsets it got."""
        return self._inner.append(self.in_flight.pop(batch))

    def clone(self) -> "FaultyLog":
        """The same log and plan for another thread, with nothing in flight."""
        return FaultyLog(self._inner.clone(), self.plan)

    def _landing(self, fault: Fault, records: Sequence[Append]) -> Sequence[Append]:
        match fault:
            case LostAck():
                return records
            case Partial(keep):
                return [r for rank, r in _ranked(records) if rank < keep.get(r.place, 0)]
            case Gap(skip):
                return [r for rank, r in _ranked(records) if rank >= skip.get(r.place, 0)]
            case Delayed():
                self.in_flight.append(list(records))
        return []


def _ranked(records: Sequence[Append]) -> Iterator[tuple[int, Append]]:
    """Each record with its rank among those of its partition."""
    ranks: dict[Place, int] = {}
    for record in records:
        rank = ranks.get(record.place, 0)
        ranks[record.place] = rank + 1
        yield rank, record


def truncate(log: MemoryLog, place: Place, end: int) -> None:
    """Lose the records at and beyond `end`, as a broker that comes back with an old disk."""
    partition = log.at[place]
    del partition.records[max(end - partition.start, 0) :]


def recreate(log: MemoryLog, topic: Topic) -> None:
    """Delete a topic and make it again: other log ids, no records, floors as they were."""
    log.make(topic, log.partitions(topic))
