"""Entries, which are finished executions that can be given again: their use, and what it saved."""

import msgspec

from readmodel import board
from readmodel.connection import Connection
from readmodel.queries import select
from readmodel.rows import Row
from readmodel.sight import sight
from readmodel.sql import statements

SQL = statements("cache.sql")
MOST = 1_000_000


class Entry(Row, frozen=True):
    """An entry that the viewer sees. `used_at`: when it was last given to somebody in the viewer's sight, else made.

    Times in ms since 1970; `took`: ms that it ran; `copies`: how often it was given, as far as the viewer sees.
    """

    token: str
    fingerprint: str
    owner: str
    task: str
    root: str
    name: str
    output: str
    made_at: int
    used_at: int
    copies: int
    took: int


class Due(Row, frozen=True):
    """An entry whose time is over. `is_old`: it was made too long ago, else only not used for too long.

    `is_disputed`: another execution of the same work had another output, and nobody has decided that since.
    """

    token: str
    fingerprint: str
    is_old: bool
    is_disputed: bool


class Asked(Row, frozen=True):
    """Which entries: those that meet all that is given. Times in ms since 1970."""

    of_owner: str | None = None
    task: str | None = None
    made_before: int | None = None
    used_before: int | None = None
    limit: int = MOST


class Savings(Row, frozen=True):
    """What reuse saved. `given`: executions that this user's jobs did not need; `taken`: those that others did not need
    because of this user's. The rest: ms of execution."""

    given: int
    given_ms: int
    taken: int
    taken_ms: int


def entries(connection: Connection, viewer: str, asked: Asked) -> list[Entry]:
    """Entries, those first that were used longest ago. Raises ReadModelError."""
    seen = sight(connection, viewer)
    found = select(connection, SQL["entries"], seen, msgspec.structs.asdict(asked))
    return msgspec.convert(found, list[Entry])


def disputed(connection: Connection, viewer: str) -> set[str]:
    """Fingerprints of work of which the viewer sees outputs that differ, while nobody has decided which is right.

    Raises ReadModelError.
    """
    return {pair.fingerprint for pair in board.conflicts(connection, viewer, MOST) if pair.is_open}


def due(connection: Connection, made_before: int, used_before: int, limit: int) -> list[Due]:
    """Entries of anybody that were made, or last given to anybody, before these times (ms since 1970), oldest first.

    Raises ReadModelError.
    """
    asked = {"made_before": made_before, "used_before": used_before, "limit": limit}
    return msgspec.convert(select(connection, SQL["due"], None, asked), list[Due])


def savings(connection: Connection, user: str) -> Savings:
    """What reuse saved a user, and others by that user's work. Raises ReadModelError."""
    [row] = select(connection, SQL["savings"], None, {"user": user})
    return msgspec.convert(row, Savings)


def copied_outputs(connection: Connection, user: str) -> dict[str, int]:
    """Outputs that the user's jobs were given, with how often. Raises ReadModelError."""
    found = select(connection, SQL["copied_outputs"], None, {"user": user})
    return {row["output"]: row["times"] for row in found}
