"""Keep's manifests: which blocks make up which files.

A manifest is text, one stream (directory) a line: its name, the blocks of its data, and file tokens
`position:size:name` into the concatenation of those blocks. `\\040` and the like are octal escapes. Several tokens with
one name, also in different streams, are the parts of one file, in order. An empty directory is a stream whose only file
is `\\056` (a dot) of size 0. Normalised, there is one line a directory, sorted, each block once: the form that the
Arvados Python client 2.2.2 writes, byte for byte.

Names with Unicode spaces are written as they are, as Arvados does, although its Python client then can't read them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import NamedTuple, Self

from store.errors import ManifestInvalid, PathMissing, PathRefused
from store.locator import EMPTY_BLOCK, Locator, is_locator, locator_of, parse_locator, strip_hints
from store.paths import split_path

MAX_MANIFEST_BYTES = 64 * 2**20
MAX_SEGMENTS = 1_000_000

_FILE_TOKEN = re.compile(r"([0-9]{1,19}):([0-9]{1,19}):(.+)")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x09\x0b-\x1f]")
_ESCAPE = re.compile(rb"\\([0-3][0-7][0-7])")
_TO_ESCAPE = re.compile(r"[\x00-\x20:\\]")


class Segment(NamedTuple):
    """Consecutive bytes of one block: `length` bytes from `offset`, never zero. `locator` has no hints."""

    locator: str
    block_size: int
    offset: int
    length: int


File = list[Segment]
Directory = dict[str, "File | Directory"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The tree of a collection: name to file (its segments) or directory. Not to be changed once made."""

    root: Directory = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, File]]:
        """Each file's path and segments, in the order of the normalised text."""
        return _files("", self.root)

    def text(self) -> str:
        """The normalised manifest, without hints."""
        return "".join(_streams(".", self.root))

    def find(self, path: str) -> "File | Directory":
        """The file or directory at `path`, empty for the root. PathMissing if there is none."""
        node: File | Directory = self.root
        for name in path.split("/") if path else ():
            if not isinstance(node, dict) or name not in node:
                raise PathMissing(path)
            node = node[name]
        return node

    def subset(self, path: str) -> Self:
        """What is at `path` as a collection of its own: a directory's content, or one file under its last name."""
        node = self.find(path)
        return type(self)(node if isinstance(node, dict) else {path.rpartition("/")[2]: node})

    def pruned(self, path: str) -> Self:
        """What is at `path`, where it is, without all else. PathMissing."""
        node = self.find(path)
        for name in reversed(path.split("/") if path else ()):
            node = {name: node}
        return type(self)(node) if isinstance(node, dict) else self


def parse_manifest(text: str) -> Manifest:
    """Parse manifest text, hints or not, normalised or not. ManifestInvalid says which line is wrong, and how."""
    encode_manifest(text)
    builder = ManifestBuilder()
    lines = text.removesuffix("\n").split("\n") if text else ()
    for number, line in enumerate(lines, 1):
        try:
            builder.add_stream(line)
        except (_Malformed, PathRefused) as error:
            raise ManifestInvalid(number, str(error)) from error
    return builder.manifest()


def portable_data_hash(text: str) -> str:
    """The portable data hash of manifest text: md5 and size of it without hints, otherwise as it is."""
    return locator_of(encode_manifest(strip_hints(text))).stripped


def escape(name: str) -> str:
    """A name as it is written in a manifest."""
    return _TO_ESCAPE.sub(lambda match: f"\\{ord(match[0]):03o}", name)


def file_size(file: File) -> int:
    """A file's size in bytes."""
    return sum(segment.length for segment in file)


class _Malformed(Exception):
    """Why a line is not a stream; becomes ManifestInvalid with the line's number."""


class ManifestBuilder:
    """Makes a manifest of files and streams, in any order. What can't be in one raises PathRefused."""

    def __init__(self) -> None:
        self._root: Directory = {}
        self._segments = 0

    def manifest(self) -> Manifest:
        """What was added; the builder is done with."""
        return Manifest(self._root)

    def add_file(self, path: str, segments: File) -> None:
        """Add a file, or the next part of one that is there."""
        *parents, name = split_path(path)
        file = self._directory(path, parents).setdefault(name, [])
        if isinstance(file, dict):
            raise PathRefused(path, "it is both a file and a directory")
        self._segments += len(segments)
        file.extend(segments)

    def add_directory(self, path: str) -> None:
        """Add a directory; it shows in the text only if nothing is added to it."""
        self._directory(path, split_path(path))

    def add_stream(self, line: str) -> None:
        """Add one line of manifest text, without its newline."""
        if _NOT_IN_A_LINE.search(line):
            raise _Malformed("control characters must be escaped")
        name, *tokens = line.split(" ")
        blocks = [parse_locator(token) for token in takewhile(is_locator, tokens)]
        if not blocks or len(blocks) == len(tokens):
            raise _Malformed("a stream needs a name, at least one block locator and at least one file")
        stream = _Stream(blocks)
        prefix = _stream_prefix(name)
        for token in tokens[len(blocks) :]:
            self._add_token(prefix, token, stream)

    def _add_token(self, prefix: str, token: str, stream: "_Stream") -> None:
        match = _FILE_TOKEN.fullmatch(token)
        if not match:
            raise _Malformed(f"{token[:80]!r} is neither a block locator nor position:size:name")
        position, size, name = int(match[1]), int(match[2]), _unescape(match[3])
        if name == "." or name.endswith("/."):
            if size:
                raise _Malformed(f"{token[:80]!r}: a file can't be named '.'")
            path = (prefix + name.removesuffix(".")).removesuffix("/")
            if path:
                self.add_directory(path)
        else:
            self.add_file(prefix + name, stream.segments(position, size, MAX_SEGMENTS - self._segments))

    def _directory(self, path: str, names: list[str]) -> Directory:
        node = self._root
        for name in names:
            child = node.setdefault(name, {})
            if not isinstance(child, dict):
                raise PathRefused(path, f"{name!r} is both a file and a directory")
            node = child
        return node


