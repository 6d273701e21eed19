"""A small Keep cluster: an API that names its services, and services that look at signatures as Arvados' do."""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from store.blocks import BlockStore
from store.errors import BlockMissing

TOKEN = "a token of an Arvados cluster"
NOW = 1_700_000_000
TTL = 1000


class Node(ThreadingHTTPServer):
    """One service. `status`: what it answers to everything, 0: what is right; `asked`: what it was asked for."""

    def __init__(self, cluster: "KeepCluster", root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster
        self.blocks = BlockStore.create(root)
        self.status = 0
        self.read_only = False
        self.asked: list[str] = []


class KeepCluster:
    """`key`: what locators have to be signed with, empty: no signature is looked at. `manifests`: the API's own.

    `asked`: what the API was asked for.
    """

    def __init__(self) -> None:
        self.key = b""
        self.nodes: list[Node] = []
        self.manifests: dict[str, str] = {}
        self.api = ""
        self.asked: list[str] = []

    def node_for(self, md5: str) -> Node:
        """The one that a block belongs to, in Keep's order."""
        return max(self.nodes, key=lambda node: hashlib.md5(f"{md5}{uuid_of(node)[-15:]}".encode()).hexdigest())


def uuid_of(node: Node) -> str:
    return f"zzzzz-bi6l4-{node.cluster.nodes.index(node):015d}"


@contextmanager
def keep_cluster(folder: Path, nodes: int = 1) -> Iterator[KeepCluster]:
    """A cluster of so many services, while the context lasts."""
    cluster = KeepCluster()
    with ExitStack() as stack:
        for number in range(nodes + 1):
            node = stack.enter_context(Node(cluster, folder / f"keep{number}"))
            if number == nodes:
                cluster.api, cluster.asked = f"http://127.0.0.1:{node.server_port}", node.asked
            else:
                cluster.nodes.append(node)
            thread = threading.Thread(target=node.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(node.shutdown)
        yield cluster


class _Handler(BaseHTTPRequestHandler):
    server: Node
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._may():
            return
        if "/" in self.path[1:]:
            self._answer(404, b"")
        else:
            self._answer(200, self.server.blocks.put(data, md5=self.path[1:]).encode())

    def do_DELETE(self) -> None:
        if self._may():
            self._answer(404, b"")

    def do_GET(self) -> None:
        if not self._may():
            return
        cluster, path = self.server.cluster, self.path
        if path.endswith("/keep_services/accessible"):
            items = [
                {
                    "uuid": uuid_of(node),
                    "service_host": "127.0.0.1",
                    "service_port": node.server_port,
                    "service_ssl_flag": False,
                    "read_only": node.read_only,
                }
                for node in cluster.nodes
            ]
            self._answer(200, json.dumps({"items": items}).encode())
        elif "/collections/" in path:
            text = cluster.manifests.get(path.rpartition("/")[2])
            self._answer(200 if text else 404, json.dumps({"manifest_text": text}).encode())
        else:
            self._block(path[1:])

    do_HEAD = do_GET  # noqa: N815

    def _block(self, locator: str) -> None:
        if not self._is_signed(locator):
            self._answer(403, b"not signed")
            return
        try:
            data = (self.server.blocks.root / locator[:3] / locator[:32]).read_bytes()
        except FileNotFoundError:
            self._answer(404, str(BlockMissing(locator)).encode())
        else:
            self._answer(200, data)

    def _may(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        status = self.server.status or (0 if self.headers["Authorization"] == f"OAuth2 {TOKEN}" else 401)
        if status:
            self._answer(status, b"no")
        return not status

    def _is_signed(self, locator: str) -> bool:
        key = self.server.cluster.key
        found = re.fullmatch(r"([0-9a-f]{32})\+[0-9]+\+A([0-9a-f]{40})@([0-9a-f]{8})", locator)
        if not key or found is None:
            return not key
        wanted = hmac.new(key, f"{found[1]}@{TOKEN}@{found[3]}@{TTL:x}".encode(), hashlib.sha1).hexdigest()
        return found[2] == wanted and int(found[3], 16) > NOW

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Keep-Replicas-Stored", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
