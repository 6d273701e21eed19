"""What a process shows to who watches over it, by HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz`.

Nothing of it is a user's: no name, job or fingerprint stands there. So it asks for no token; it listens where the
configuration says, and nowhere by default.
"""

import logging
import socket
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.health import STALE_SECONDS, Standing
from gateway.problems import Refused, one_line

LOGGER = logging.getLogger(__name__)
READ_SECONDS = 10.0  # for a client to say what it wants
TEXT = "text/plain; charset=utf-8"

Reply = tuple[int, str, bytes]  # status, content type, body


class Condition:
    """How the process is, as its main thread says from time to time; for any thread. `clock`: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: tuple[Standing, float | None] = (Standing(is_ready=False, detail="starting"), None)

    def say(self, standing: Standing, *, again: bool = True) -> None:
        """How it is now. `again`: it will soon be said again, and silence means that the process hangs."""
        self._said = (standing, self._clock() if again else None)

    @property
    def standing(self) -> Standing:
        """What was said last."""
        return self._said[0]

    def silent(self) -> float:
        """Seconds for which it has been silent for longer than it should; 0: it lives."""
        at = self._said[1]
        silence = 0.0 if at is None else self._clock() - at
        return silence if silence > STALE_SECONDS else 0.0


class Exposition:
    """Serves until `stop`, in threads. Refused where the address can't be had. `address`: `host:port`."""

    def __init__(self, listen: str, port: int, registry: CollectorRegistry, condition: Condition) -> None:
        self._registry = registry
        self._condition = condition
        try:
            self._server = _Server((listen, port), self._handler())
        except OSError as error:
            why = error.strerror or error
            raise Refused(
                f"metrics: can't listen at {listen} port {port}: {why}: set metrics.listen and metrics.port"
            ) from error
        host, bound = self._server.server_address[:2]
        self.address = f"[{host!s}]:{bound}" if ":" in str(host) else f"{host!s}:{bound}"

    def run(self) -> None:
        """Serve."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Let `run` return; from another thread."""
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, accepted: str) -> Reply:
        """What a GET of this path is answered."""
        match path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(accepted)
                return 200, content_type, encode(self._registry)
            case "/healthz":
                silent = self._condition.silent()
                return (503, TEXT, f"silent for {silent:.0f} s\n".encode()) if silent else (200, TEXT, b"alive\n")
            case "/readyz":
                is_ready, detail = self._condition.standing
                is_ready = is_ready and not self._condition.silent()
                return 200 if is_ready else 503, TEXT, f"{one_line(detail)}\n".encode()
        return 404, TEXT, b"here are /metrics, /healthz and /readyz\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exposition = self

        class Handler(BaseHTTPRequestHandler):
            timeout = READ_SECONDS
            server_version = "crunch-reuse"
            sys_version = ""

            def do_GET(self) -> None:
                status, content_type, body = exposition.reply(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Who asks, and how often, is no news."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, _request: object, _client_address: object) -> None:
        """A client that went away in the middle is its own affair; anything else is ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            LOGGER.error("metrics: %s: %s", type(error).__name__, error)
