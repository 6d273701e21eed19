"""What a Docker engine itself says happened: independent of those who asked for it."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker

from consumers.runners.container import MARK_LABEL


class Engine:
    """Counts the containers that were started since the context was entered."""

    def __init__(self, address: str) -> None:
        self._client = docker.DockerClient(base_url=address)

    def __enter__(self) -> "Engine":
        self._since = time.time_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def started(self) -> int:
        """How many containers of ours."""
        return sum(event["timeNano"] >= self._since for event in self._events())

    def left(self) -> list[str]:
        """Containers of ours that are still there."""
        return [str(found.id) for found in self._client.containers.list(all=True, filters={"label": MARK_LABEL})]

    def _events(self) -> list[dict[str, Any]]:
        filters = {"type": "container", "event": "start", "label": MARK_LABEL}
        since = self._since // 10**9
        return list(self._client.api.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True))


class Relay:
    """An engine's address that can go away while the engine stays.

    `refused`, `muted`: what holds this text, ends the connection, or is never answered. `hidden`: instead of this text
    as many zeros arrive.
    """

    def __init__(self, path: Path, engine: str, refused: bytes = b"", muted: bytes = b"", hidden: bytes = b"") -> None:
        self._refused, self._muted, self._hidden = refused, muted, hidden
        self._silent: set[socket.socket] = set()
        self.address = f"unix://{path}"
        self.awaited = threading.Event()  # somebody waits for a container's end
        self._engine = engine.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> "Relay":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._carry, args=(source, target)))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if b"/wait HTTP" in data:
                    self.awaited.set()
                if self._refused and self._refused in data:
                    source.shutdown(socket.SHUT_RDWR)
                    break
                if self._muted and self._muted in data:
                    self._silent.add(source)
                if target not in self._silent:
                    target.sendall(data.replace(self._hidden, b"0" * len(self._hidden)) if self._hidden else data)
            target.shutdown(socket.SHUT_WR)
