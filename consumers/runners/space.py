"""How much a running task holds: of the node's disk what lies in its folders and what it has removed and still holds,
and of its memory.

No quota bounds a directory everywhere, so it is looked at. A file that was removed has no name any more and takes its
space all the same, for as long as somebody holds it open; Linux shows those to whoever may look at the process.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from consumers.runners.port import MIB, Limits

MAX_ENTRIES = 1_000_000  # no more than that can be saved as an output
_BLOCK = 512
_LEAST = 4096  # what a file system has to keep of an entry, be it empty
BY_THE_TASK = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)  # what names and permissions forbid
_LONGEST_NAME = 200


class Space:
    """What one task may hold. `output`, `scratch`: its folders on this node's disk, if they are there."""

    def __init__(self, limits: Limits, output: Path, scratch: Path) -> None:
        self._limits = limits
        self._output = output
        self._scratch = scratch

    def trouble(self, processes: Iterable[int]) -> str | None:
        """Why the task has to end, in one line. `processes`: the task's, for what they hold without a name."""
        try:
            for folder, limit, what in (
                (self._output, self._limits.output, "output"),
                (self._scratch, self._limits.scratch, "scratch space"),
            ):
                if beyond := excess(folder, limit):
                    return f"its {what} grew beyond {beyond}"
        except OSError as error:
            if error.errno not in BY_THE_TASK:
                raise
            name = os.path.relpath(error.filename, self._output)[:_LONGEST_NAME]
            reason = f"{name!r} in its output can't be looked into ({error.strerror})"
            return f"{reason}: leave directories readable and paths short"
        if held_without_name(self._output, processes) > self._limits.output:
            return (
                f"files that it removed and holds open grew beyond {self._limits.output // MIB} MiB:"
                " ask for more in resources.scratch"
            )
        return None


def is_full(directory: Path) -> bool:
    """Whether its file system has less than a MiB left."""
    return shutil.disk_usage(_there(directory)).free < MIB


def excess(directory: Path, limit: int) -> str:
    """What the files and directories under a directory went beyond, in words; empty: nothing. Links are not followed.

    `limit`: bytes of disk, of which each of them takes 4 KiB at least. OSError names what hides what is in it.
    """
    held = counted = number = 0
    pending = [os.fspath(directory)]
    while pending:
        for path, info in _entries(pending.pop()):
            number += 1
            held += info.st_blocks * _BLOCK
            counted += _taken(info)
            if counted > limit or number > MAX_ENTRIES:
                return _in_words(counted - held, number, limit)
            if stat.S_ISDIR(info.st_mode):
                pending.append(path)
    return ""


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Path and state of what is in a folder; without what the task removes or replaces while we look."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False)


def _taken(info: os.stat_result) -> int:
    return max(info.st_blocks * _BLOCK, _LEAST)


def _in_words(added: int, number: int, limit: int) -> str:
    """`added`: what was counted and is not on the disk; a little of that is no news."""
    if number > MAX_ENTRIES:
        return f"{MAX_ENTRIES:,} files and directories: leave fewer, or pack them"
    each = ", each file and directory counted as 4 KiB at least" if added > limit // 16 else ""
    return f"{limit // MIB} MiB{each}: ask for more in resources.scratch"


def held_without_name(directory: Path, processes: Iterable[int]) -> int:
    """Bytes of removed files, on the disk of `directory`, that these processes hold open. Linux; elsewhere 0."""
    disk = _there(directory).stat().st_dev
    found: dict[int, int] = {}
    for process in processes:
        with suppress(OSError), os.scandir(f"/proc/{process}/fd") as descriptors:  # gone, or not ours to look at
            for descriptor in descriptors:
                with suppress(OSError):  # closed while we look; the others are there
                    info = os.stat(descriptor.path)
                    if info.st_nlink == 0 and info.st_dev == disk and stat.S_ISREG(info.st_mode):
                        found[info.st_ino] = _taken(info)
    return sum(found.values())


def _there(directory: Path) -> Path:
    """The directory, or what it was in: a task that nothing isolates may have removed it."""
    return next(path for path in (directory, *directory.parents) if path.exists())


def memory_of(processes: Iterable[int]) -> int:
    """Bytes of memory that these processes hold; what several share is counted once, in parts. Linux; elsewhere 0."""
    total = 0
    for process in processes:
        with suppress(OSError):  # gone, or not ours to look at
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Pss:", "Swap:")))
    return total * 1024
