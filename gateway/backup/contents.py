"""What is in a backup's folder, and how files come into it and out of it.

    backup.json        what there is; a line with the SHA-256 of the rest, then JSON
    database/          tables of the schemas log and api
    log/               instead of the former, an archive of the log, where that is in Kafka
    states/            states of the machines, where the log was trimmed
    store/             blocks, each named by its content: a second backup into the folder copies what is new
    api/               certificate, key, token of who runs `up`

All of it is private: whoever can read it can do what everybody's tokens can.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5, sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.backup.tables import DamagedBackup, Table
from gateway.problems import Problem, Refused
from store.blocks import BlockStore
from store.folder import MARKER
from store.shelves import CHUNK_BYTES
from streams.durable import write_whole

MANIFEST = "backup.json"
LAYOUT = 1
DATABASE, LOG, STATES, STORE, SECRETS = "database", "log", "states", "store", "api"


class Manifest(msgspec.Struct, kw_only=True):
    """`made_at`: ms since 1970. `log`: name of the log. `versions`: of the tables' layouts, by schema.

    `tables`: of the database. `blocks`, `block_bytes`: in the store. `in_kafka`: the log is an archive.
    """

    layout: int = LAYOUT
    made_at: int
    log: str
    in_kafka: bool
    versions: dict[str, int]
    tables: list[Table]
    blocks: int = 0
    block_bytes: int = 0


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Say that the backup is whole: written last."""
    body = msgspec.json.encode(manifest)
    write_whole(folder / MANIFEST, sha256(body).hexdigest().encode() + b"\n" + body)


def read_manifest(folder: Path) -> Manifest:
    """What the folder holds. Refused where it holds no whole backup of a layout that this code knows."""
    try:
        digest, _, body = (folder / MANIFEST).read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise Refused(f"{folder} holds no backup, or one that was not finished: it has no {MANIFEST}") from None
    if digest != sha256(body).hexdigest().encode():
        raise DamagedBackup(f"{folder / MANIFEST} is not what was written: take the backup from another copy")
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise Refused(f"{folder / MANIFEST} is not known here ({error}): use the release that made it") from error
    if manifest.layout != LAYOUT:
        raise Refused(f"{folder}: layout {manifest.layout} is not known here: use the release that made it")
    return manifest


@contextmanager
def on_disk(folder: Path, remedy: str) -> Iterator[None]:
    """Say of what the disk refuses which folder it is about, and what to do. Raises Problem."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise Problem(f"{place}: {error.strerror or error}: {remedy}") from error


def copy_folder(source: Path, target: Path) -> None:
    """Copy all files, readable by us alone; nothing where there is no source. One that its owner removes meanwhile
    (a newer state took its place) is left out."""
    if not source.is_dir():
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copied = target / path.relative_to(source)
            copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _copy(path, copied)
            except FileNotFoundError:
                if path.exists():
                    raise
            else:
                copied.chmod(0o600)


def count_store(root: Path) -> tuple[int, int]:
    """How many blocks a store holds, and their bytes. Raises StoreUnreachable."""
    count = size = 0
    for block in BlockStore(root).blocks():
        count, size = count + 1, size + block.size
    return count, size


def copy_store(source: Path, target: Path) -> tuple[int, int]:
    """Copy the blocks that are not there yet, and the marker; how many the target holds then, and their bytes.

    It may hold more than the source, which had blocks collected since an earlier copy. Each that is copied is compared
    with its name: DamagedBackup. StoreUnreachable where `source` is no store.
    """
    BlockStore.create(target)
    for block in BlockStore(source).blocks():
        name = block.locator.partition("+")[0]
        place = target / name[:3] / name
        if not place.exists() or place.stat().st_size != block.size:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            with (source / name[:3] / name).open("rb") as content:
                _copy_block(content, place)
    shutil.copyfile(source / MARKER, target / MARKER)
    return count_store(target)


def _copy_block(content: BinaryIO, target: Path) -> None:
    digest = md5(usedforsecurity=False)
    draft = target.with_name(f"{target.name}.new")
    with draft.open("wb") as copy:
        while data := content.read(CHUNK_BYTES):
            digest.update(data)
            copy.write(data)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != target.name:
        draft.unlink()
        raise DamagedBackup(f"{content.name} is not the content that it is named by: store check names all such blocks")
    draft.chmod(0o444)
    draft.replace(target)


def _copy(source: Path, target: Path) -> None:
    draft = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, draft)
    draft.replace(target)
