"""A log of which only so much of each partition can be read yet."""

from typing import Any

from streams.log import Log, Place, Stored


class Drip:
    """Stands before a log; `let` makes more of a partition readable."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._ends: dict[Place, int] = {}

    def let(self, place: Place, count: int) -> None:
        self._ends[place] = min(self._ends.get(place, 0) + count, self._log.end(place))

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        return self._log.read(place, offset, max(0, min(limit, self._ends.get(place, 0) - offset)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
