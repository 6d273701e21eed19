"""How a running task speaks: a Unix socket of its own, one JSON object a line in, one back.

    {"op": "queue", "request_id": "…", "task": {…the keys of a job file's task…}}   -> {"ok": true, "child": uuid}
    {"op": "report", "progress": 0.5, "success": true, "output": "input/path"}       -> {"ok": true}
    anything that can't be done                                                      -> {"ok": false, "reason": "…"}

An `ok` means that the machine has accepted it. A request may be repeated: with the same `request_id` and task it is
the same child. Everything is bounded: a line's length, the number of connections and of requests.
"""

import socket
import threading
from pathlib import Path
from typing import Any

import msgspec

from consumers.executor.requests import BadRequest, TaskRequests
from consumers.unixserver import UnixServer

MAX_LINE_BYTES = 2**20
MAX_CONNECTIONS = 16
MAX_REQUESTS = 200_000


class TaskSocket:
    """Serves one attempt's socket from entering to leaving the context; then nobody is answered any more."""

    def __init__(self, path: Path, requests: TaskRequests) -> None:
        self._requests = requests
        self._server = UnixServer(path, self._serve, MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._left = MAX_REQUESTS

    def __enter__(self) -> "TaskSocket":
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            while line := lines.readline(MAX_LINE_BYTES + 1):
                connection.sendall(msgspec.json.encode(self._answer(line)) + b"\n")
                if len(line) > MAX_LINE_BYTES:
                    return

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
