"""The rows of a schema, table by table, to compare what two projections made."""

from typing import Any

import psycopg


def dump(connection: psycopg.Connection[Any], schema: str = "rm") -> dict[str, list[Any]]:
    """Every row of every table, in order of its text."""
    tables = connection.execute(
        "select table_name from information_schema.tables"
        " where table_schema = %s and table_type = 'BASE TABLE' order by table_name",
        (schema,),
    ).fetchall()
    return {
        name: connection.execute(f"select t.* from {schema}.{name} t order by t::text").fetchall() for (name,) in tables
    }
