"""What the store has to keep: all content that jobs, running executions, entries and collections name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from readmodel import queries, registry
from readmodel.connection import Connection, connect, translated
from readmodel.sql import statements

SQL = statements("references.sql")


def referenced(connection: Connection) -> dict[str, bool]:
    """Portable data hashes, each with whether the store has had it: jobs may name what never was there.

    Raises ReadModelError.
    """
    registry.prepare(connection)
    return {row["content"]: row["was_here"] for row in queries.select(connection, SQL["references"], None, {})}


@contextmanager
def undisturbed(dsn: str, to: Literal["collect", "copy"], waits: Callable[[], None]) -> Iterator[None]:
    """Whoever collects is alone meanwhile; those who copy share it. `waits`: called if somebody else is at it.

    Raises ReadModelError, also in the end if Postgres went away meanwhile: then somebody may have come between.
    """
    with connect(dsn) as connection, translated():
        [[is_free]] = connection.execute(SQL[f"try_to_{to}"])
        if not is_free:
            waits()
            connection.execute(SQL[to])
        yield
        connection.execute("select")


def oldest_grant(connection: Connection) -> int | None:
    """When the oldest execution that still runs was granted, ms since 1970; what it has written is not named yet."""
    [row] = queries.select(connection, SQL["oldest_grant"], None, {})
    return row["granted_at"]  # type: ignore[no-any-return]


def projected(connection: Connection) -> dict[int, int]:
    """The next offset of each partition of `facts` that is projected. Raises ReadModelError."""
    found = queries.select(connection, SQL["projected"], None, {})
    return {row["partition"]: row["next_offset"] for row in found}
