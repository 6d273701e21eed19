"""Clients that are silent, slow or many: they get an end, and take no place from others."""

import re
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway.api.patience import Patient
from gateway.api.server import Server, address_of, bound
from gateway.api.tls import certificate
from tests.support.api import Site

LARGE = 64 * 2**20
PATIENCE = 30.0
MANY = 2_000


class Hasty(Patient):
    """It is soon out of patience, and says so."""

    head = 0.3
    unread = 0.3
    gave_up = threading.Event()

    def give_up(self) -> None:
        super().give_up()
        self.gave_up.set()


class Terse(Patient):
    """It hears no long heads."""

    most = 2**12


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _size(asked: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await asked.body())))


async def _large(_: Request) -> StreamingResponse:
    return StreamingResponse(b"x" * 2**16 for _ in range(LARGE // 2**16))


@contextmanager
def serving(folder: Path, protocol: type[Patient] = Hasty) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server, soon out of patience if nothing else is said: its port, and what trusts it."""
    listening = bound("127.0.0.1", 0)
    made, key = certificate(folder, "127.0.0.1")
    app = Starlette(routes=[Route("/", _hello), Route("/size", _size, methods=["PUT"]), Route("/large", _large)])
    server = Server(app, listening, made, key, protocol)
    port = int(address_of(listening).rpartition(":")[2])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield port, ssl.create_default_context(cafile=str(made))
    finally:
        server.stop()
        thread.join()


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[ssl.SSLSocket]:
    """A connection to it."""
    Hasty.gave_up.clear()
    with serving(tmp_path) as (port, trusting), connected(port, trusting) as made:
        yield made


def connected(port: int, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return trusting.wrap_socket(plain, server_hostname="127.0.0.1")


def read_to_the_end(talk: ssl.SSLSocket) -> bytes:
    """What comes until the other side hangs up, politely or not."""
    read = b""
    try:
        while part := talk.recv(2**20):
            read += part
    except (ConnectionError, ssl.SSLError):
        return read
    return read


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_who_does_not_say_what_they_want_is_hung_up_on(talk: ssl.SSLSocket, said: bytes) -> None:
    talk.sendall(said)
    assert read_to_the_end(talk) == b""
    assert Hasty.gave_up.is_set()


def test_who_says_half_of_a_second_request_is_hung_up_on(talk: ssl.SSLSocket) -> None:
    talk.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert talk.recv(1_000).startswith(b"HTTP/1.1 200")
    talk.sendall(b"GET / HT")
    assert b"HTTP/1.1" not in read_to_the_end(talk)
    assert Hasty.gave_up.is_set()


def test_who_does_not_read_is_hung_up_on(talk: ssl.SSLSocket) -> None:
    talk.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    assert Hasty.gave_up.wait(PATIENCE)
    assert 0 < len(read_to_the_end(talk)) < LARGE


def test_who_says_a_head_without_end_is_hung_up_on(tmp_path: Path) -> None:
    line = b"X-More: " + b"y" * 1000 + b"\r\n"
    with serving(tmp_path, Terse) as (port, trusting), connected(port, trusting) as talk:
        talk.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + line + b"\r\n")
        assert talk.recv(1_000).startswith(b"HTTP/1.1 200")
        talk.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            talk.sendall(line * 10_000)


def test_who_says_trailers_without_end_is_hung_up_on(tmp_path: Path) -> None:
    with serving(tmp_path, Terse) as (port, trusting), connected(port, trusting) as talk:
        talk.sendall(b"PUT /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            talk.sendall(b"X-More: y\r\n" * 1_000_000)


def test_who_says_much_in_small_parts_is_heard(tmp_path: Path) -> None:
    parts = 2 * Terse.most // 100
    with serving(tmp_path, Terse) as (port, trusting), connected(port, trusting) as talk:
        talk.sendall(b"PUT /size HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(parts):
            talk.sendall(b"1\r\nx\r\n" * 100)
        talk.sendall(b"0\r\nX-Last: y\r\n\r\n")
        assert read_to_the_end(talk).endswith(b"\r\n\r\n%d" % (100 * parts))


def test_what_is_asked_at_once_is_answered_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, Patient) as (port, trusting), connected(port, trusting) as talk:
        talk.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /no HTTP/1.1\r\nConnection: close\r\n\r\n")
        said = read_to_the_end(talk)
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"200", b"404"]


def test_thousands_who_say_nothing_take_no_place_from_others(api_site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MANY + 2_000), hard))
    host, _, port = api_site.address.partition(":")
    trusting = ssl.create_default_context(cafile=str(api_site.certificate))
    ada = api_site.person("ada")
    try:
        with ExitStack() as stack:
            for number in range(MANY):
                plain = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
                if number % 40 == 0:
                    stack.enter_context(trusting.wrap_socket(plain, server_hostname=host))
            for _ in range(3):
                assert ada.get("users/current")["uuid"] == ada.uuid
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ada.get("users/current")["uuid"] == ada.uuid
