"""Rows of which few are in memory: those of the last steps, and beside them a bounded number of others.

What a machine took since the last commit is held here and counts as changed; nothing of it is written before the
commit. So the rows below are always those of one offset, whatever a step does, and however the process ends.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from streams.state import EncodedRow

Row = TypeVar("Row")

Change = tuple[str, bytes | None]
"""Key, and the row as JSON; None: it is gone."""


class Below(Protocol):
    """Where the rows of the last commit are."""

    def read(self, key: str) -> bytes | None:
        """One row; None if there is none."""
        ...

    def scan(self) -> Iterator[EncodedRow]:
        """All rows, in order of their keys."""
        ...


class CachedRows(Generic[Row]):
    """Rows for a machine (`coordinator.rows.Rows`). `keep`: how many unchanged ones stay in memory."""

    def __init__(self, below: Below, row: type[Row], keep: int) -> None:
        self._below = below
        self._decode = msgspec.json.Decoder(row).decode
        self._keep = keep
        self._taken: dict[str, Row | None] = {}
        self._others: dict[str, Row] = {}  # the longest untouched first

    def __len__(self) -> int:
        """How many changes the next commit has to write, at most."""
        return len(self._taken)

    def get(self, key: str) -> Row | None:
        """The row, to be looked at or changed within this step."""
        taken = self._taken
        if key in taken:
            return taken[key]
        row = self._others.pop(key, None)
        if row is None:
            value = self._below.read(key)
            if value is None:
                return None
            row = self._decode(value)
        taken[key] = row
        return row

    def __setitem__(self, key: str, row: Row) -> None:
        self._taken[key] = row

    def __delitem__(self, key: str) -> None:
        self._taken[key] = None

    def items(self) -> Iterator[tuple[str, Row]]:
        """All of them, in order of their keys, each decoded as it comes."""
        return ((key, self._decode(row)) for key, row in self.encoded())

    def encoded(self) -> Iterator[EncodedRow]:
        """All rows as they are now, in order of their keys."""
        changes = iter(sorted(self.changes()))
        change = next(changes, None)
        for key, row in self._below.scan():
            while change is not None and change[0] < key:
                yield from _present(change)
                change = next(changes, None)
            if change is not None and change[0] == key:
                yield from _present(change)
                change = next(changes, None)
            else:
                yield key, row
        while change is not None:
            yield from _present(change)
            change = next(changes, None)

    def changes(self) -> Iterator[Change]:
        """What the next commit has to write."""
        encode = msgspec.json.encode
        return ((key, None if row is None else encode(row)) for key, row in self._taken.items())

    def committed(self) -> None:
        """All changes are below by now."""
        others = self._others
        for key, row in self._taken.items():
            if row is not None:
                others[key] = row
        self._taken = {}
        for key in list(others)[: max(0, len(others) - self._keep)]:
            del others[key]


def _present(change: Change) -> Iterator[EncodedRow]:
    key, row = change
    if row is not None:
        yield key, row
