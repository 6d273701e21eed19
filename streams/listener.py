"""Waiting for records: one connection that listens, and learns from notifications where the partitions end that it
waits for."""

import socket
import threading
import time
from collections.abc import Callable

import psycopg

from streams.link import Connection, Link, readable, translated
from streams.log import LogUnreachable
from streams.sql import statements

SQL = statements()
_CHANNEL = b"log_"


class Listener:
    """Knows the ends of partitions, by their id in Postgres, and waits for them to move.

    For one thread; `close` may come from another and wakes who waits. `check`, `patience`: as for a Link.
    """

    def __init__(self, dsn: str, check: Callable[[Connection], None], patience: Callable[[], float]) -> None:
        self._closed = threading.Event()
        self._link = Link(dsn, check, patience, self._closed)
        self._heard_on: Connection | None = None
        self._ends: dict[int, int] = {}  # of the partitions that it listens to
        self._wake, self._woken = socket.socketpair()

    def wait(self, positions: dict[int, int], timeout: float) -> set[int]:
        """The partitions (their ids) that have a record at or beyond their position, within `timeout` seconds.

        Raises LogUnreachable if the connection is lost and can't be made again in time.
        """
        deadline = time.monotonic() + timeout
        with self._link.lock:
            while not self._closed.is_set():
                connection = self._link.ready()
                try:
                    if moved := self._moved(connection, positions):
                        return moved
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        return set()
                    readable([connection.fileno(), self._woken.fileno()], remaining)
                    if self._was_woken():
                        return set()
                    connection.pgconn.consume_input()
                except psycopg.Error as error:
                    self._heard_on = None
                    problem = translated(error, connection)
                    if not isinstance(problem, LogUnreachable):
                        raise problem from error
            return set()

    def wake(self) -> None:
        """End the wait that is under way, or else the next one; from any thread."""
        self._wake.send(b"x")

    def _was_woken(self) -> bool:
        if self._closed.is_set() or not readable([self._woken.fileno()], 0):
            return False
        return bool(self._woken.recv(64))

    def close(self) -> None:
        """Wake who waits, and hang up."""
        self._closed.set()
        self._wake.close()
        self._link.close()
        self._woken.close()

    def _moved(self, connection: Connection, positions: dict[int, int]) -> set[int]:
        if connection is not self._heard_on:
            connection.add_notify_handler(lambda notice: self._hear(notice.channel, notice.payload))
            self._heard_on, self._ends = connection, {}
        while (notice := connection.pgconn.notifies()) is not None:
            self._hear(notice.relname.decode(), notice.extra.decode())
        if new := positions.keys() - self._ends.keys():
            self._listen(connection, sorted(new))
        return {partition for partition, offset in positions.items() if self._ends[partition] > offset}

    def _listen(self, connection: Connection, partitions: list[int]) -> None:
        """From now on to these too. Their ends are asked for afterwards, so that none moves unheard in between.

        A notification that comes with the answer is heard before it, and may know a later end.
        """
        listens = b";".join(b"listen %s%d" % (_CHANNEL, partition) for partition in partitions)
        connection.execute(listens, prepare=False)
        ends: dict[int, int] = dict(connection.execute(SQL["ends"]).fetchall())
        self._ends.update((one, max(self._ends.get(one, 0), ends[one])) for one in partitions)

    def _hear(self, channel: str, end: str) -> None:
        self._ends[int(channel.removeprefix(_CHANNEL.decode()))] = int(end)
