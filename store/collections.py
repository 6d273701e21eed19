"""Collections: trees of files, named by the hash of their manifest (portable data hash, PDH).

A collection's manifest is itself stored as a block, whose locator is the PDH: blocks are all there is to the store.

Layout. Each file's data starts at a block of its own and no block holds parts of two files. Adding a file to a tree
therefore leaves every other file's manifest as it was, and what was computed from that file is found again. The price
is small blocks: a thousand files of a hundred bytes are a thousand blocks, where Arvados' own writers pack them into
one; equal files still share theirs. Manifests written by others, packed or not normalised, are read all the same.

Not stored, as in Keep: modes, times, owners, links. An empty directory is kept, as a stream whose only file is `\\056`;
a collection that holds nothing at all is the empty manifest.
"""

import io
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.errors import PathMissing
from store.extract import extract
from store.locator import portable_data_hash_of, strip_hints
from store.manifest import Manifest, ManifestBuilder, encode_manifest, file_size, parse_manifest
from store.port import Blocks
from store.reader import FileReader, read_manifest, read_manifest_text
from store.source import Limits, Source, walk_directory, walk_files
from store.verification import Verification, locators, verify
from store.writer import FileWriter, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was saved. `bytes`: of all files, whether or not their blocks were there already."""

    portable_data_hash: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of a collection. `size`: bytes."""

    path: str
    size: int


class CollectionStore:
    """Collections in a block store. PDHs are given with or without hints; a PDH that is none raises LocatorInvalid.

    Whatever reads a collection may raise BlockMissing, BlockCorrupt, ManifestInvalid or StoreUnreachable; whatever
    saves one StoreFull, StoreUnreachable or BlockCollision.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self._last: tuple[str, Manifest] | None = None

    def save_directory(self, root: Path, limits: Limits | None = None, progress: Progress | None = None) -> Saved:
        """Save everything under `root`, whatever the order it is found in, in the memory of one block.

        `progress` is called with the size of each block done. PathRefused names a link, device, pipe, socket, or a name
        that is not UTF-8; SourceUnreadable what can't be read; LimitExceeded the file that went over a limit.
        """
        limits = limits or Limits()
        return self._save(walk_directory(root, limits), limits, progress)

    def save_files(
        self, files: Mapping[str, Path], limits: Limits | None = None, progress: Progress | None = None
    ) -> Saved:
        """Save files under the paths they are to have in the collection; otherwise as `save_directory`."""
        limits = limits or Limits()
        return self._save(walk_files(files, limits), limits, progress)

    def save_manifest(self, text: str) -> str:
        """Store manifest text as it is, less its hints; returns the PDH. Whether the blocks are there is `verify`'s."""
        parse_manifest(text)
        return self._put(strip_hints(text))

    def load(self, pdh: str) -> Manifest:
        """The collection of this PDH. ManifestInvalid if the block holds something else.

        The one loaded last is kept: the parts of a collection are asked for one after another.
        """
        wanted = portable_data_hash_of(pdh)
        last = self._last
        if last is None or last[0] != wanted:
            last = self._last = (wanted, read_manifest(self.blocks, wanted))
        return last[1]

    def manifest_text(self, pdh: str) -> str:
        """The manifest as it was stored, without hints."""
        return read_manifest_text(self.blocks, pdh)

    def files(self, pdh: str) -> tuple[FileEntry, ...]:
        """The files, in the order of the normalised manifest."""
        return tuple(FileEntry(path=path, size=file_size(file)) for path, file in self.load(pdh).files())

    def open(self, pdh: str, path: str) -> BinaryIO:
        """A file as a seekable binary stream that reads a block at a time. PathMissing if there is no such file."""
        node = self.load(pdh).find(path)
        if isinstance(node, dict):
            raise PathMissing(path)
        return io.BufferedReader(FileReader(node, self.blocks), 2**20)

    def extract(self, pdh: str, destination: Path, path: str = "", max_bytes: int | None = None) -> int:
        """Write the collection, or what is at `path` in it, as read-only files; see `store.extract.extract`."""
        return extract(self.load(pdh).subset(path), self.blocks, destination, max_bytes)

    def file_manifest(self, pdh: str, path: str) -> str:
        """The normalised manifest of what is at `path` alone: a directory's content, or one file under its last name.

        It depends on nothing else in the collection. PathMissing.
        """
        return self.load(pdh).subset(path).text()

    def subset(self, pdh: str, path: str) -> str:
        """The PDH of what is at `path`, a file or directory, as a collection of its own. Empty: `pdh` itself."""
        return self._put(self.file_manifest(pdh, path)) if path else portable_data_hash_of(pdh)

    def pruned(self, pdh: str, path: str) -> str:
        """The PDH of a collection that has what is at `path` there, as in the collection, and nothing else."""
        return self._put(self.load(pdh).pruned(path).text())

    def join(self, pdhs: Iterable[str]) -> str:
        """The collection that holds the files of all, its manifest normalised: its PDH.

        Keep's rule for manifests one after the other: files with the same path are one file, the data of the first
        followed by that of the next. ManifestInvalid where one's file is another's directory.
        """
        return self._put(parse_manifest("".join(self.load(pdh).text() for pdh in pdhs)).text())

    def verify(self, pdh: str, *, deep: bool = False) -> Verification:
        """Look whether every block is there with its size; `deep`: also read each and compare its md5.

        What it finds is in the result, never raised; an unreachable store is one of the results.
        """
        return verify(self.blocks, portable_data_hash_of(pdh), deep=deep)

    def locators(self, pdh: str) -> tuple[str, ...]:
        """Every block of the collection once, its manifest first: what must be kept for the PDH to stay readable."""
        return tuple(locators(portable_data_hash_of(pdh), self.load(pdh)))

    def _put(self, text: str) -> str:
        return self.blocks.put(encode_manifest(text))

    def _save(self, sources: Generator[Source, None, None], limits: Limits, progress: Progress | None) -> Saved:
        builder = ManifestBuilder()
        with self.blocks.together() as blocks, closing(sources):
            writer = FileWriter(blocks, limits.max_bytes, progress)
            for source in sources:
                if source.stream is None:
                    builder.add_directory(source.path)
                else:
                    builder.add_file(source.path, writer.write(source.path, source.stream))
            pdh = blocks.put(encode_manifest(builder.manifest().text()))
        return Saved(portable_data_hash=pdh, files=writer.files, bytes=writer.bytes)
