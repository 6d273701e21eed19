"""`store gc` where collections are named that are not there: what was lost stops it, what never was here does not."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.projector import Projector
from gateway import storekeeping
from gateway.session import Session
from readmodel import registry
from readmodel.connection import Connection, connect
from readmodel.migrate import migrate
from readmodel.references import undisturbed
from store.blocks import BlockStore
from store.words import Words
from streams.admin import create_topics
from streams.postgres import PostgresLog

NOWHERE = "a" * 32 + "+50"
Collect = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """To the database of a machine that has done nothing yet."""
    with closing(PostgresLog(dsn)) as log, closing(connect(dsn)) as connection:
        create_topics(log)
        registry.prepare(connection)
        migrate(connection)
        with closing(Projector(log, dsn)) as projector:
            projector.catch_up()
        yield connection


@pytest.fixture
def session(tmp_path: Path, dsn: str) -> Session:
    return Session(None, {"data.dir": str(tmp_path / "data"), "postgres.dsn": dsn}, as_json=True)


@pytest.fixture
def blocks(session: Session) -> BlockStore:
    return BlockStore.create(session.folders.store)


@pytest.fixture
def collect(session: Session, connection: Connection, capsysbinary: pytest.CaptureFixture[bytes]) -> Collect:
    """Run it without grace: its exit code, and what it said."""

    def run(*, dry_run: bool = False, force: bool = False) -> tuple[int, dict[str, Any]]:
        code = storekeeping.gc(session, grace=0.0, dry_run=dry_run, force=force)
        return code, json.loads(capsysbinary.readouterr().out)

    return run


def a_job_names(connection: Connection, content: str) -> None:
    spec = json.dumps({"task": {}, "parameters": {"reads": f"{content}/x"}})
    connection.execute("insert into rm.jobs (root, spec) values ('job', %s)", (spec,))


def a_job_has(connection: Connection, output: str) -> None:
    connection.execute("insert into rm.jobs (root, output) values ('done', %s)", (output,))


def test_what_never_was_here_is_told_and_holds_up_nothing(
    connection: Connection, blocks: BlockStore, collect: Collect
) -> None:
    a_job_names(connection, NOWHERE)
    waste = blocks.put(b"waste")
    code, looked = collect(dry_run=True)
    assert (code, looked["unknown"], looked["missing"], looked["aside"]) == (0, [NOWHERE], [], 1)
    assert blocks.exists(waste)
    code, done = collect()
    assert (code, done["unknown"], done["missing"], done["aside"]) == (0, [NOWHERE], [], 1)
    assert not blocks.exists(waste)


def test_what_was_lost_stops_it_until_that_is_insisted_on(
    connection: Connection, blocks: BlockStore, collect: Collect
) -> None:
    a_job_names(connection, NOWHERE)
    a_job_has(connection, NOWHERE)
    waste = blocks.put(b"waste")
    code, refused = collect()
    assert (code, refused["missing"], refused["unknown"], refused["aside"]) == (1, [NOWHERE], [], 0)
    assert blocks.exists(waste)
    assert collect(dry_run=True)[0] == 1
    code, forced = collect(force=True)
    assert (code, forced["missing"], forced["aside"]) == (0, [NOWHERE], 1)
    assert not blocks.exists(waste)


def test_what_is_missed_when_it_has_looked_is_put_back(
    connection: Connection, blocks: BlockStore, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waste = blocks.put(b"waste")
    referenced = storekeeping.referenced
    looks = iter(["first"])

    def then_a_job_ends(rows: Connection) -> dict[str, bool]:
        if next(looks, None) is None:
            a_job_has(connection, NOWHERE)
        return referenced(rows)

    monkeypatch.setattr(storekeeping, "referenced", then_a_job_ends)
    code, refused = collect()
    assert (code, refused["missing"]) == (1, [NOWHERE])
    assert blocks.exists(waste)


def test_words_of_tasks_whose_executors_never_came_back_are_swept(blocks: BlockStore, collect: Collect) -> None:
    said = Words(total=4, end=b"said")
    blocks.words.put("one", said)
    assert (collect(dry_run=True)[0], blocks.words.get("one")) == (0, said)
    assert (collect()[0], blocks.words.get("one")) == (0, None)


def test_to_look_waits_for_nobody(blocks: BlockStore, collect: Collect, dsn: str) -> None:
    blocks.put(b"waste")
    with undisturbed(dsn, "copy", lambda: pytest.fail("nobody else is at it")):
        assert collect(dry_run=True)[1]["aside"] == 1
