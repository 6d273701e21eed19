"""Content on pages: the end of a log as text, the files of a collection, and files to download."""

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

import msgspec
from starlette.responses import StreamingResponse

from gateway.content import said_so_far
from gateway.plain import plain
from readmodel.rows import Task
from store.collections import CollectionStore
from store.errors import BlockMissing, StoreError
from store.locator import EMPTY_BLOCK
from store.manifest import File as StoredFile
from store.manifest import file_size

TAIL = 64 * 1024  # bytes of a log that a page shows
LISTED = 200  # files of a collection that a page lists
CHUNK = 1024 * 1024


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a collection. `size` in bytes."""

    path: str
    size: int


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A collection's first files. `trouble`: why they can't be listed, in words for people; empty: they are."""

    content: str
    files: tuple[File, ...] = ()
    more: int = 0
    trouble: str = ""


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """A path in two outputs: its bytes in each, null where it is not there, and whether it is the same."""

    path: str
    earlier: int | None
    later: int | None
    is_same: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two outputs file by file, what differs first. `trouble`: why they can't be compared."""

    files: tuple[Both, ...] = ()
    more: int = 0
    trouble: str = ""


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a text. `size`: bytes of the whole; `trouble`: why it can't be read."""

    text: str = ""
    size: int = 0
    is_whole: bool = True
    trouble: str = ""


def listed(store: CollectionStore, pdh: str) -> Listed:
    """What is in the collection, as far as that can be seen now."""
    if pdh in ("", EMPTY_BLOCK):
        return Listed(content=pdh)
    try:
        files = [File(path=one.path, size=one.size) for one in store.files(pdh)]
    except StoreError as error:
        return Listed(content=pdh, trouble=_trouble(error))
    return Listed(content=pdh, files=tuple(files[:LISTED]), more=max(len(files) - LISTED, 0))


def compared(store: CollectionStore, earlier: str, later: str) -> Comparison:
    """Two collections side by side."""
    try:
        sides = [dict(store.load(pdh).files()) if pdh not in ("", EMPTY_BLOCK) else {} for pdh in (earlier, later)]
    except StoreError as error:
        return Comparison(trouble=_trouble(error))
    one, other = sides
    paths = sorted({*one, *other}, key=lambda path: (one.get(path) == other.get(path), path))
    files = tuple(
        Both(
            path=path,
            earlier=_size(one.get(path)),
            later=_size(other.get(path)),
            is_same=one.get(path) == other.get(path),
        )
        for path in paths[:LISTED]
    )
    return Comparison(files=files, more=max(len(paths) - LISTED, 0))


def _size(content: StoredFile | None) -> int | None:
    return None if content is None else file_size(content)


def said(store: CollectionStore, task: Task) -> Tail:
    """The end of what a task said: of its log, or while it runs, of its words so far."""
    try:
        words = said_so_far(store, task)
    except StoreError as error:
        return Tail(trouble=_trouble(error))
    if words is None:
        return _tail(store, task.log)
    return Tail(text=plain(words.end.decode(errors="replace")), size=words.total, is_whole=words.is_whole)


def _tail(store: CollectionStore, pdh: str) -> Tail:
    """The end of the first file of the collection, as text without what steers terminals."""
    if pdh in ("", EMPTY_BLOCK):
        return Tail()
    try:
        entry = next(iter(store.files(pdh)), None)
        if entry is None:
            return Tail()
        with store.open(pdh, entry.path) as file:
            file.seek(max(entry.size - TAIL, 0))
            raw = file.read(TAIL)
    except StoreError as error:
        return Tail(trouble=_trouble(error))
    return Tail(text=plain(raw.decode(errors="replace")), size=entry.size, is_whole=entry.size <= TAIL)


def download(store: CollectionStore, pdh: str, path: str) -> StreamingResponse:
    """The file, to be saved and never shown. Raises StoreError."""
    size = next((one.size for one in store.files(pdh) if one.path == path), None)
    file = store.open(pdh, path)
    name = quote(path.rsplit("/", 1)[-1], safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    if size is not None:
        headers["Content-Length"] = str(size)
    return StreamingResponse(_chunks(file), headers=headers, media_type="application/octet-stream")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _trouble(error: StoreError) -> str:
    return "some of it is gone from the store" if isinstance(error, BlockMissing) else "the store can't give it now"
