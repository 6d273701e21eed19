"""A block store over HTTP, as far as a Keep client needs it: PUT /md5, GET and HEAD /md5+size+hints."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from store.blocks import BlockStore
from store.errors import BlockMissing


@contextmanager
def keep_server(blocks: BlockStore) -> Iterator[str]:
    """Serve `blocks` on a port of this machine; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, blocks.put(data, md5=self.path[1:]).encode())

        def do_GET(self) -> None:
            try:
                self._answer(200, blocks.get(self.path[1:]))
            except BlockMissing as error:
                self._answer(404, str(error).encode())

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Keep-Replicas-Stored", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
