"""Bring the schema `rm` to the version that this code knows. Who comes second waits, and finds it done."""

from readmodel.connection import Connection, ReadModelError, translated
from readmodel.sql import migrations

LOCK = 0x726D5F6D  # any number that nobody else locks


class NewerReadModel(ReadModelError):
    """The tables were made by newer code."""


def migrate(connection: Connection) -> int:
    """Apply what is missing, all in one transaction, under a lock; the version it is at then.

    Raises NewerReadModel if the tables are of a version that this code does not know.
    """
    with translated(), connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute("create schema if not exists rm")
        connection.execute("create table if not exists rm.migrations (version integer primary key)")
        present = _version(connection)
        steps = migrations()
        known = steps[-1][0]
        if present > known:
            raise NewerReadModel(
                f"the read model is of version {present}, this code knows {known}: upgrade crunch-reuse"
            )
        for version, text in steps:
            if version > present:
                connection.execute(text)
                connection.execute("insert into rm.migrations (version) values (%s)", (version,))
    return known


def drop(connection: Connection) -> None:
    """Remove the whole read model: everything in it can be made again from the log."""
    with translated(), connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute("drop schema if exists rm cascade")


def _version(connection: Connection) -> int:
    row = connection.execute("select coalesce(max(version), 0) from rm.migrations").fetchone()
    assert row is not None
    return int(row[0])
