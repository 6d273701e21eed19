"""Looking at, and ending, the processes of an embedded Postgres by the folder that they work in."""

import contextlib
import os
import signal
from pathlib import Path

import psutil


def pid_of_server(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def processes_in(data: Path) -> list[int]:
    """Numbers of the living processes whose working folder is `data`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("postgres") and process.cwd() == str(data):
                found.append(process.pid)
    return found


def end_server(data: Path, how: signal.Signals) -> None:
    """Send its first process a signal that ends it, and wait until all are gone."""
    os.kill(pid_of_server(data), how)
    while processes_in(data):
        pass
