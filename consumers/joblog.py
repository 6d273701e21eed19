"""A job's own log as a collection, as Crunch v1 keeps it: one file, `UUID.log.txt`.

First what became of the job and its tasks, line by line; then what each task wrote, in tree order, under a heading.
What they wrote is not read for it: their logs are in the store, and the file is made of the same blocks. Whoever may
read the job may read its log, so it names nothing that is not the job's owner's.
"""

import datetime

from readmodel.connection import Connection
from readmodel.rows import Assembling, Left
from readmodel.story import told_to_all
from store.collections import CollectionStore
from store.errors import BlockCorrupt, BlockMissing, ManifestInvalid
from store.manifest import File, ManifestBuilder, Segment

BLOCK = 2**20  # bytes of headings and lines in a block of theirs, about


def save_job_log(store: CollectionStore, connection: Connection, job: Assembling, left: list[Left], last: str) -> str:
    """Save the log of a job whose tasks left this, in tree order; its portable data hash. `last`: the last line.

    Raises ReadModelError, StoreUnreachable, StoreFull.
    """
    file = _Writer(store)
    for line in told_to_all(connection, job.root, job.owner):
        file.say(f"{_time(line.said_at)} {job.root} {line.text}")
    file.say(f"{job.root} {last}")
    for task in left:
        if task.log:
            file.say(f"--- {task.task} wrote ---")
            file.put(_written(store, task.log))
    builder = ManifestBuilder()
    builder.add_file(f"{job.root}.log.txt", file.segments())
    return store.save_manifest(builder.manifest().text())


def _written(store: CollectionStore, log: str) -> File | str:
    try:
        return [segment for _, file in store.load(log).files() for segment in file]
    except (BlockMissing, BlockCorrupt, ManifestInvalid) as error:
        return f"(its log can't be read: {error})"


def _time(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).isoformat("T", "milliseconds")


class _Writer:
    """Lines of our own, gathered into blocks, between the segments of others."""

    def __init__(self, store: CollectionStore) -> None:
        self._store = store
        self._own = bytearray()
        self._parts: File = []
        self._first = 0  # part from which on those of our own have no locator yet

    def say(self, line: str) -> None:
        text = (" ".join(line.splitlines()) + "\n").encode()
        self._parts.append(Segment("", 0, len(self._own), len(text)))
        self._own += text
        if len(self._own) > BLOCK:
            self._close()

    def put(self, written: File | str) -> None:
        if isinstance(written, str):
            self.say(written)
        else:
            self._parts += written

    def segments(self) -> File:
        """All of it, our own lines in the store."""
        self._close()
        return self._parts

    def _close(self) -> None:
        locator, size = self._store.blocks.put(self._own), len(self._own)
        for index in range(self._first, len(self._parts)):
            if not self._parts[index].locator:
                self._parts[index] = self._parts[index]._replace(locator=locator, block_size=size)
        self._own, self._first = bytearray(), len(self._parts)
