"""An API that says which collections may be read, over TLS, and nothing else."""

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from consumers.executor.way import Way
from consumers.runners.relay import Target
from coordinator.signedtoken import KEY_BYTES
from tests.support.certificates import Authority

KEY = b"k" * KEY_BYTES
NO_REPLY = 0  # instead of a status: the connection is closed


class Readable(ThreadingHTTPServer):
    """`may`: hash to the statuses it is answered with, the last one from then on; any other hash is not found."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.may: dict[str, tuple[int, ...]] = {}
        self.asked: Counter[str] = Counter()
        self.tokens: set[str] = set()

    @property
    def way(self) -> Way:
        return Way(api=Target("127.0.0.1", self.server_port), key=KEY, insecure=True)


class _Handler(BaseHTTPRequestHandler):
    server: Readable

    def do_GET(self) -> None:
        pdh = unquote(urlsplit(self.path).path.rpartition("/")[2])
        statuses = self.server.may.get(pdh, (404,))
        status = statuses[min(self.server.asked[pdh], len(statuses) - 1)]
        self.server.asked[pdh] += 1
        self.server.tokens.add(self.headers["Authorization"])
        if status == NO_REPLY:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def readable(folder: Path) -> Iterator[Readable]:
    """One that serves while the context lasts. `folder`: for its certificate."""
    with Readable(Authority(folder).give("api")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
