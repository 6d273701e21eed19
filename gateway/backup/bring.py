"""`restore`: a machine is made of a backup: an empty data folder, and Postgres tables that are empty too.

The log is written in one transaction and last of all: a restore that is interrupted leaves a folder that `up` refuses,
and is begun again with the folder removed.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from gateway import runtime
from gateway.backup import contents
from gateway.backup.save import SCHEMAS, versions_of
from gateway.backup.tables import DamagedBackup, load
from gateway.folders import Folders
from gateway.problems import Refused
from gateway.session import Session
from readmodel import registry
from readmodel.connection import connect, translated
from streams.embedded import EmbeddedPostgres
from streams.postgres import PostgresLog


class Restored(msgspec.Struct, kw_only=True):
    """What was brought back."""

    log: str
    made_at: int
    tables: int
    blocks: int
    block_bytes: int


def run(session: Session, folder: Path) -> None:
    """Make a machine of the backup."""
    manifest = contents.read_manifest(folder)
    if manifest.in_kafka:
        raise Refused(f"{folder}: its log is in Kafka, and this restores into Postgres alone")
    folders = session.folders
    _require_empty(folders)
    folders.create()
    with runtime.sole_owner(folders):
        folders.unfinished.touch()
        blocks, size = contents.copy_store(folder / contents.STORE, folders.store)
        _require_all(folder, manifest, blocks, size)
        contents.copy_folder(folder / contents.STATES, folders.checkpoints)
        contents.copy_folder(folder / contents.SECRETS, folders.api)
        with _database(session) as dsn:
            _fill(dsn, folder, manifest)
        folders.unfinished.unlink()
    done = Restored(
        log=manifest.log, made_at=manifest.made_at, tables=len(manifest.tables), blocks=blocks, block_bytes=size
    )
    if session.as_json:
        session.result(done)
    session.say(
        f"{folders.data} has the log, {blocks} blocks ({size} bytes) and the secrets; start it with up, and look with"
        " audit verify whether all is right. The machine that it was made of must not run any more"
    )


def _require_empty(folders: Folders) -> None:
    if folders.data.is_dir() and any(folders.data.iterdir()):
        raise Refused(f"data folder {folders.data} is not empty: name another with --data-dir, or remove it")


def _require_all(folder: Path, manifest: contents.Manifest, blocks: int, size: int) -> None:
    if (blocks, size) != (manifest.blocks, manifest.block_bytes):
        told = f"{blocks} blocks with {size} bytes, not {manifest.blocks} with {manifest.block_bytes}"
        raise DamagedBackup(f"{folder / contents.STORE} holds {told}: take the backup from another copy")


@contextmanager
def _database(session: Session) -> Iterator[str]:
    """The configured Postgres, or our own, which ends with this."""
    if session.config.postgres.dsn:
        yield session.config.postgres.dsn
        return
    with EmbeddedPostgres(session.folders.data) as dsn:
        yield dsn


def _fill(dsn: str, folder: Path, manifest: contents.Manifest) -> None:
    with closing(PostgresLog(dsn)) as log:
        log.create({})
    with connect(dsn) as connection, translated():
        registry.prepare(connection)
        known = versions_of(connection, SCHEMAS)
        for schema, version in manifest.versions.items():
            if version > known[schema]:
                raise Refused(f"the backup was made by a newer release ({schema} {version}): upgrade crunch-reuse")
        with connection.transaction():
            [[partitions]] = connection.execute("select count(*) from log.partitions")
            if partitions:
                raise Refused("postgres: this database has a log already: name an empty one")
            load(connection, manifest.tables, folder / contents.DATABASE)
