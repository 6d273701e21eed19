"""A Unix socket that is served while a context lasts, a thread for each connection, no more of them than it is told."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_BACKLOG = 64
_PAUSE = 0.1  # seconds, after a connection could not be taken


class UnixServer:
    """Calls `serve` with each connection to `path`, in a thread; closes the connection when that returns.

    `most`: connections at one time; more wait. On leaving the context all are shut down, and nobody is served any more.
    """

    def __init__(self, path: Path, serve: Callable[[socket.socket], object], most: int) -> None:
        self._path = path
        self._serve = serve
        self._listener = socket.socket(socket.AF_UNIX)
        self._slots = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()

    def __enter__(self) -> "UnixServer":
        self._path.unlink(missing_ok=True)
        self._listener.bind(str(self._path))
        self._path.chmod(0o666)  # the task may be another user; only its own sandbox shows it the way here
        self._listener.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._accept, name=f"serve-{self._path.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended.set()
            for connection in (self._listener, *self._open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._slots.release()  # it may be waiting for a connection to end, or for one to come
        self._wake()
        self._thread.join()
        self._listener.close()

    def _wake(self) -> None:
        """End the wait for a connection by making one: shutting down a listener ends it on Linux alone."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.setblocking(False)
            last.connect(str(self._path))

    def _accept(self) -> None:
        while not self._ended.is_set():
            self._slots.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the process has all the files open that it may have, say: others let go of some
                self._slots.release()
                self._ended.wait(_PAUSE)
                continue
            with self._lock:
                if self._ended.is_set():
                    connection.close()
                    return
                self._open.add(connection)
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._attend, args=(connection,), name=self._thread.name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads now: who asked is hung up on, and may ask again
            self._leave(connection)

    def _attend(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                self._serve(connection)
        finally:
            self._leave(connection)

    def _leave(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()
        self._slots.release()
