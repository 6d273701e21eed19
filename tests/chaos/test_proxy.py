"""The proxy before the broker: what it holds back arrives in order, or never if its sender is gone."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from streams.broker import free_port
from tests.chaos.proxy import Proxy

SOON = 60.0


@pytest.fixture
def behind() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SOON)
        yield server


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def proxy(behind: socket.socket, port: int) -> Iterator[Proxy]:
    made = Proxy(port, behind.getsockname()[1])
    made.start()
    yield made
    made.stop()


def received(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or what came until the end."""
    connection.settimeout(SOON)
    found = b""
    while len(found) < count and (more := connection.recv(count)):
        found += more
    return found


def test_what_is_held_back_arrives_before_what_was_sent_later(proxy: Proxy, behind: socket.socket, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client, behind.accept()[0] as there:
        proxy.hold(0.3)
        client.sendall(b"first ")
        proxy.hold(0.0)
        client.sendall(b"then")
        assert received(there, 10) == b"first then"
        there.sendall(b"heard")
        assert received(client, 5) == b"heard"


def test_what_is_held_back_never_arrives_when_its_sender_is_gone(
    proxy: Proxy, behind: socket.socket, port: int
) -> None:
    proxy.hold(SOON / 2)
    with socket.create_connection(("127.0.0.1", port)) as client:
        there, _ = behind.accept()
        client.sendall(b"never")
    with there, suppress(ConnectionResetError):  # which says the same
        assert received(there, 5) == b""
