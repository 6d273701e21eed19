"""A second set of the read model's tables beside the one that serves: to take its place, or to be compared with it.

All SQL names its tables `rm.…`; on a connection made here, the same statements mean another schema.
"""

import re
from typing import Any

import psycopg
from psycopg.abc import Query
from psycopg.sql import SQL, Identifier

from readmodel.connection import Connection, translated
from readmodel.sql import statements

NEXT = "rm_next"  # what is to serve
CHECK = "rm_check"  # what is only looked at
_SQL = statements("beside.sql")
_OURS = re.compile(rb"\brm\.")
SHOWN = 3  # rows of a table that are told of each kind of difference


def direct(connection: Connection, schema: str) -> None:
    """From now on, what this connection's statements say of the read model's tables is of those in `schema`."""
    name = schema.encode() + b"."

    class Directed(psycopg.Cursor[Any]):
        def execute(self, query: Query, *arguments: Any, **options: Any) -> "Directed":
            if isinstance(query, str):
                query = query.encode()
            if isinstance(query, bytes):
                query = _OURS.sub(name, query)
            super().execute(query, *arguments, **options)
            return self

    connection.cursor_factory = Directed


def clear(connection: Connection, schema: str) -> None:
    """Remove the tables in `schema`."""
    with translated():
        connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(schema)))


def alone(connection: Connection) -> bool:
    """Take the part of who makes tables beside; whether nobody else has it. Ends with the connection."""
    with translated():
        row = connection.execute(_SQL["alone"]).fetchone()
    return bool(row and row[0])


def hold(connection: Connection) -> None:
    """Until the transaction ends, no projector writes; those that are at it have finished. Others go on reading."""
    with translated():
        connection.execute(_SQL["hold"])


def take_place(connection: Connection) -> None:
    """In the transaction of `hold`: the tables in NEXT serve from its end on. The former ones are put aside."""
    with translated():
        connection.execute(_SQL["take_place"])
        for definition in connection.execute(_SQL["functions"]).fetchall():
            connection.execute(str(definition[0]).replace(f"{NEXT}.", "rm."))


def differences(connection: Connection) -> dict[str, tuple[int, list[str]]]:
    """By table: how many rows are in one of `rm` and CHECK alone, and the first of them, `+` for what only CHECK has.

    Tables that are the same are left out. Raises ReadModelError.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    with translated():
        for (table,) in connection.execute(_SQL["tables"]).fetchall():
            names = {"ours": Identifier("rm", table), "theirs": Identifier(CHECK, table), "shown": SHOWN}
            text = SQL(_SQL["compare"].decode()).format(**names)
            rows = connection.execute(text).fetchall()
            if rows:
                found[table] = (rows[0][0], [f"{sign} {row}" for _, sign, row in rows])
    return found
