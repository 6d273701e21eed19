"""Finds a partition that has more to read, and of which nothing is read for too long."""

from collections.abc import Mapping
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a partition was read. `read`: the next offset to read; `end`: the one that the next record will have."""

    read: int
    end: int


class Standstill:
    """What was seen at the looks so far. `patience`: looks in a row that see no progress before it counts as one.

    Looks are counted and not seconds: while the broker is away nobody can look, and nothing stands still.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._behind: dict[int, tuple[int, int]] = {}  # partition: next offset, looks that saw it

    def look(self, found: Mapping[int, Progress]) -> int | None:
        """Take note of all partitions that are held now; one that stands still, if there is one.

        Its looks are counted anew from then on: who does something about it gives it as much time again.
        """
        behind = {}
        for partition, progress in found.items():
            if progress.read < progress.end:
                read, looks = self._behind.get(partition, (-1, 0))
                behind[partition] = progress.read, looks + 1 if read == progress.read else 1
        self._behind = behind
        stuck = next((partition for partition, (_, looks) in behind.items() if looks > self._patience), None)
        if stuck is not None:
            del behind[stuck]
        return stuck
