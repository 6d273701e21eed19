"""Connections to the read model's Postgres, and the one place where a driver's error becomes ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.string import StrDumper

Connection = psycopg.Connection[tuple[Any, ...]]
APPLICATION = "crunch-reuse readmodel"


class ReadModelError(Exception):
    """The read model can't do it; one line for people that says what to do."""


class ReadModelUnreachable(ReadModelError):
    """Postgres can't be reached or went away."""


class _TextDumper(StrDumper):
    """Text as Postgres can hold it: JSON knows the character NUL, Postgres does not."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def connect(dsn: str) -> Connection:
    """A connection in autocommit mode. Raises ReadModelUnreachable."""
    with translated():
        connection = psycopg.connect(dsn, autocommit=True, application_name=APPLICATION)
    connection.adapters.register_dumper(str, _TextDumper)
    return connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ReadModelUnreachable where Postgres went away, else into ReadModelError."""
    try:
        yield
    except psycopg.Error as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            raise ReadModelUnreachable(f"Postgres does not answer: {line}; start it, or correct its DSN") from error
        raise ReadModelError(f"the read model's tables are not as expected: {line}; rebuild it from the log") from error
