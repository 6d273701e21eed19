"""Notices at once when the Postgres that `up` has started is gone, so that nobody waits for it to come back."""

import select
import socket
import time

import psycopg
from psycopg.errors import CannotConnectNow

from gateway.problems import Problem

RECOVERY_SECONDS = 30.0  # after a crash of one of its processes, Postgres starts anew by itself
PAUSE = 0.2  # seconds between two looks meanwhile


class ServerWatch:
    """Holds a connection that says nothing; its end is the server's."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._wake, self._waking = socket.socketpair()

    def run(self) -> None:
        """Return after `stop`. Problem as soon as the server is gone."""
        while True:
            with self._connected() as connection:
                ready, _, _ = select.select([connection.fileno(), self._wake.fileno()], [], [])
            if self._wake.fileno() in ready:
                return

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._waking.send(b"x")

    def _connected(self) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection, also where the server is just recovering."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                return psycopg.connect(self._dsn, autocommit=True, application_name="crunch-reuse watch")
            except CannotConnectNow as error:
                if time.monotonic() > deadline:
                    raise Problem("our Postgres does not recover: start `up` again") from error
                time.sleep(PAUSE)
            except psycopg.OperationalError as error:
                raise Problem("our Postgres was stopped or killed: start `up` again, nothing is lost") from error
