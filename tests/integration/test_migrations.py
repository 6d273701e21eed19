"""The layouts of the tables: whichever version they are of, and whoever comes when, they become the present one."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from gateway.api.errors import translated
from readmodel import migrate as migrating
from readmodel import registry
from readmodel.connection import Connection, ReadModelError, ReadModelMissing, connect
from readmodel.migrate import LOCK, READ_MODEL, REGISTRY, NewerReadModel, Schema, migrate
from readmodel.sql import steps_in

BOTH = pytest.mark.parametrize("schema", [READ_MODEL, REGISTRY], ids=lambda schema: schema.name)
CATALOGUE = """
select 'column', table_name, column_name, data_type, is_nullable, column_default, generation_expression
from information_schema.columns where table_schema = %(schema)s
union all select 'index', tablename, indexname, indexdef, '', '', '' from pg_indexes where schemaname = %(schema)s
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
from pg_constraint where connamespace = %(schema)s::regnamespace and contype <> 'n'
union all select 'function', proname, pg_get_functiondef(oid), '', '', '', ''
from pg_proc where pronamespace = %(schema)s::regnamespace
union all select 'trigger', tgrelid::regclass::text, pg_get_triggerdef(t.oid), '', '', '', ''
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where relnamespace = %(schema)s::regnamespace and not tgisinternal
order by 1, 2, 3, 4
"""
SOON = 60.0  # seconds in which what is due must have come


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    with closing(connect(dsn)) as connection:
        for schema in (READ_MODEL, REGISTRY):
            drop(connection, schema)
        yield connection


def drop(connection: Connection, schema: Schema) -> None:
    connection.execute(f"drop schema if exists {schema.name} cascade".encode())


def catalogue(connection: Connection, schema: Schema) -> list[Any]:
    return connection.execute(CATALOGUE.encode(), {"schema": schema.name}).fetchall()


def versions(connection: Connection, schema: Schema) -> list[int]:
    return [row[0] for row in connection.execute(f"select version from {schema.name}.migrations order by 1".encode())]


def known(schema: Schema) -> list[int]:
    return [version for version, _ in steps_in(schema.folder)]


@BOTH
def test_steps_follow_one_another(schema: Schema) -> None:
    assert known(schema) == list(range(1, len(known(schema)) + 1))


@BOTH
def test_from_each_earlier_version_the_tables_become_those_that_are_made_at_once(
    connection: Connection, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(connection, schema)
    wanted, steps = catalogue(connection, schema), steps_in(schema.folder)
    assert len(wanted) > 20
    for version in range(1, len(steps)):
        drop(connection, schema)
        with monkeypatch.context() as patched:
            patched.setattr(migrating, "steps_in", lambda _folder, until=version: steps[:until])
            assert migrate(connection, schema) == version
        assert migrate(connection, schema) == len(steps)
        assert catalogue(connection, schema) == wanted, f"from version {version}"


@BOTH
def test_several_that_start_at_once_migrate_once(dsn: str, connection: Connection, schema: Schema) -> None:
    ready = threading.Barrier(6)

    def start() -> int:
        with closing(connect(dsn)) as own:
            ready.wait(SOON)
            return migrate(own, schema)

    with ThreadPoolExecutor(6) as pool:
        found = [future.result() for future in [pool.submit(start) for _ in range(6)]]
    assert set(found) == {len(known(schema))}
    assert versions(connection, schema) == known(schema)


def test_who_is_killed_with_the_lock_holds_up_nobody(dsn: str, connection: Connection) -> None:
    victim = connect(dsn)
    victim.execute("begin")
    victim.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    victim.execute("create schema rm")
    pid = victim.info.backend_pid
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: migrate(connection))
        with closing(connect(dsn)) as operator:
            operator.execute("select pg_terminate_backend(%s)", (pid,))
        assert waiting.result(SOON) == len(known(READ_MODEL))
    victim.close()


def test_a_step_that_fails_leaves_everything_as_it_was(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = steps_in(READ_MODEL.folder)
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "steps_in", lambda _folder: steps[:3])
        migrate(connection)
    before = catalogue(connection, READ_MODEL)
    broken = [*steps, (len(steps) + 1, b"select nothing from nowhere")]
    monkeypatch.setattr(migrating, "steps_in", lambda _folder: broken)
    with pytest.raises(ReadModelError):
        migrate(connection)
    assert catalogue(connection, READ_MODEL) == before
    assert versions(connection, READ_MODEL) == [1, 2, 3]


@BOTH
def test_tables_of_newer_code_are_left_alone(connection: Connection, schema: Schema) -> None:
    migrate(connection, schema)
    newer = len(known(schema)) + 1
    connection.execute(f"insert into {schema.name}.migrations (version) values ({newer})".encode())
    with pytest.raises(NewerReadModel, match=f"is of version {newer}, this code knows {newer - 1}: upgrade"):
        migrate(connection, schema)


def test_before_a_projector_has_made_the_tables_the_api_asks_to_come_again(connection: Connection) -> None:
    migrate(connection, REGISTRY)
    with pytest.raises(ReadModelMissing, match=r"^the read model is not there: .*; a projector makes it") as missing:
        registry.token_shown(connection, "secret", "log")
    told = translated(missing.value)
    assert told is not None
    assert (told.status, str(told)) == (503, "the read model is not there yet: its projector has not begun")
    migrate(connection)
    registry.token_shown(connection, "secret", "log")
