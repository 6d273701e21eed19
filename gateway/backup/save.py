"""`backup`: log, store and secrets into a folder, also while everything runs.

What is saved is one moment: log, floors and what the API keeps are read in one snapshot of Postgres; a log in Kafka is
cut where it is a log by itself. The store is copied after it, and nothing is collected there meanwhile, so that it
holds all that the log speaks of; the machines' states are copied before it, so that none is ahead.
"""

import time
from contextlib import AbstractContextManager, closing
from pathlib import Path

import msgspec

from gateway import reach
from gateway.backup import contents
from gateway.backup.tables import Table, dump
from gateway.content import require_folder
from gateway.problems import Refused
from gateway.reach import Reach
from gateway.session import Session
from readmodel import registry
from readmodel.connection import Connection, connect, translated
from readmodel.references import undisturbed
from streams import lockfile
from streams.archiving import archive
from streams.kept import kept_in_folder
from streams.lockfile import take

SCHEMAS = ("log", "api")


class Saved(msgspec.Struct, kw_only=True):
    """What a backup holds. `rows_bytes`: of the database's tables. `records`: that this backup added to an archive."""

    folder: str
    log: str
    tables: int
    rows_bytes: int
    records: int
    blocks: int
    block_bytes: int


def run(session: Session, folder: Path) -> None:
    """Make a backup, or bring the one in the folder up to date."""
    require_folder(session.folders)
    found = reach.find(session)
    with contents.on_disk(folder, "put that right, and do it again: until then there is no whole backup in the folder"):
        _prepare(folder)
        with take(folder, "wait until it is done, or name another folder"), _undisturbed(session, found):
            manifest, records = _save(session, found, folder)
    _tell(session, folder, manifest, records)


def _undisturbed(session: Session, found: Reach) -> AbstractContextManager[None]:
    """What the log names by now is in the store until it is copied."""
    return undisturbed(found.dsn, "copy", lambda: session.note("store gc is at work: waiting for its end"))


def _save(session: Session, found: Reach, folder: Path) -> tuple[contents.Manifest, int]:
    """Write all; what was written, and how many records went into an archive."""
    in_kafka = bool(found.config.kafka.servers)
    with closing(reach.open_log(found.config, found.dsn)) as log:
        identity = reach.store_identity(log)
        _require_same(folder, identity)
        contents.copy_folder(session.folders.checkpoints, folder / contents.STATES)
        states = kept_in_folder(folder / contents.STATES)
        records = archive(log, folder / contents.LOG, states).records if in_kafka else 0
    tables, versions = _database(found, folder / contents.DATABASE, ("api",) if in_kafka else SCHEMAS)
    blocks, size = contents.copy_store(session.folders.store, folder / contents.STORE)
    contents.copy_folder(session.folders.api, folder / contents.SECRETS)
    manifest = contents.Manifest(
        made_at=time.time_ns() // 1_000_000,
        log=identity,
        in_kafka=in_kafka,
        versions=versions,
        tables=tables,
        blocks=blocks,
        block_bytes=size,
    )
    contents.write_manifest(folder, manifest)
    return manifest, records


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = {contents.DATABASE, contents.LOG, contents.STATES, contents.STORE, contents.SECRETS}
    known = parts | {contents.MANIFEST, lockfile.NAME}
    if any(path.name not in known for path in folder.iterdir()):
        raise Refused(f"{folder} is not empty and holds no backup: name another folder")
    folder.chmod(0o700)
    (folder / contents.DATABASE).mkdir(mode=0o700, exist_ok=True)


def _require_same(folder: Path, identity: str) -> None:
    if (folder / contents.MANIFEST).exists():
        present = contents.read_manifest(folder)
        if present.log != identity:
            raise Refused(f"{folder} holds the backup of another log: name another folder")
        (folder / contents.MANIFEST).unlink()  # until it is whole again


def _database(found: Reach, folder: Path, schemas: tuple[str, ...]) -> tuple[list[Table], dict[str, int]]:
    """The tables of one moment, and the versions of their layouts."""
    with connect(found.dsn) as connection, translated():
        registry.prepare(connection)
        connection.execute("begin transaction isolation level repeatable read read only")
        tables = [table for schema in schemas for table in dump(connection, schema, folder)]
        return tables, versions_of(connection, schemas)


def versions_of(connection: Connection, schemas: tuple[str, ...]) -> dict[str, int]:
    """The version of each schema's layout."""
    statements = {"log": "select max(version) from log.layout", "api": "select max(version) from api.migrations"}
    found: dict[str, int] = {}
    for schema in schemas:
        [[version]] = connection.execute(statements[schema].encode())
        found[schema] = int(version)
    return found


def _tell(session: Session, folder: Path, manifest: contents.Manifest, records: int) -> None:
    saved = Saved(
        folder=str(folder),
        log=manifest.log,
        tables=len(manifest.tables),
        rows_bytes=sum(table.bytes for table in manifest.tables),
        records=records,
        blocks=manifest.blocks,
        block_bytes=manifest.block_bytes,
    )
    if session.as_json:
        session.result(saved)
    session.say(
        f"{folder} holds the log, {saved.blocks} blocks ({saved.block_bytes} bytes) and the secrets: keep it private;"
        f" a machine is made of it with: restore {folder}"
    )
