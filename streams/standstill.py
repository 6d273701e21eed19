"""Finds a partition that has more to read, and of which nothing is read for too long."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, Protocol


class Progress(NamedTuple):
    """How far a partition was read. `read`: the next offset to read; `end`: the one that the next record will have."""

    read: int
    end: int


class Consumer(Protocol):
    """What is asked of Faust's consumer. Its positions and ends are the next offset to read, and to be written."""

    async def position(self, place: Any, /) -> int | None:
        """Where it stands."""

    async def highwaters(self, *places: Any) -> Mapping[Any, int]:
        """Where each place ends."""


async def progress(
    consumer: Consumer, places: Mapping[int, Hashable], counted: Mapping[int, int]
) -> dict[int, Progress]:
    """How far each partition was read; `places`: by partition; `counted`: the next offset to be counted, of some.

    The consumer is asked only for the ends, and for where it stands in what nothing was counted of. What it raises is
    raised. `counted` may be cleared while it answers, when partitions change hands.
    """
    if not places:
        return {}
    ends = await consumer.highwaters(*places.values())
    known = dict(counted)
    others = {number: await consumer.position(place) or 0 for number, place in places.items() if number not in known}
    return {number: Progress((others | known)[number], ends[place]) for number, place in places.items()}


class Standstill:
    """What was seen at the looks so far. `patience`: looks in a row that see no progress before it counts as one.

    Looks are counted and not seconds: while the broker is away nobody can look, and nothing stands still.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._behind: dict[int, tuple[int, int]] = {}  # partition: next offset, looks that saw it

    def look(self, found: Mapping[int, Progress]) -> int | None:
        """Take note of all partitions that are held now; one that stands still, if there is one."""
        behind = {}
        for partition, progress in found.items():
            if progress.read < progress.end:
                read, looks = self._behind.get(partition, (-1, 0))
                behind[partition] = progress.read, looks + 1 if read == progress.read else 1
        self._behind = behind
        return next((partition for partition, (_, looks) in behind.items() if looks > self._patience), None)
