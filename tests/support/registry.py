"""A registry of images that wants to know who asks: as much of the distribution protocol as push and pull need."""

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import docker
import pytest
from docker.errors import ImageNotFound

USER, PASSWORD = "somebody", "only-the-helper-knows"


class Registry(ThreadingHTTPServer):
    """`refused`: requests that came without the right login."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.refused = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self._body()
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.server.refused += 1
            self._reply(401, headers={"WWW-Authenticate": 'Basic realm="tests"'})
        elif found := re.fullmatch(r"/v2/.+/blobs/uploads/(?:\?.*)?", self.path):
            self._reply(202, headers={"Location": f"{self.path.partition('?')[0]}one-and-only"})
        elif found := re.fullmatch(r"/v2/.+/blobs/uploads/one-and-only(?:\?digest=(.+))?", self.path):
            self._upload(body, (found[1] or "").replace("%3A", ":"))
        elif found := re.fullmatch(r"/v2/.+/blobs/(.+)", self.path):
            self._give("application/octet-stream", self.server.blobs.get(found[1]))
        elif found := re.fullmatch(r"/v2/.+/manifests/(.+)", self.path):
            self._manifest(found[1], body)
        else:
            self._reply(200)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - as the library calls them

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _upload(self, body: bytes, digest: str) -> None:
        kept = self.server.blobs.pop("unfinished", b"") + body
        if not digest:
            self.server.blobs["unfinished"] = kept
            self._reply(202, headers={"Location": self.path, "Range": f"0-{len(kept) - 1}"})
            return
        self.server.blobs[digest] = kept
        self._reply(201, headers={"Docker-Content-Digest": digest})

    def _manifest(self, name: str, body: bytes) -> None:
        if self.command == "PUT":
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.manifests[name] = self.server.manifests[digest] = (self.headers["Content-Type"], body)
            self._reply(201, headers={"Docker-Content-Digest": digest})
            return
        kind, manifest = self.server.manifests.get(name, ("", None))
        self._give(kind, manifest)

    def _give(self, kind: str, content: bytes | None) -> None:
        if content is None:
            self._reply(404)
            return
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._reply(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def registry() -> Iterator[Registry]:
    """One that serves while the context lasts."""
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def login_helper(folder: Path, address: str) -> Path:
    """A client's configuration that names a helper, to be found on the PATH in `folder`, which knows the password."""
    helper = folder / "docker-credential-tests"
    said = json.dumps({"ServerURL": address, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{said}'\n")
    helper.chmod(0o755)
    file = folder / "config.json"
    file.write_text(json.dumps({"credHelpers": {address: "tests"}}))
    return file


def small_image(client: docker.DockerClient, note: str) -> str:
    """The id of an image with a shell and nothing else; `note` makes it another one."""
    with io.BytesIO() as data:
        with tarfile.open(fileobj=data, mode="w") as archive:
            for file in ["/bin/sh", *_libraries("/bin/sh")]:
                archive.add(Path(file).resolve(), file)
            archive.addfile(tarfile.TarInfo(note))
        client.api.import_image_from_data(data.getvalue(), repository="crunch-reuse-tests-small", tag=note)
    return str(client.images.get(f"crunch-reuse-tests-small:{note}").id)


def _libraries(program: str) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(", listed)


class Served(NamedTuple):
    """An image that only a registry has, which wants a login: its name, its id, and the file that names a helper."""

    registry: Registry
    name: str
    image: str
    logins: Path


@pytest.fixture
def served(tmp_path: Path, docker_engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """One that is there for this test alone."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    client = docker.DockerClient(base_url=docker_engine)
    with registry() as server:
        name = f"{server.address}/private/tool:v1"
        image = small_image(client, "pushed")
        client.api.tag(image, name)
        login = {"username": USER, "password": PASSWORD}
        assert "error" not in client.images.push(name, auth_config=login)
        client.images.remove(image, force=True)
        yield Served(server, name, image, login_helper(tmp_path, server.address))
        with suppress(ImageNotFound):  # nobody pulled it
            client.images.remove(image, force=True)
    client.close()


@pytest.fixture
def pushed(served: Served) -> tuple[str, str, Path]:
    """The same without its registry."""
    return served.name, served.image, served.logins
