"""A connection to Postgres that is made again when it was lost; the one place where a driver's error becomes ours."""

import select
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus

from streams.log import LogError, LogMismatch, LogUnreachable

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = list[tuple[Any, ...]]

APPLICATION = "crunch-reuse log"
ATTEMPTS = 5  # how often a question is asked again when the connection is lost while it is asked
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two attempts to connect

# What the log relies on, whatever the server's or the role's defaults are.
SESSION = b"""
set default_transaction_isolation = 'read committed';
set default_transaction_read_only = off;
set synchronous_commit = on;
set statement_timeout = 0;
set lock_timeout = 0;
set idle_session_timeout = 0;
set jit = off
"""


def connect(dsn: str) -> Connection:
    """A connection in autocommit mode. Raises LogUnreachable."""
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            prepare_threshold=0,
            connect_timeout=10,
            application_name=APPLICATION,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
        connection.execute(SESSION, prepare=False)
    except psycopg.Error as error:
        raise LogUnreachable(f"can't connect to the log's Postgres: {_line(error)}") from error
    return connection


def translated(error: psycopg.Error, connection: Connection) -> LogError:
    """Our error for the driver's: LogUnreachable where the connection is lost, else what Postgres says is wrong."""
    if connection.broken or connection.closed or isinstance(error, errors.AdminShutdown | errors.CrashShutdown):
        return LogUnreachable(f"the log's Postgres went away: {_line(error)}")
    if isinstance(error, errors.InvalidSchemaName | errors.UndefinedTable | errors.UndefinedFunction):
        return LogMismatch(f"this database holds no log: {_line(error)}; create its topics first")
    return LogError(f"the log's Postgres refuses: {_line(error)}")


class Link:
    """One connection, for one thread at a time.

    `check`: called with each new connection before it is used; raises LogMismatch if it leads to another log.
    `patience`: seconds to go on trying when a connection that once was there can't be made again.
    """

    def __init__(
        self, dsn: str, check: Callable[[Connection], None], patience: Callable[[], float], closed: threading.Event
    ) -> None:
        self._dsn = dsn
        self._check = check
        self._patience = patience
        self._closed = closed
        self._connection: Connection | None = None
        self.lock = threading.RLock()

    def ask(self, statement: bytes, parameters: Any = None) -> Rows:
        """Rows of a statement that may be repeated without harm: it is, when the connection is lost meanwhile."""
        for attempt in range(ATTEMPTS):
            try:
                return self.once(statement, parameters)
            except LogUnreachable:
                if attempt == ATTEMPTS - 1 or self._closed.is_set():
                    raise
        raise AssertionError("not reached")

    def once(self, statement: bytes, parameters: Any = None) -> Rows:
        """Rows of a statement that is sent once: LogUnreachable means that it took effect or not."""
        with self.lock:
            connection = self.ready()
            try:
                cursor = connection.execute(statement, parameters, binary=True)
                return cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                raise translated(error, connection) from error

    def ready(self) -> Connection:
        """The connection; a new one if there is none, or if the server is seen to have hung up. Hold `lock`."""
        if self._connection is not None and not hung_up(self._connection):
            return self._connection
        self.drop()
        give_up = time.monotonic() + self._patience()
        pause = FIRST_PAUSE
        while True:
            if self._closed.is_set():
                raise LogError("the log is closed")
            try:
                self._connection = self._connect()
            except LogUnreachable:
                if time.monotonic() + pause > give_up:
                    raise
                self._closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return self._connection

    def drop(self) -> None:
        """Close the connection, if there is one. Hold `lock`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close the connection as soon as nobody is using it."""
        with self.lock:
            self.drop()

    def _connect(self) -> Connection:
        connection = connect(self._dsn)
        try:
            self._check(connection)
        except psycopg.Error as error:
            problem = translated(error, connection)
            connection.close()
            raise problem from error
        except LogError:
            connection.close()
            raise
        return connection


def hung_up(connection: Connection) -> bool:
    """Whether the server is seen to have ended the connection. Costs no round trip, so it can't see all."""
    if connection.closed:
        return True
    try:
        while readable([connection.fileno()], 0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != ConnStatus.OK


def readable(descriptors: Sequence[int], timeout: float) -> bool:
    """Whether any of the descriptors has something to read within `timeout` seconds."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split("\n", 1)[0].split())