class _Stream:
    """The data of one stream: its blocks laid end to end."""

    def __init__(self, blocks: list[Locator]) -> None:
        self._blocks = [(block.stripped, block.size) for block in blocks]
        self._starts = list(accumulate((block.size for block in blocks), initial=0))

    def segments(self, position: int, size: int, limit: int) -> File:
        """The parts of blocks that make up `size` bytes from `position`; at most `limit` of them."""
        end = position + size
        if end > self._starts[-1]:
            raise _Malformed(f"{position}:{size} reaches beyond the stream's {self._starts[-1]} bytes")
        found: File = []
        index = bisect_right(self._starts, position) - 1
        while position < end:
            locator, block_size = self._blocks[index]
            length = min(end, self._starts[index + 1]) - position
            if length:
                found.append(Segment(locator, block_size, position - self._starts[index], length))
            if len(found) > limit:
                raise _Malformed(f"the files have more than {MAX_SEGMENTS} parts")
            position += length
            index += 1
        return found


def _stream_prefix(name: str) -> str:
    if name == ".":
        return ""
    if not name.startswith("./") or name == "./":
        raise _Malformed(f"the stream's name {name[:80]!r} is neither '.' nor './' and a path")
    return _unescape(name)[2:] + "/"


def _unescape(name: str) -> str:
    if "\\" not in name:
        return name
    try:
        return _ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), name.encode()).decode()
    except UnicodeDecodeError as error:
        raise _Malformed(f"{name[:80]!r} is not UTF-8 once unescaped") from error


def encode_manifest(text: str) -> bytes:
    """The text as bytes. ManifestInvalid if it is not UTF-8 or larger than a block, which is to say too many files."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ManifestInvalid(0, "not UTF-8") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(0, f"too many files: it has {len(data)} bytes, a block holds {MAX_MANIFEST_BYTES}")
    return data


def _files(prefix: str, directory: Directory) -> Iterator[tuple[str, File]]:
    files, directories = _sorted(directory)
    for name, file in files:
        yield prefix + name, file
    for name, child in directories:
        yield from _files(f"{prefix}{name}/", child)


def _sorted(directory: Directory) -> tuple[list[tuple[str, File]], list[tuple[str, Directory]]]:
    names = sorted(directory)
    files = [(name, node) for name in names if not isinstance(node := directory[name], dict)]
    return files, [(name, node) for name in names if isinstance(node := directory[name], dict)]


def _streams(name: str, directory: Directory) -> Iterator[str]:
    files, directories = _sorted(directory)
    if files:
        yield " ".join(_stream_tokens(name, files)) + "\n"
    elif not directories and name != ".":
        yield f"{escape(name)} {EMPTY_BLOCK} 0:0:\\056\n"
    for child_name, child in directories:
        yield from _streams(f"{name}/{child_name}", child)


def _stream_tokens(name: str, files: list[tuple[str, File]]) -> Iterator[str]:
    starts: dict[str, int] = {}
    end = 0
    for segment in (segment for _, file in files for segment in file):
        if segment.locator not in starts:
            starts[segment.locator] = end
            end += segment.block_size
    yield escape(name)
    yield from starts or (EMPTY_BLOCK,)
    for file_name, file in files:
        for start, length in _spans(file, starts):
            yield f"{start}:{length}:{escape(file_name)}"


def _spans(file: File, starts: dict[str, int]) -> list[tuple[int, int]]:
    """The file as (position, length) in its stream, neighbours joined."""
    spans: list[tuple[int, int]] = []
    for segment in file:
        start = starts[segment.locator] + segment.offset
        if spans and sum(spans[-1]) == start:
            spans[-1] = (spans[-1][0], spans[-1][1] + segment.length)
        else:
            spans.append((start, segment.length))
    return spans or [(0, 0)]
