"""Connections to the read model's Postgres, and the one place where a driver's error becomes ours."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.string import StrDumper

Connection = psycopg.Connection[tuple[Any, ...]]
APPLICATION = "crunch-reuse readmodel"
PAUSE = 0.1  # seconds between two attempts to connect
MISSING = ("3F000", "42P01")  # Postgres's codes for a schema and for a table

# What the statements rely on, whatever the server's or the role's defaults are.
SESSION = b"""
set default_transaction_isolation = 'read committed';
set default_transaction_read_only = off;
set statement_timeout = 0;
set lock_timeout = 0;
set jit = off
"""


class ReadModelError(Exception):
    """The read model can't do it; one line for people that says what to do."""


class ReadModelUnreachable(ReadModelError):
    """Postgres can't be reached or went away."""


class ReadModelMissing(ReadModelError):
    """Tables are not there: no projector has made them yet, or one of another release has."""


class ReadModelConflict(ReadModelError):
    """Another writer was in the way, and nothing of the transaction was done: to be tried again."""


class _TextDumper(StrDumper):
    """Text as Postgres can hold it: JSON knows the character NUL, Postgres does not."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def connect(dsn: str) -> Connection:
    """A connection in autocommit mode. Raises ReadModelUnreachable."""
    with translated():
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10, application_name=APPLICATION)
        configure(connection)
    return connection


def configure(connection: Connection) -> None:
    """Make a fresh connection what the statements rely on. Raises the driver's errors."""
    connection.execute(SESSION)
    connection.adapters.register_dumper(str, _TextDumper)


def reconnect(dsn: str, patience: float) -> Connection:
    """A connection to a server that may be back within `patience` seconds. Raises ReadModelUnreachable."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return connect(dsn)
        except ReadModelUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ReadModelUnreachable where Postgres went away, else into ReadModelError."""
    try:
        yield
    except psycopg.Error as error:
        raise _ours(error) from error


def _ours(error: psycopg.Error) -> ReadModelError:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    state = error.sqlstate or ""
    is_connection = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if is_connection and (not state or state[:2] in ("08", "57")):
        return ReadModelUnreachable(f"Postgres does not answer: {line}; start it, or correct its DSN")
    if state[:2] == "40":
        return ReadModelConflict(f"another writer of the read model was in the way: {line}; try again")
    if state in MISSING:
        remedy = "a projector makes it (crunch-reuse projector), and anew from the log (projector rebuild)"
        return ReadModelMissing(f"the read model is not there: {line}; {remedy}")
    if state[:2] in ("3F", "42"):
        return ReadModelError(f"the read model's tables are not as expected: {line}; rebuild it from the log")
    return ReadModelError(f"the read model's Postgres refuses: {line}")
