"""A real Postgres for tests: one server for the session, a database for each test."""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from streams.embedded import EmbeddedPostgres

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """DSN of a fresh server's own database.

    Not below pytest's own folder: as root the server runs as another user, and each start of pytest closes that folder
    to others.
    """
    prefix = "crunch-reuse-postgres-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, EmbeddedPostgres(Path(folder)) as dsn:
        yield dsn


@pytest.fixture
def dsn(postgres_server: str) -> Iterator[str]:
    """DSN of an empty database of this test's own."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        yield psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
        connection.execute(f'drop database "{name}" with (force)')
