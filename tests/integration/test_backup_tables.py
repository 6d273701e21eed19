"""What of a log's database comes into a backup, and whose backup a folder is."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from gateway.backup import bring, contents, save
from gateway.backup.tables import Table, load
from gateway.problems import Refused
from gateway.session import Session
from readmodel.connection import connect
from schemas.topics import Topic
from store.blocks import BlockStore
from streams.admin import create_topics
from streams.log import Append, Place
from streams.postgres import PostgresLog

WORK = Place(Topic.WORK, 0)
STATE = "claims-0/1.state"


def machine(folder: Path, dsn: str) -> Session:
    """One whose log has a record with a trace beside it."""
    session = Session(None, {"data.dir": str(folder), "postgres.dsn": dsn})
    BlockStore.create(session.folders.store)
    with closing(PostgresLog(dsn)) as log:
        create_topics(log)
        log.append_beside([Append(WORK, "key", b"value")], ["trace"])
    return session


def keep(session: Session, state: bytes) -> None:
    place = session.folders.checkpoints / STATE
    place.parent.mkdir(parents=True)
    place.write_bytes(state)


def emptied(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("drop schema log, api cascade")


def test_what_stands_beside_the_log_for_traces_is_not_in_a_backup(dsn: str, tmp_path: Path) -> None:
    save.run(machine(tmp_path / "one", dsn), tmp_path / "saved")
    emptied(dsn)
    bring.run(Session(None, {"data.dir": str(tmp_path / "two"), "postgres.dsn": dsn}), tmp_path / "saved")
    with closing(PostgresLog(dsn)) as log:
        records, texts = log.read_beside(WORK, 1, 10)
    assert ([record.value for record in records], texts) == ([b"value"], {})


def test_a_backup_that_has_it_is_brought_back_without(dsn: str, tmp_path: Path) -> None:
    with closing(connect(dsn)) as connection:
        load(connection, [Table("log", "beside", ("carried",), 0, "")], tmp_path)


def test_a_folder_with_another_log_is_left_as_it_is(dsn: str, tmp_path: Path) -> None:
    first = machine(tmp_path / "one", dsn)
    keep(first, b"first")
    save.run(first, tmp_path / "saved")
    emptied(dsn)
    second = machine(tmp_path / "two", dsn)
    keep(second, b"second")
    with pytest.raises(Refused, match="holds the backup of another log"):
        save.run(second, tmp_path / "saved")
    assert (tmp_path / "saved" / contents.STATES / STATE).read_bytes() == b"first"
    assert contents.read_manifest(tmp_path / "saved").log
