"""Bring a schema to the version that this code knows. Who comes second waits, and finds it done."""

from typing import NamedTuple

from psycopg.sql import SQL, Identifier

from readmodel.connection import Connection, ReadModelError, translated
from readmodel.sql import steps_in

LOCK = 0x726D5F6D  # any number that nobody else locks


class NewerReadModel(ReadModelError):
    """The tables were made by newer code."""


class Schema(NamedTuple):
    """A schema of tables: its name in Postgres, the folder of its migrations, what it is called in errors."""

    name: str
    folder: str
    about: str


READ_MODEL = Schema("rm", "migrations", "read model")
REGISTRY = Schema("api", "registry_migrations", "API's registry")


def migrate(connection: Connection, schema: Schema = READ_MODEL) -> int:
    """Apply what is missing, all in one transaction, under a lock; the version it is at then.

    Raises NewerReadModel if the tables are of a version that this code does not know.
    """
    versions, name = Identifier(schema.name, "migrations"), Identifier(schema.name)
    with translated(), connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(SQL("create schema if not exists {}").format(name))
        connection.execute(SQL("create table if not exists {} (version integer primary key)").format(versions))
        present = _version(connection, versions)
        steps = steps_in(schema.folder)
        known = steps[-1][0]
        if present > known:
            raise NewerReadModel(
                f"the {schema.about} is of version {present}, this code knows {known}: upgrade crunch-reuse"
            )
        for version, text in steps:
            if version > present:
                connection.execute(text)
                connection.execute(SQL("insert into {} (version) values (%s)").format(versions), (version,))
    return known


def drop(connection: Connection) -> None:
    """Remove the whole read model: everything in it can be made again from the log."""
    with translated(), connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute("drop schema if exists rm cascade")


def _version(connection: Connection, versions: Identifier) -> int:
    row = connection.execute(SQL("select coalesce(max(version), 0) from {}").format(versions)).fetchone()
    assert row is not None
    return int(row[0])
