"""How much a running task holds: of the node's disk what lies in its folders and what it has removed and still holds,
and of its memory.

No quota bounds a directory everywhere, so it is looked at. A file that was removed has no name any more and takes its
space all the same, for as long as somebody holds it open; Linux shows those to whoever may look at the process.
"""

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from consumers.runners.port import MIB, Limits

_BLOCK = 512


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
                if exceeds(folder, limit):
                    return f"its {what} grew beyond {limit // MIB} MiB: ask for more in resources.scratch"
        except PermissionError as error:
            name = os.path.relpath(error.filename, self._output)
            return f"{name!r} in its output can't be looked into: leave directories readable"
        if held_without_name(self._output, processes) > self._limits.output:
            return (
                f"files that it removed and holds open grew beyond {self._limits.output // MIB} MiB:"
                " ask for more in resources.scratch"
            )
        return None


def is_full(directory: Path) -> bool:
    """Whether its file system has less than a MiB left."""
    return shutil.disk_usage(directory).free < MIB


def exceeds(directory: Path, limit: int) -> bool:
    """Whether the files under a directory hold more than `limit` bytes of disk. Links are not followed.

    PermissionError names a directory that hides what is in it.
    """
    total = 0
    pending = [os.fspath(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    total += info.st_blocks * _BLOCK
                    if stat.S_ISDIR(info.st_mode):
                        pending.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # the task removes or replaces it while we look
        if total > limit:
            return True
    return False


def held_without_name(directory: Path, processes: Iterable[int]) -> int:
    """Bytes of removed files, on the disk of `directory`, that these processes hold open. Linux; elsewhere 0."""
    disk = directory.stat().st_dev
    found: dict[int, int] = {}
    for process in processes:
        with suppress(OSError), os.scandir(f"/proc/{process}/fd") as descriptors:  # gone, or not ours to look at
            for descriptor in descriptors:
                info = os.stat(descriptor.path)
                if info.st_nlink == 0 and info.st_dev == disk and stat.S_ISREG(info.st_mode):
                    found[info.st_ino] = info.st_blocks * _BLOCK
    return sum(found.values())


def memory_of(processes: Iterable[int]) -> int:
    """Bytes of memory that these processes hold; what several share is counted once, in parts. Linux; elsewhere 0."""
    total = 0
    for process in processes:
        with suppress(OSError):  # gone, or not ours to look at
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Pss:", "Swap:")))
    return total * 1024
