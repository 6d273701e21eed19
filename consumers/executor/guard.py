"""The executor's end of the pipe to its watchdog."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

import consumers
from consumers.executor.lease import Timing
from consumers.executor.pulse import Living
from consumers.executor.until import Until
from consumers.runners.reap import Hold
from consumers.watchdog import Note
from streams.address import Address

LOGGER = logging.getLogger(__name__)
_END_SECONDS = 30


class Guard:
    """A watchdog process, told from any thread what to kill and when. One that died is replaced and told again.

    `engine`: where the containers' engine listens. `lock`: a file that the watchdog holds locked as long as it lives,
    so that who comes after us finds it (`end_former`). `address`: of the log that it gives signs of life to.
    """

    def __init__(self, engine: str = "", lock: Path | None = None, address: Address | None = None) -> None:
        self._engine = engine
        self._lock_file = lock
        self._address = address
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._until = ""
        self._living: Living | None = None
        self._heard = Note()
        self._server = Note()
        self._ready = threading.Event()
        self._hearing = threading.Thread()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The watchdog's process."""
        return self._process.pid

    def hold(self, key: str, hold: Hold) -> None:
        """From now on this is killed if the executor can't; to be called before any of it runs."""
        with self._lock:
            self._holds[key] = hold
            self._tell(Note(key=key, hold=hold))

    def drop(self, key: str) -> None:
        """Nothing of it is left."""
        with self._lock:
            if self._holds.pop(key, None):
                self._tell(Note(drop=key))

    def watch(self, until: Path) -> None:
        """All work may go on until the moment that stands in this file."""
        with self._lock:
            self._until = str(until)
            self._tell(Note(until=self._until))

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether it has opened the log, so that a sign of life takes no longer than an append."""
        return self._address is None or self._ready.wait(seconds)

    def live(self, living: Living) -> None:
        """Give signs of life from now on."""
        with self._lock:
            self._living = living
            self._tell(_note(living))

    def hear(self, tokens: tuple[str, ...], pausing: bool) -> None:
        """What the executor holds now. To be said again and again: it shows that the executor goes on."""
        with self._lock:
            self._heard = Note(held=tokens, pausing=pausing)
            self._tell(self._heard)

    def retime(self, timing: Timing) -> None:
        """The dispatcher keeps to another lease from now on."""
        with self._lock:
            if self._living is not None:
                self._living = msgspec.structs.replace(self._living, timing=timing)
                self._tell(Note(timing=msgspec.Raw(msgspec.json.encode(timing))))

    def rest(self) -> None:
        """Give no more signs of life."""
        with self._lock:
            self._living, self._heard = None, Note()
            self._tell(Note(rest=True))

    def serve(self, process: int, folder: Path) -> None:
        """This Postgres on this data folder ends with us, even where we can't end it. 0: it has ended."""
        with self._lock:
            self._server = Note(server=process, folder=str(folder))
            self._tell(self._server)

    def close(self) -> None:
        """Let the watchdog end, after it has killed whatever is still held, containers too: nobody comes after us."""
        with self._lock:
            if self._holds:
                self._tell(Note(over=True))
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            LOGGER.warning("process %d still ends what this executor held, and goes on with it", self._process.pid)
        else:
            self._end_hearing()

    def _start(self) -> "subprocess.Popen[bytes]":
        root = str(Path(consumers.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        lock = _locked(self._lock_file) if self._lock_file else None
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "consumers.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )
        if lock is not None:
            os.pwrite(lock, b"%-20d" % process.pid, 0)
            os.close(lock)
        self._ready = threading.Event()
        self._hearing = threading.Thread(
            target=_hear, args=(process, self._ready), name="watchdog's words", daemon=True
        )
        self._hearing.start()
        self._write(process, Note(engine=self._engine))
        if self._address is not None:
            self._write(process, Note(address=msgspec.Raw(msgspec.json.encode(self._address))))
        return process

    def _tell(self, note: Note) -> None:
        try:
            self._write(self._process, note)
        except BrokenPipeError:
            self._process.wait()
            self._end_hearing()
            self._process = self._start()
            self._tell_again()

    def _end_hearing(self) -> None:
        """The watchdog is gone, and with it, unless something that it started goes on, the other end of its output."""
        self._hearing.join(_END_SECONDS)
        if self._process.stdout and not self._hearing.is_alive():
            self._process.stdout.close()

    def _tell_again(self) -> None:
        for key, hold in self._holds.items():
            self._write(self._process, Note(key=key, hold=hold))
        self._write(self._process, self._server)
        self._write(self._process, Note(until=self._until))
        if self._living is not None:
            sent = Until(Path(self._living.until)).at - self._living.timing.deadline(0)
            self._living = msgspec.structs.replace(self._living, sent=sent)
            self._write(self._process, _note(self._living))
            self._write(self._process, self._heard)

    def _write(self, process: "subprocess.Popen[bytes]", note: Note) -> None:
        assert process.stdin
        process.stdin.write(msgspec.json.encode(note) + b"\n")
        process.stdin.flush()


def _hear(process: "subprocess.Popen[bytes]", ready: threading.Event) -> None:
    """Pass on what a watchdog complains of, until it ends. An empty line, or its end: there is nothing to wait for."""
    assert process.stdout
    for line in process.stdout:
        if said := line.decode(errors="replace").strip():
            LOGGER.warning("the process beside it: %s", said)
        else:
            ready.set()
    ready.set()


def end_former(lock: Path) -> None:
    """End the watchdog that a killed executor left with this lock, before it ends what is to be gone on with.

    For who knows that the executor itself is gone. By force: it may be stopped.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            if told := file.read().strip():
                os.kill(int(told), signal.SIGKILL)
            fcntl.flock(file, fcntl.LOCK_EX)


def _locked(path: Path) -> int:
    """The lock goes with the open file: our end is closed, the watchdog's lasts as long as it does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _note(living: Living) -> Note:
    return Note(live=msgspec.Raw(msgspec.json.encode(living)))
