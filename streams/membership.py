"""Which partitions a process looks after, where several share the work.

Nothing rests on it but speed. Two processes on one partition can do no harm: they decide the same, and who reads drops
what was said before. So a member that is slow to let go, or frozen and believed dead, costs nothing but its repeats.

With the log in Kafka, processes share partitions through a consumer group (`streams/kafkagroup.py`). With the log in
Postgres one of them holds all, under a lock of the database's, and the others stand by: there, a second process is for
availability, and more machines are what Kafka is for.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import psycopg

from streams.link import Connection, connect, translated
from streams.log import LogUnreachable, Place

Changed = Callable[[frozenset[Place]], None]

LOCK = 0x63726E63  # class of our advisory locks: any number that nobody else locks
LOOK_SECONDS = 1.0  # between two tries to get the lock, or two looks whether we still have it
RESTARTS = 30  # looks in a row without an answer

# A holder's machine that is cut off has let go after 20 s.
KEEPALIVE = b"""
set tcp_keepalives_idle = 5;
set tcp_keepalives_interval = 5;
set tcp_keepalives_count = 3
"""


class Membership(Protocol):
    """This process's part in a group."""

    def run(self, changed: Changed) -> None:
        """Take part until `stop`.

        `changed` hears, in this thread, of all places held from now on: as soon as the group has taken us in, each time
        that changes, and at the end that there are none. What is given up goes to another when it returns.
        Raises LogError.
        """
        ...

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        ...


class Everything:
    """A group of one, which holds all of `places`."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = frozenset(places)
        self._stopping = threading.Event()

    def run(self, changed: Changed) -> None:
        """Hold everything until `stop`."""
        changed(self._places)
        self._stopping.wait()
        changed(frozenset())

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()


class OneOfMany:
    """A group in the Postgres at `dsn` of which one member holds all of `places`, until its connection ends."""

    def __init__(self, dsn: str, group: str, places: Iterable[Place]) -> None:
        self._dsn = dsn
        self._group = group
        self._places = frozenset(places)
        self._stopping = threading.Event()
        self._failures = 0

    def run(self, changed: Changed) -> None:
        """Wait for the lock, and hold it until `stop`. Raises LogUnreachable where Postgres does not come back."""
        changed(frozenset())
        while not self._stopping.is_set():
            try:
                self._take_part(changed)
            except LogUnreachable:
                self._failures += 1
                if self._failures > RESTARTS:
                    raise
                self._stopping.wait(LOOK_SECONDS)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()

    def _take_part(self, changed: Changed) -> None:
        connection = connect(self._dsn)
        held = False
        try:
            connection.execute(KEEPALIVE, prepare=False)
            while not self._stopping.is_set():
                if not held and (held := self._locked(connection)):
                    changed(self._places)
                self._stopping.wait(LOOK_SECONDS)
                connection.execute("select 1")
                self._failures = 0  # in a row, not in a lifetime
        except psycopg.Error as error:
            raise translated(error, connection) from error
        finally:
            if held:
                changed(frozenset())
            connection.close()

    def _locked(self, connection: Connection) -> bool:
        [[locked]] = connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", (LOCK, self._group)).fetchall()
        return bool(locked)
