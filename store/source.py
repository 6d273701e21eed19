"""What is read when a tree is saved: regular files only, opened so that a task can't swap one for a link meanwhile.

Every step is taken relative to an open directory and follows no link, so nothing outside the tree is ever read.
"""

import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from store.errors import LimitExceeded, PathRefused, SourceUnreadable, cause
from store.paths import split_path

_KINDS = {
    stat.S_IFLNK: "a symbolic link: give the file or directory it points to",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# Not blocking: a file that became a pipe since it was looked at must not make the open wait.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be saved at once.

    `max_bytes`: of all files together; None: as much as there is room for. `max_entries`: files and directories.
    """

    max_bytes: int | None = None
    max_entries: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing to save. `stream`: an open file, valid until the next one is asked for; None: an empty directory."""

    path: str
    stream: FileIO | None


def walk_directory(root: Path, limits: Limits) -> Generator[Source, None, None]:
    """Every file and empty directory under `root`, which must not be a link itself.

    PathRefused, SourceUnreadable and LimitExceeded name the path, relative to `root`.
    """
    with _opened(str(root), root, None) as directory:
        if not stat.S_ISDIR(os.fstat(directory).st_mode):
            raise PathRefused(str(root), "it is a file, not a directory")
        yield from _walk(directory, "", _Counter(limits.max_entries))


def walk_files(files: Mapping[str, Path], limits: Limits) -> Generator[Source, None, None]:
    """The files of a mapping from path in the collection to path on disk; none of them a link."""
    counter = _Counter(limits.max_entries)
    for path, source in sorted(files.items()):
        split_path(path)
        counter.count(path)
        with _opened(path, source, None) as descriptor:
            yield _source(path, descriptor)


@dataclass(slots=True)
class _Counter:
    left: int

    def count(self, path: str) -> None:
        if not self.left:
            raise LimitExceeded(path, "the number of files and directories")
        self.left -= 1


def _walk(directory: int, prefix: str, counter: _Counter) -> Generator[Source, None, None]:
    names = _names(directory, prefix, counter)
    if prefix and not names:
        yield Source(path=prefix.removesuffix("/"), stream=None)
    for name in names:
        path = prefix + name
        split_path(path)
        with _opened(path, name, directory) as descriptor:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                yield from _walk(descriptor, f"{path}/", counter)
            else:
                yield _source(path, descriptor)


def _names(directory: int, prefix: str, counter: _Counter) -> list[str]:
    names = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                counter.count(prefix + entry.name)
                names.append(entry.name)
    except OSError as error:
        raise SourceUnreadable(prefix or ".", cause(error)) from error
    return sorted(names)


@contextmanager
def _opened(path: str, name: str | Path, directory: int | None) -> Iterator[int]:
    """A descriptor of a regular file or directory; `path` is for errors, `name` is opened relative to `directory`."""
    try:
        _refuse_special(path, os.stat(name, dir_fd=directory, follow_symlinks=False))
        descriptor = os.open(name, _READ, dir_fd=directory)
    except OSError as error:
        raise SourceUnreadable(path, cause(error)) from error
    try:
        _refuse_special(path, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_special(path: str, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        raise PathRefused(path, f"it is {_KINDS.get(stat.S_IFMT(info.st_mode), 'neither a file nor a directory')}")


def _source(path: str, descriptor: int) -> Source:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise PathRefused(path, "it is a directory, not a file")
    return Source(path=path, stream=os.fdopen(descriptor, "rb", buffering=0, closefd=False))
