"""Removes what tasks leave on the disk, however deep: `shutil.rmtree` calls itself, and keeps a descriptor, for each
level of it."""

import errno
import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(root: Path) -> None:
    """Remove all that is in a folder, also where a task took its own permissions away; no link is followed.

    One descriptor, which goes down by names and up by "..", so no path is too long either. Raises OSError.
    """
    above: list[tuple[list[str], tuple[int, int]]] = []  # of each level: folders that are in it still; which it is
    here = _entered(str(root), None)
    try:
        inside = _without_files(here)
        while inside or above:
            if inside:
                below = _entered(inside[-1], here)
                above.append((inside, _identity(here)))
                here = _instead(here, below)
                inside = _without_files(here)
            else:
                here = _instead(here, os.open("..", _FOLDER, dir_fd=here))
                inside, identity = above.pop()
                if _identity(here) != identity:
                    raise OSError(errno.EBUSY, "somebody moves its folders about", str(root))
                os.rmdir(inside.pop(), dir_fd=here)
    finally:
        os.close(here)


def _entered(name: str, parent: int | None) -> int:
    """A descriptor of a folder, in which its owner, if that is us, may now do everything."""
    try:
        folder = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        folder = os.open(name, _FOLDER, dir_fd=parent)
    try:
        info = os.fstat(folder)
        if info.st_uid == os.geteuid() and info.st_mode & 0o700 != 0o700:
            os.fchmod(folder, 0o700)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _without_files(folder: int) -> list[str]:
    """Remove all that is in it but folders; their names."""
    with os.scandir(folder) as entries:
        found = list(entries)
    inside = []
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            inside.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=folder)
    return inside


def _identity(folder: int) -> tuple[int, int]:
    info = os.fstat(folder)
    return info.st_dev, info.st_ino


def _instead(former: int, folder: int) -> int:
    os.close(former)
    return folder
