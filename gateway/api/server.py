"""The server around the application: its socket, TLS and limits, in a thread of its own."""

import resource
import socket
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from gateway.api.patience import Patient
from gateway.problems import Refused

CONNECTIONS = 1_000  # at one time; more are told 503
IDLE_SECONDS = 30
FILES = 4_096  # that the process may hold open, where it may have so many: connections take no file from other parts
STOP_SECONDS = 2  # for requests that are being answered
BACKLOG = 512


def bound(listen: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any free one. Refused where it can't be had."""
    # The protocol is named: asyncio turns Nagle's algorithm off only then, and with it each reply waits for 40 ms.
    made = socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((listen, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        why = error.strerror or str(error)
        raise Refused(f"api: can't listen at {listen} port {port}: {why}: set api.listen and api.port") from error
    return made


def address_of(listening: socket.socket) -> str:
    """`host:port` of the socket, as a client writes it."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{shown}:{port}"


class Server:
    """`run` serves until `stop`, which any thread may call. `protocol`: how long it waits for clients."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        certificate: Path,
        key: Path,
        protocol: type[Patient] = Patient,
    ) -> None:
        self._listening = listening
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                ssl_certfile=str(certificate),
                ssl_keyfile=str(key),
                http=protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    def run(self) -> None:
        """Serve."""
        _allow_files()
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._listening.close()

    def stop(self) -> None:
        """Let `run` return."""
        self._server.should_exit = True


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
