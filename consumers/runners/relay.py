"""The outer end of a task's way to the API: Unix sockets in its folder, each of which leads to one place and no other.

A sandbox has no network. What its inner end (`consumers/crunch_relay.py`) takes on its loopback goes into one of these
sockets as it is, and from here to the host and port that this node was configured with. Which socket it came by is all
that decides where it goes: there is nothing in what a task sends that could name another place.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from consumers.unixserver import UnixServer

MAX_CONNECTIONS = 32
_CONNECT_SECONDS = 10.0
_CHUNK = 65536


class Target(NamedTuple):
    """Where a socket leads to."""

    host: str
    port: int


class Relay:
    """Serves a socket for each target while the context lasts. `targets`: path of the socket to where it leads."""

    def __init__(self, targets: Mapping[Path, Target]) -> None:
        self._servers = [UnixServer(path, partial(_carry, target), MAX_CONNECTIONS) for path, target in targets.items()]
        self._stack = ExitStack()

    def __enter__(self) -> "Relay":
        with ExitStack() as stack:
            for server in self._servers:
                stack.enter_context(server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _carry(target: Target, near: socket.socket) -> None:
    """Both ways, until both have ended. A place that does not answer is the task's to see: its connection ends."""
    with socket.create_connection(target, _CONNECT_SECONDS) as far:
        far.settimeout(None)
        back = threading.Thread(target=_pump, args=(far, near), name="relay", daemon=True)
        back.start()
        try:
            _pump(near, far)
        finally:
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one of the two is gone: the other shall hear of it
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
