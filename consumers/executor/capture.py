"""What a task left in its output directory, put into the store and looked at again before anybody hears of it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consumers.runners.port import MIB
from consumers.runners.space import BY_THE_TASK
from store.collections import CollectionStore
from store.errors import LimitExceeded, PathRefused, SourceUnreadable, printable
from store.source import Limits
from store.verification import Verdict

LOG_NAME = "stdout-stderr.txt"
_REMOVED_BY_THE_TASK = (errno.ENOENT, errno.ENOTDIR)
_ADVICE = "the task's outputs are plain files and directories under TASK_OUTPUT"


class BadOutput(Exception):
    """The task left something that can't be its output; one line that names the path."""


class StoreTrouble(Exception):
    """What was saved is not all there."""


def captured(directory: Path, declared: tuple[str, ...]) -> Path:
    """The directory with what is to be kept of a task's output. `declared`: the paths, empty: all. Raises BadOutput."""
    return _pick(directory, declared) if declared else directory


def stored(collections: CollectionStore, directory: Path, max_bytes: int) -> str:
    """Save what was captured, and look at every block of it again; its portable data hash.

    Raises BadOutput, StoreTrouble, and what the store does when it can't be reached or is full.
    """
    try:
        saved = collections.save_directory(directory, Limits(max_bytes=max_bytes))
    except LimitExceeded as error:
        raise BadOutput(
            f"output {error.path}: beyond {max_bytes // MIB} MiB; ask for more in resources.scratch"
        ) from error
    except (PathRefused, SourceUnreadable) as error:
        _pass_on_the_nodes(error)
        raise BadOutput(f"output {error}; {_ADVICE}") from error
    return verified(collections, saved.portable_data_hash)


def _pass_on_the_nodes(error: Exception) -> None:
    """What the names and permissions of the task's files do not explain is no fault of the task's."""
    if isinstance(error.__cause__, OSError) and error.__cause__.errno not in (*BY_THE_TASK, *_REMOVED_BY_THE_TASK):
        raise error.__cause__


def save_log(collections: CollectionStore, path: Path) -> str:
    """Save a task's log as a collection of one file; its portable data hash."""
    return collections.save_files({LOG_NAME: path}).portable_data_hash


def verified(collections: CollectionStore, pdh: str) -> str:
    """The hash itself, once every block was found. Raises StoreTrouble."""
    found = collections.verify(pdh)
    if found.verdict is not Verdict.WHOLE:
        missing = next(iter(found.missing + found.damaged), "")
        raise StoreTrouble(found.reason or f"block {missing} is not in the store although it was just saved")
    return pdh


def _pick(directory: Path, declared: tuple[str, ...]) -> Path:
    """A directory beside the output's that holds only what was declared."""
    picked = directory.with_name(f"{directory.name}.declared")
    picked.mkdir()
    for path in declared:
        _check(directory, path)
    for path in sorted(declared):
        with _named(path):
            target = picked / path
            if not os.path.lexists(target):  # declared within another declared path: it came along
                target.parent.mkdir(parents=True, exist_ok=True)
                (directory / path).rename(target)
    return picked


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What the names and permissions of the task's files forbid is the task's fault; the node's is left as it is."""
    try:
        yield
    except OSError as error:
        if error.errno not in BY_THE_TASK:
            raise
        raise BadOutput(f"output {printable(path)} can't be taken: {error.strerror}; {_ADVICE}") from error


def _check(directory: Path, path: str) -> None:
    """Nothing on the way may be a link: it could lead out of the output directory."""
    *parents, name = Path(path).parts
    here = directory
    for part in (*parents, name):
        here = here / part
        if part == os.pardir or Path(path).is_absolute():
            raise BadOutput(f"output {printable(path)} leads out of the output directory; {_ADVICE}")
        try:
            with _named(path):
                mode = here.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise BadOutput(f"output {printable(path)} is missing: the task declared it and did not leave it") from None
        if stat.S_ISLNK(mode):
            raise BadOutput(f"output {printable(path)} is refused: {part} is a symbolic link; {_ADVICE}")
