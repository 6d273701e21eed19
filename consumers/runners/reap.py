"""Killing all that belongs to a piece of work, so that nothing of it is left. Used by runners and by the watchdog.

What belongs to it is found in three ways, whichever are there: the control group, which nothing escapes; the mark in
the environment, which survives fork, setsid and a parent's death (Linux); the process group, which is all there is on
other systems. Light on purpose: the watchdog imports this and little else.
"""

import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import msgspec

MARK = "CRUNCH_REUSE_MARK"
PATIENCE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.005  # seconds: most are gone at once
_PROC = "/proc"
_GROUP_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH)
_NOT_OURS = (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM)


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to kill. `group`: process group, 0: none. `mark`: start of MARK's value. `container`: its id."""

    group: int = 0
    mark: str = ""
    cgroups: tuple[str, ...] = ()
    container: str = ""


def kill_all(hold: Hold, patience: float = PATIENCE) -> bool:
    """SIGKILL every process of the hold (not the container) until none is left; False if some outlive `patience` s."""
    end = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while _kill_once(hold):
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def marked(mark: str) -> Iterator[int]:
    """Processes whose environment holds MARK with a value that starts with `mark`. Linux; elsewhere none."""
    if not sys.platform.startswith("linux"):
        return
    wanted = f"\0{MARK}={mark}".encode()
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and wanted in _environment(entry.path):
                yield int(entry.name)


def in_cgroups(directories: Iterable[str]) -> Iterator[int]:
    """Processes in these control groups."""
    for directory in directories:
        yield from listed(Path(directory, "cgroup.procs").open)


def listed(opened: Callable[[], TextIO]) -> list[int]:
    """Processes in a control group's list; none if the group goes before, while or after the list is opened."""
    try:
        with opened() as file:
            return list(map(int, file.read().split()))
    except OSError as error:
        if error.errno in _GROUP_GONE:
            return []
        raise


def in_namespace_of(process: int) -> Iterator[int]:
    """Processes in the same namespace of processes as this one, itself included; none if that is ours. Linux."""
    wanted = _namespace(str(process))
    if wanted in ("", _namespace("self")):
        return
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and _namespace(entry.name) == wanted:
                yield int(entry.name)


def _namespace(process: str) -> str:
    with suppress(OSError):  # it is gone, or not ours to look at
        return os.readlink(f"{_PROC}/{process}/ns/pid")
    return ""


def _kill_once(hold: Hold) -> bool:
    """Whether anything was still there to be killed."""
    pids = set(in_cgroups(hold.cgroups))
    if hold.mark:
        pids.update(marked(hold.mark))
    for pid in pids:
        send(pid, signal.SIGKILL)
    # The mark finds a whole group too; without marks the group's number must be ours still, for a leader not reaped.
    if hold.group and not sys.platform.startswith("linux"):
        return _kill_group(hold.group) or bool(pids)
    return bool(pids)


def _kill_group(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        return False
    return True


def send(pid: int, number: int) -> None:
    """Send a signal; nothing happens if the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Whether a process that need not be our child ends in so many seconds. Linux."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _environment(process: str) -> bytes:
    """Each item after a NUL."""
    try:
        descriptor = os.open(f"{process}/environ", os.O_RDONLY)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return b""
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        try:
            return b"\0" + (file.readall() or b"")
        except ProcessLookupError:
            return b""
