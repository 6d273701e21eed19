"""What each process of this machine says of itself, and how it is asked: `doctor --ready NAME`.

A file for each name, written anew every few seconds by the process's main thread, and a lock that the kernel drops with
the process: a file of a process that was killed, or is frozen, is not believed.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gateway.problems import Problem
from gateway.session import Session
from streams.lockfile import FolderInUse, FolderLock, take

LOGGER = logging.getLogger(__name__)
BEAT_SECONDS = 2.0
STALE_SECONDS = 15.0


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself."""

    name: str
    pid: int
    is_ready: bool
    detail: Annotated[str, Meta(description="what it holds, or what it waits for")]
    at: Annotated[float, Meta(description="seconds since 1970")]


class Standing(NamedTuple):
    """Whether a process does its work, and what that is, or what it waits for."""

    is_ready: bool
    detail: str


class Health:
    """Says how the process `name` is, in a folder of its own below `processes`. Used by one thread."""

    def __init__(self, processes: Path, name: str) -> None:
        self._folder = processes / name
        self._name = name
        self._is_silent = False

    @contextmanager
    def sole(self) -> Iterator[None]:
        """Be the one process of this name. Problem where there is another."""
        try:
            lock = take(self._folder)
        except FolderInUse as error:
            raise Problem(f"{error}, or give this one a name of its own with --name") from error
        try:
            with lock:
                yield
        finally:
            _file(self._folder).unlink(missing_ok=True)

    def say(self, standing: Standing) -> None:
        """How it is now. On a full disk nothing is said, and the work goes on: who asks hears of the silence."""
        is_ready, detail = standing
        said = Said(name=self._name, pid=os.getpid(), is_ready=is_ready, detail=detail, at=time.time())
        draft = _file(self._folder).with_suffix(".new")
        try:
            draft.write_bytes(msgspec.json.encode(said))
            draft.replace(_file(self._folder))
        except OSError as error:
            if not self._is_silent:
                LOGGER.warning("can't write how this process is to %s: %s; make room", draft, error.strerror)
            self._is_silent = True
        else:
            self._is_silent = False


def tell(session: Session, name: str) -> int:
    """Print how the process `name` is. Problem where it does not run or is not ready."""
    said = ask(session.folders.processes, name)
    if session.as_json:
        session.result(said)
    print(f"{said.name}: process {said.pid}: {said.detail}", file=sys.stderr if session.as_json else sys.stdout)
    return 0


def ask(processes: Path, name: str) -> Said:
    """What the process of this name said last, or the only one whose name begins so (`executor`).

    Problem where it does not run, is not ready, or is silent.
    """
    alike = [path.name for path in processes.glob(f"{name}-*")]
    if not (processes / name).exists() and len(alike) == 1:
        [name] = alike
    try:
        said = msgspec.json.decode(_file(processes / name).read_bytes(), type=Said)
    except (FileNotFoundError, msgspec.DecodeError):
        names = ", ".join(sorted(path.name for path in processes.glob("*"))) or "none"
        raise Problem(f"{name}: it does not run on this data folder, or is starting; known here: {names}") from None
    if not FolderLock.is_held(processes / name):
        raise Problem(f"{name}: it was killed: start it again, nothing is lost")
    silent = time.time() - said.at
    if silent > STALE_SECONDS:
        raise Problem(f"{name}: process {said.pid} has said nothing for {silent:.0f} s: it is frozen, or its disk full")
    if not said.is_ready:
        raise Problem(f"{name}: process {said.pid} is not ready: {said.detail}")
    return said


def _file(folder: Path) -> Path:
    return folder / "health.json"
