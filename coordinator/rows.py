"""What a machine remembers by key, one row each: where the rows are held is not the machine's business.

In memory they are a dict. Where they are more than memory holds they are kept elsewhere, and few of them are here at a
time. So a machine takes a row by its key, changes it within the step that took it, and holds on to none beyond that.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import msgspec

Row = TypeVar("Row")


class Rows(Protocol[Row]):
    """Rows by key. A row that was got and changed is kept as it is then; nobody has to set it again."""

    def get(self, key: str, /) -> Row | None:
        """The row, to be looked at or changed; None if there is none."""
        ...

    def __setitem__(self, key: str, row: Row, /) -> None: ...

    def __delitem__(self, key: str, /) -> None: ...

    def items(self) -> Iterable[tuple[str, Row]]:
        """All of them, in any order."""
        ...


@runtime_checkable
class Rowed(Protocol):
    """A machine that remembers most of its state as rows. `row`: their type. `rows`: may be replaced before a step."""

    row: ClassVar[type]
    rows: Rows[Any]

    def head(self) -> bytes:
        """All of the state but the rows, as one JSON object; `restore` takes it for a machine without rows."""
        ...

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """The machine that made the snapshot, its rows in a dict."""
        ...


def whole(name: str, rows: Rows[Any], head: bytes) -> bytes:
    """Rows and head as one JSON object, the rows under `name`, ordered by key: how they came about is not state."""
    return b'{"%b":%b,%b' % (name.encode(), msgspec.json.encode(dict(sorted(rows.items()))), head[1:])
