"""The executor's end of the pipe to its watchdog."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

import consumers
from consumers.runners.reap import Hold
from consumers.watchdog import Note

_END_SECONDS = 30


class Guard:
    """A watchdog process, told from any thread what to kill and when. One that died is replaced and told again."""

    def __init__(self, engine: str = "") -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._deadline: int | None = None
        self._server = Note()
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

    def until(self, deadline: int) -> None:
        """All work may go on until then, in milliseconds of the monotonic clock."""
        with self._lock:
            if deadline != self._deadline:
                self._deadline = deadline
                self._tell(Note(deadline=deadline))

    def serve(self, process: int, folder: Path) -> None:
        """This Postgres on this data folder ends with us, even where we can't end it. 0: it has ended."""
        with self._lock:
            self._server = Note(server=process, folder=str(folder))
            self._tell(self._server)

    def close(self) -> None:
        """Let the watchdog end, after it has killed whatever is still held."""
        with self._lock:
            if self._process.stdin:
                self._process.stdin.close()
        self._process.wait(_END_SECONDS)

    def _start(self) -> "subprocess.Popen[bytes]":
        root = str(Path(consumers.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "consumers.watchdog"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._write(process, Note(engine=self._engine))
        return process

    def _tell(self, note: Note) -> None:
        try:
            self._write(self._process, note)
        except BrokenPipeError:
            self._process.wait()
            self._process = self._start()
            for key, hold in self._holds.items():
                self._write(self._process, Note(key=key, hold=hold))
            self._write(self._process, self._server)
            self._write(self._process, Note(deadline=self._deadline))

    def _write(self, process: "subprocess.Popen[bytes]", note: Note) -> None:
        assert process.stdin
        process.stdin.write(msgspec.json.encode(note) + b"\n")
        process.stdin.flush()
