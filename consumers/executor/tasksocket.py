"""How a running task speaks: a Unix socket of its own, one JSON object a line in, one back.

    {"op": "queue", "request_id": "…", "task": {…the keys of a job file's task…}}   -> {"ok": true, "child": uuid}
    {"op": "report", "progress": 0.5, "success": true, "output": "md5+size"}         -> {"ok": true}
    anything that can't be done                                                      -> {"ok": false, "reason": "…"}

An `ok` means that the machine has accepted it. A request may be repeated: with the same `request_id` and task it is
the same child. Everything is bounded: a line's length, the number of connections and of requests.
"""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from consumers.executor.requests import BadRequest, TaskRequests

MAX_LINE_BYTES = 2**20
MAX_CONNECTIONS = 16
MAX_REQUESTS = 200_000

_BACKLOG = 64


class TaskSocket:
    """Serves one attempt's socket from entering to leaving the context; then nobody is answered any more."""

    def __init__(self, path: Path, requests: TaskRequests) -> None:
        self._path = path
        self._requests = requests
        self._listener = socket.socket(socket.AF_UNIX)
        self._slots = threading.Semaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._left = MAX_REQUESTS
        self._ended = False

    def __enter__(self) -> "TaskSocket":
        self._listener.bind(str(self._path))
        self._path.chmod(0o666)  # the task may be another user; only its own sandbox shows it the way here
        self._listener.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._accept, name="task-socket", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended = True
            for connection in (self._listener, *self._open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._wake()
        self._thread.join()
        self._listener.close()

    def _wake(self) -> None:
        """End the wait for a connection by making one: shutting down a listener ends it on Linux alone."""
        with socket.socket(socket.AF_UNIX) as last, suppress(OSError):
            last.setblocking(False)
            last.connect(str(self._path))

    def _accept(self) -> None:
        while True:
            self._slots.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._ended:
                    connection.close()
                    return
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="task-socket", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines, suppress(OSError):
                while line := lines.readline(MAX_LINE_BYTES + 1):
                    connection.sendall(msgspec.json.encode(self._answer(line)) + b"\n")
                    if len(line) > MAX_LINE_BYTES:
                        return
        finally:
            with self._lock:
                self._open.discard(connection)
            self._slots.release()

    def _answer(self, line: bytes) -> dict[str, Any]:
        with self._lock:
            self._left -= 1
        try:
            if len(line) > MAX_LINE_BYTES:
                raise BadRequest(f"a request is one line of at most {MAX_LINE_BYTES} bytes")
            if self._left < 0:
                raise BadRequest(f"a task may send {MAX_REQUESTS} requests, no more")
            return {"ok": True, **self._requests.handle(line)}
        except BadRequest as error:
            return {"ok": False, "reason": str(error)}
