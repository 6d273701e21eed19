"""What the store has to keep: all content that jobs, running executions, entries and collections name."""

from readmodel import queries, registry
from readmodel.connection import Connection
from readmodel.sql import statements

SQL = statements("references.sql")


def referenced(connection: Connection) -> list[str]:
    """Portable data hashes, each once. Raises ReadModelError."""
    registry.prepare(connection)
    return [row["content"] for row in queries.select(connection, SQL["references"], None, {})]


def oldest_grant(connection: Connection) -> int | None:
    """When the oldest execution that still runs was granted, ms since 1970; what it has written is not named yet."""
    [row] = queries.select(connection, SQL["oldest_grant"], None, {})
    return row["granted_at"]  # type: ignore[no-any-return]


def projected(connection: Connection) -> dict[int, int]:
    """The next offset of each partition of `facts` that is projected. Raises ReadModelError."""
    found = queries.select(connection, SQL["projected"], None, {})
    return {row["partition"]: row["next_offset"] for row in found}
