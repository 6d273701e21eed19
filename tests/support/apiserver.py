"""A stand-in for the API: a small HTTP server that says who asked for what, and echoes what it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from consumers.runners.relay import Target


class ApiServer(ThreadingHTTPServer):
    """`asked`: path and Authorization of each request."""

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.asked: list[tuple[str, str]] = []

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.server_port)


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        self._reply(f"{self.server.name} {self.path}\n".encode())

    def do_PUT(self) -> None:
        self._reply(self.rfile.read(int(self.headers["Content-Length"])))

    def _reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def api_server(name: str) -> Iterator[ApiServer]:
    """One that serves while the context lasts."""
    with ApiServer(name) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
