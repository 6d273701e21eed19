"""How processes find the running `up`: one lock that only it holds, and one file in which it says how to reach it.

The lock is the kernel's (flock): it is gone with the process, however that ended, so a file left behind by a killed
`up` is never believed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.folders import APP, Folders, default_data_folder
from gateway.problems import NotRunning
from streams.lockfile import FolderLock, take


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a running `up` says of itself."""

    pid: Annotated[int, Meta(description="process id of `up`")]
    started_at: Annotated[int, Meta(description="ms since 1970")]
    dsn: Annotated[str, Meta(description="connection string of the database behind log and read model")]
    kafka: Annotated[str, Meta(description="the brokers behind the log; empty: it is in that database too")] = ""
    api: Annotated[str, Meta(description="where it serves the API, `host:port`; empty: nowhere")] = ""
    runner: Annotated[str, Meta(description="isolation of tasks that name no image")]
    slots: Annotated[int, Meta(description="tasks at one time; 0: it dispatches nothing")]
    cores: Annotated[int, Meta(description="processor cores for tasks")]
    memory: Annotated[int, Meta(description="MiB for tasks")]
    scratch: Annotated[int, Meta(description="MiB of scratch for tasks")]


@contextmanager
def sole_owner(folders: Folders) -> Iterator[None]:
    """Hold the data folder for the one `up` that may run on it. Raises FolderInUse where another one does."""
    with take(folders.data):
        folders.runtime.unlink(missing_ok=True)
        try:
            yield
        finally:
            folders.runtime.unlink(missing_ok=True)


def announce(folders: Folders, running: Running) -> None:
    """Let other processes of this user find us. The file is replaced as a whole, and private: a DSN may be secret."""
    draft = folders.runtime.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(running))
    draft.replace(folders.runtime)


def find(folders: Folders) -> Running:
    """The running `up`. NotRunning says how to start one."""
    if not is_held(folders):
        raise NotRunning(f"nothing runs on {folders.data}: start it in another terminal with: {_start(folders)}")
    running = _read(folders.runtime)
    if running is None:
        raise NotRunning(f"`up` on {folders.data} is still starting: try again in a moment")
    return running


def seen(folders: Folders) -> Running | None:
    """The running `up`; None where there is none, or none that is ready."""
    return _read(folders.runtime) if is_held(folders) else None


def is_held(folders: Folders) -> bool:
    """Whether an `up` runs on the data folder."""
    return FolderLock.is_held(folders.data)


def _read(path: Path) -> Running | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _start(folders: Folders) -> str:
    option = "" if folders.data == default_data_folder() else f" --data-dir {folders.data}"
    return f"{APP} up{option} (in a checkout: ./run up{option})"
