"""What the live views show, from the read model: for who has no Kafka, and to hold the views against."""

from typing import Any

from readmodel.connection import Connection
from readmodel.queries import select
from readmodel.sql import statements

SQL = statements("windows.sql")


def windows(connection: Connection, since: int) -> list[dict[str, Any]]:
    """Rows of minutes from `since` (ms since 1970) on, newest first: window, kind, label, count, amount (ms)."""
    return select(connection, SQL["windows"], None, {"since": since})
