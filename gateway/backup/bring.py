"""`restore`: a machine is made of a backup: an empty data folder, empty Postgres tables, and no topics in Kafka.

What processes look at first is written last: tables in Postgres all at once, and topics in Kafka are refused until all
records are there. A restore that is interrupted leaves a folder that `up` refuses, and is begun again with the folder
removed.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from psycopg.sql import SQL, Identifier

from gateway import reach, runtime
from gateway.audit import telling
from gateway.backup import contents
from gateway.backup.save import versions_of
from gateway.backup.tables import DamagedBackup, load
from gateway.content import require_folder
from gateway.folders import Folders
from gateway.problems import Refused
from gateway.session import Session
from readmodel import registry
from readmodel.connection import Connection, connect, translated
from store.identity import claim
from streams.archive import ArchiveLog
from streams.postgres import PostgresLog


class Restored(msgspec.Struct, kw_only=True):
    """What was brought back. `records`: that were written into Kafka."""

    log: str
    made_at: int
    tables: int
    records: int
    blocks: int
    block_bytes: int


def run(session: Session, folder: Path) -> None:
    """Make a machine of the backup."""
    manifest = contents.read_manifest(folder)
    _require_fitting(session, folder, manifest)
    folders = session.folders
    _require_empty(folders)
    _require_all(folder, manifest)
    folders.create()
    with runtime.sole_owner(folders):
        folders.unfinished.touch()
        with contents.on_disk(folders.data, "put that right, remove the data folder, and do it again"):
            claim(folders.store, manifest.log)
            contents.copy_store(folder / contents.STORE, folders.store)
            contents.copy_folder(folder / contents.STATES, folders.checkpoints)
            contents.copy_folder(folder / contents.SECRETS, folders.api)
        with reach.database(session) as dsn:
            records = _fill(session, dsn, folder, manifest)
        folders.unfinished.unlink()
    _tell(session, manifest, records)


def registry_alone(session: Session, folder: Path) -> None:
    """Bring back what the API keeps, into a database without any of it; Kafka still has the log that it belongs to."""
    manifest = contents.read_manifest(folder)
    if not (manifest.in_kafka and session.config.kafka.servers and session.config.postgres.dsn):
        raise Refused(
            "--registry: for a log that is in Kafka still: name it with --kafka, and a database with --postgres"
        )
    with closing(reach.open_log(session.config, "")) as log:
        if reach.store_identity(log) != manifest.log:
            raise Refused(f"{folder} is the backup of another log: look at kafka.servers and kafka.prefix")
    with connect(session.config.postgres.dsn) as connection, translated():
        _load_tables(connection, folder, manifest)
    session.say(
        f"{len(manifest.tables)} tables are as they were when {folder} was made: start the projector and the API"
    )


def _tell(session: Session, manifest: contents.Manifest, records: int) -> None:
    done = Restored(
        log=manifest.log,
        made_at=manifest.made_at,
        tables=len(manifest.tables),
        records=records,
        blocks=manifest.blocks,
        block_bytes=manifest.block_bytes,
    )
    if session.as_json:
        session.result(done)
    place, folders = "Kafka" if manifest.in_kafka else session.folders.data, session.folders
    session.say(
        f"the log is in {place}, {done.blocks} blocks ({done.block_bytes} bytes) in {folders.store}, the secrets in"
        f" {folders.api}; start what is to run, and look with audit verify whether all is right. What it was"
        " made of must not run any more"
    )


def _require_fitting(session: Session, folder: Path, manifest: contents.Manifest) -> None:
    if manifest.in_kafka and not session.config.kafka.servers:
        raise Refused(f"{folder}: its log is in Kafka: name the brokers that are to have it, with --kafka HOST:PORT")
    if session.config.kafka.servers and not manifest.in_kafka:
        raise Refused(f"{folder}: its log is in Postgres, and is brought back there: leave out --kafka")
    require_folder(session.folders)


def _require_empty(folders: Folders) -> None:
    if folders.data.is_dir() and any(folders.data.iterdir()):
        raise Refused(f"data folder {folders.data} is not empty: name another with --data-dir, or remove it")


def _require_all(folder: Path, manifest: contents.Manifest) -> None:
    blocks, size = contents.count_store(folder / contents.STORE)
    if (blocks, size) != (manifest.blocks, manifest.block_bytes):
        told = f"{blocks} blocks with {size} bytes, not {manifest.blocks} with {manifest.block_bytes}"
        raise DamagedBackup(f"{folder / contents.STORE} holds {told}: take the backup from another copy")


def _fill(session: Session, dsn: str, folder: Path, manifest: contents.Manifest) -> int:
    """Tables and log; how many records went to Kafka. The tables are there when the log is."""
    if not manifest.in_kafka:
        with closing(PostgresLog(dsn)) as log:
            log.create({})
    with connect(dsn) as connection, translated():
        last = (lambda: _bring_topics(session, folder)) if manifest.in_kafka else (lambda: 0)
        return _load_tables(connection, folder, manifest, last)


def _load_tables(
    connection: Connection, folder: Path, manifest: contents.Manifest, last: Callable[[], int] = lambda: 0
) -> int:
    """Fill the tables, all at once and when `last` is done; what that returns."""
    registry.prepare(connection)
    known = versions_of(connection, tuple(manifest.versions))
    for schema, version in manifest.versions.items():
        if version > known[schema]:
            raise Refused(f"the backup was made by a newer release ({schema} {version}): upgrade crunch-reuse")
    with registry.alone(connection, "restore"):
        _require_empty_database(connection, manifest)
        load(connection, manifest.tables, folder / contents.DATABASE)
        return last()


def _bring_topics(session: Session, folder: Path) -> int:
    from streams.kafka_bringing import bring

    with telling(session) as progress:
        return bring(ArchiveLog(folder / contents.LOG), session.config.kafka.settings(reach.PATIENCE), progress)


def _require_empty_database(connection: Connection, manifest: contents.Manifest) -> None:
    [[present]] = connection.execute("select to_regnamespace('rm') is not null")
    for table in manifest.tables:
        found = connection.execute(SQL("select from {} limit 1").format(Identifier(table.schema, table.name)))
        present = present or found.fetchone() is not None
    if present:
        raise Refused("postgres: this database has a log, a read model or tokens already: name an empty one")
