# ruff: noqa: UP004, UP024, UP031 - it has to run on Python 2.7 too
"""crunch-task: how a running task's script queues other tasks and says how far it is.

    crunch-task queue [FILE]             queue the task in FILE or standard input: a JSON object with the keys of a job
                                         file's task, a list of them, or one a line; prints a uuid for each
    crunch-task report [--progress 0.5] [--success true|false] [--output INPUT[/PATH]]

Also a module: `queue(task)` and `report(progress=0.5)`. Needs Python 2.7 or 3 and nothing else, as whatever image the
task runs in. An error is one line on standard error and exit code 1; what was queued before it stays queued.
"""

import json
import os
import socket
import sys
import time
import uuid

MYPY = False
if MYPY:
    from typing import Any, Optional  # noqa: F401 - for the type comments

_now = getattr(time, "monotonic", time.time)  # Python 2 has only the clock that people set
PATIENCE = 60  # seconds in which an executor that went away may come back
PAUSE = 0.2
USAGE = "usage: crunch-task report [--progress 0.5] [--success true|false] [--output INPUT[/PATH]]"


class Refused(Exception):
    """It was not done; the text says why."""


class Connection(object):
    """One connection to the executor, for any number of requests.

    An executor that is started again answers at the same place, so a request whose answer did not come is asked again
    there: it has an id, and is done once.
    """

    def __init__(self, path=None):
        # type: (Optional[str]) -> None
        path = path or os.environ.get("CRUNCH_TASK_SOCKET")
        if not path:
            raise Refused("CRUNCH_TASK_SOCKET is not set: this runs inside a task only")
        self._path = path
        self._socket = None  # type: Optional[socket.socket]

    def ask(self, request):
        # type: (dict[str, Any]) -> dict[str, Any]
        """Send a request; the reply, if it is a yes. Raises Refused."""
        line = json.dumps(request, allow_nan=False).encode("utf-8") + b"\n"
        answer = json.loads(self._reply(line).decode("utf-8"))  # type: dict[str, Any]
        if not answer.get("ok"):
            raise Refused(answer.get("reason", "refused"))
        return answer

    def close(self):
        # type: () -> None
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _reply(self, line):
        # type: (bytes) -> bytes
        end = _now() + PATIENCE
        while True:
            reply = self._exchange(line)
            if reply.endswith(b"\n"):
                return reply
            if _now() >= end:
                raise Refused("no executor has answered for %d seconds" % PATIENCE)
            time.sleep(PAUSE)

    def _exchange(self, line):
        # type: (bytes) -> bytes
        """The reply; nothing, or a part of it, where the executor is gone."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.connect(self._path)
            self._socket.sendall(line)
            reply = b""
            while not reply.endswith(b"\n"):
                data = self._socket.recv(65536)
                if not data:
                    break
                reply += data
        except socket.error:
            reply = b""
        if not reply.endswith(b"\n"):
            self.close()
        return reply


def queue(task, connection=None):
    # type: (dict[str, Any], Optional[Connection]) -> str
    """Queue a task; its uuid. When this returns it is in the log. Raises Refused."""
    request = {"op": "queue", "request_id": uuid.uuid4().hex, "task": task}
    return str(_ask(request, connection)["child"])


def report(connection=None, **said):
    # type: (Optional[Connection], **Any) -> None
    """Report `progress` (0 to 1), `success` (its own verdict), `output` (INPUT[/PATH]). Raises Refused."""
    request = {"op": "report"}  # type: dict[str, Any]
    request.update(said)
    _ask(request, connection)


def _ask(request, connection):
    # type: (dict[str, Any], Optional[Connection]) -> dict[str, Any]
    own = connection or Connection()
    try:
        return own.ask(request)
    finally:
        if connection is None:
            own.close()


def _tasks(text):
    # type: (str) -> list[dict[str, Any]]
    """A list, one object, or one object a line."""
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]


def _queue_all(arguments):
    # type: (list[str]) -> None
    if arguments and arguments[0] != "-":
        with open(arguments[0], "rb") as file:
            data = file.read()
    else:
        stdin = getattr(sys.stdin, "buffer", sys.stdin)  # type: Any
        data = stdin.read()
    connection = Connection()
    for task in _tasks(data.decode("utf-8")):
        print(queue(task, connection))
    connection.close()


def _report_all(arguments):
    # type: (list[str]) -> None
    said = {}  # type: dict[str, Any]
    if len(arguments) % 2:
        raise Refused(USAGE)
    for name, value in zip(arguments[::2], arguments[1::2]):  # noqa: B905 - Python 2.7 knows no `strict`
        if name not in ("--progress", "--success", "--output"):
            raise Refused(USAGE)
        said[name[2:]] = value if name == "--output" else json.loads(value)
    report(**said)


def main(arguments):
    # type: (list[str]) -> int
    """What the arguments ask for; the exit code."""
    try:
        if arguments[:1] == ["queue"] and len(arguments) <= 2:
            _queue_all(arguments[1:])
        elif arguments[:1] == ["report"]:
            _report_all(arguments[1:])
        else:
            sys.stdout.write(str(__doc__))
            return 0 if arguments in (["--help"], ["help"]) else 2
    except (Refused, ValueError, EnvironmentError) as error:
        sys.stderr.write("crunch-task: %s\n" % error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
