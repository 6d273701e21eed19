"""`get`: what a job or task left, from the store; and what a task says while it runs."""

from collections.abc import Iterator
from pathlib import Path

from gateway.client import Client
from gateway.folders import Folders
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries
from readmodel.rows import Job, Task
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.locator import EMPTY_BLOCK, is_portable_data_hash
from store.words import Words, name_of

CHUNK = 1024 * 1024
OURS = "crunch-reuse: "  # how lines begin that the executor adds to a log
TAIL = 4096  # bytes of a log that are looked at for its last lines


def store_of(folders: Folders) -> CollectionStore:
    """The store of this data folder, made if need be; the shared one, which `store create` makes; or one elsewhere."""
    if not folders.remote_store:
        return CollectionStore(blocks_of(folders))
    from store.keep import KeepBlocks  # what it needs loads slowly, and few need it

    return CollectionStore(KeepBlocks(folders.remote_store.cluster()))


def require_folder(folders: Folders) -> None:
    """Refused where the store is elsewhere."""
    if folders.remote_store:
        raise Refused("store.url: who serves content has it in a folder: leave store.url empty there")


def blocks_of(folders: Folders) -> BlockStore:
    """The store's folder. Refused where the store is elsewhere."""
    require_folder(folders)
    shared = folders.shared_store
    return BlockStore(shared) if shared else BlockStore.create(folders.store)


def get(session: Session, as_user: str | None, what: str, folder: Path) -> None:
    """Write the output of a job or task, or a collection given by its portable data hash, into `folder`, made new."""
    pdh = what if is_portable_data_hash(what) else _output_of(session, as_user, what)
    if folder.exists():
        raise Refused(f"{folder} is there already: name a folder that is not")
    written = store_of(session.folders).extract(pdh, folder)
    if session.as_json:
        session.result({"output": pdh, "folder": str(folder), "bytes": written})
    session.say(f"{written} bytes are in {folder}")


def last_words(folders: Folders, task: Task) -> str:
    """The last line that a task wrote itself; empty if there is none."""
    if not task.log:
        return ""
    end = b""
    for chunk in chunks_of(store_of(folders), task.log):
        end = (end + chunk)[-TAIL:]
    lines = [line for line in end.decode(errors="replace").splitlines() if line.strip() and not line.startswith(OURS)]
    return lines[-1] if lines else ""


def said_so_far(store: CollectionStore, task: Task) -> Words | None:
    """The words of a task that runs, under the token that counts; None: there are none, or nobody can see them."""
    if task.state != "running" or task.log or not task.token:
        return None
    return store.blocks.words.get(name_of(task.token))


def has_content(pdh: str) -> bool:
    """Whether it names a collection that holds anything."""
    return pdh not in ("", EMPTY_BLOCK)


def chunks_of(store: CollectionStore, pdh: str) -> Iterator[bytes]:
    """All that the files of a collection hold, one after the other."""
    for entry in store.files(pdh):
        with store.open(pdh, entry.path) as file:
            while chunk := file.read(CHUNK):
                yield chunk


def _output_of(session: Session, as_user: str | None, uuid: str) -> str:
    with Client(session) as client:
        user = client.user(as_user)
        found: Job | Task | None = queries.job(client.rows, user.uuid, uuid)
        found = found or queries.task(client.rows, user.uuid, uuid)
    if found is None or not found.output:
        raise Refused(f"{uuid}: {'it has no output yet' if found else f'{user.name} sees no such job or task'}")
    return found.output
