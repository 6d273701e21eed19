"""What befalls processes, the disks and clocks that they have, and the database that people read.

Each strike returns whom it struck; nothing where nobody was there to be struck.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streams.embedded import process_on
from tests.chaos.field import Field
from tests.chaos.town import SESSION_MS

LEASE = 15.0  # seconds, as coordinator/config.py has it
SESSION = SESSION_MS / 1000

Strike = Callable[[Field], str]


def kill(kind: str) -> Strike:
    """kill -9, with the start of another one by who looks after it."""

    def strike(field: Field) -> str:
        resident = field.one(kind)
        with resident.lock:
            return resident.name if resident.kill() else ""

    return strike


def freeze(kind: str, seconds: float) -> Strike:
    """SIGSTOP for longer than its lease or its session lasts, then SIGCONT."""

    def strike(field: Field) -> str:
        resident = field.one(kind)
        with resident.lock:
            if not resident.freeze():
                return ""
            try:
                field.hold(seconds)
            finally:
                resident.thaw()
        return resident.name

    return strike


def freeze_node(field: Field) -> str:
    """An executor stands still with its watchdog and all that it runs, for longer than its lease, and goes on."""
    resident = field.one("executor")
    with resident.lock:
        if not resident.freeze():  # first, so that it starts nothing more
            return ""
        frozen = resident.family()
        try:
            _send(frozen, signal.SIGSTOP)
            field.hold(LEASE + 3)
        finally:
            _send(frozen, signal.SIGCONT)
    return f"{resident.name} and {len(frozen) - 1} more"


def kill_watchdog(field: Field) -> str:
    """The process that would kill a frozen executor's work is killed itself."""
    resident = field.one("executor")
    with resident.lock:
        watchdogs = [process for process in resident.family() if "consumers.watchdog" in _command_line(process)]
        _send(watchdogs, signal.SIGKILL)
    return resident.name if watchdogs else ""


def replace_coordinator(field: Field) -> str:
    """A coordinator is killed, and its next start finds nothing on its disk: it has what is shared, and the log."""
    resident = field.one("coordinator")
    with resident.lock:
        resident.before_next = lambda: _remove(resident.folder)
        return resident.name if resident.kill() else ""


def rebalance(field: Field) -> str:
    """Coordinators come and go, faster than the group settles."""
    with field.alone("visitors"):
        visitors = [field.town.coordinator(f"visitor-{n}-{time.monotonic_ns()}") for n in range(2)]
        for visitor in visitors:
            visitor.start()
            field.hold(3.0)
        for visitor in visitors:
            visitor.leave()
    return "coordinators"


def two_versions(field: Field) -> str:
    """A coordinator of the next version beside those of this one."""
    with field.alone("visitors"):
        newer = field.town.coordinator(f"newer-{time.monotonic_ns()}", newer=True)
        newer.start()
        field.hold(8.0)
        newer.leave()
    return "coordinators"


def clock_jumps(field: Field) -> str:
    """A node's wall clock goes an hour ahead, then two hours back."""
    with field.alone("clock"):
        for seconds in (3600, -7200, 0):
            field.town.set_clock("executor-b", seconds)
            field.hold(3.0 if seconds else 0.0)
    return "executor-b"


def disk_full(field: Field) -> str:
    """No room where an executor and a coordinator keep what they have in hand."""
    with field.alone("disk"):
        fill(field, field.town.folder / "disk" / "ballast", 6.0)
    return "executor-c, coordinator-2"


def fill(field: Field, ballast: Path, seconds: float) -> None:
    """Leave no room on a disk for a while."""
    try:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 2**20)
        field.hold(seconds)
    finally:
        ballast.unlink(missing_ok=True)


def postgres_restarted(field: Field) -> str:
    """kill -9 of Postgres's first process, and a new start."""
    with field.alone("postgres"):
        process = process_on(field.town.folder)
        assert process, "Postgres does not run"  # 0 would be ourselves
        os.kill(process, signal.SIGKILL)
        assert field.town.postgres.start() == field.town.dsn
    return "postgres"


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):  # it was killed before it had made it
        shutil.rmtree(folder)


def _send(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _command_line(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    return ""
