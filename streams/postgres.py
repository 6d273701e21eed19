"""The log in Postgres: the adapter for one machine, or for any number of processes on one database.

Its rules are in sql/log.sql. Two connections at most: one for questions and appends, one that listens for who waits;
each is made when it is first needed. A lost connection is made again for whatever may be asked twice. An append is
sent once: if the connection breaks under it, nobody knows, so it raises.
"""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psycopg
from psycopg.types.numeric import Int4, Int8

from schemas.codec import encode
from schemas.log import Genesis
from schemas.topics import Topic
from streams.address import Address
from streams.genesis import random_id, read_genesis
from streams.link import Connection, Link, Rows, connect, translated
from streams.listener import Listener
from streams.log import Append, Floor, LogMismatch, Place, Stored, out_of_range
from streams.sql import statements

LAYOUT = 2
READ_BYTES = Int8(16 * 1024 * 1024)
SQL = statements()
TOPICS = frozenset(topic.value for topic in Topic)


class Known(NamedTuple):
    """A partition: its id in Postgres and its first record."""

    id: Int4
    genesis: Genesis


class PostgresLog:
    """The log in schema `log` of the database at `dsn`.

    `patience`: seconds in which a server that went away may come back before its absence is an error.
    `new_id`: makes log ids.
    """

    def __init__(self, dsn: str, patience: float = 15.0, new_id: Callable[[], str] = random_id) -> None:
        self._dsn = dsn
        self._longest_patience = patience
        self._new_id = new_id
        self.known: dict[Place, Known] = {}  # learnt at each new connection, shared with clones
        self._has_room_beside = False
        self._closed = threading.Event()
        self._link = Link(dsn, self._check, self._patience, self._closed)
        self._listener = Listener(dsn, self._check, self._patience)

    def create(self, partitions: dict[Topic, int]) -> None:
        """Make the layout and the topics that are missing, all or nothing. Raises LogMismatch on another count."""
        connection = connect(self._dsn)
        try:
            with connection.transaction():
                _make_layout(connection)
                present = _known(connection.execute(SQL["partitions"], binary=True).fetchall())
                for topic, count in partitions.items():
                    self._create_topic(connection, topic, count, _count(present, topic))
        except psycopg.Error as error:
            raise translated(error, connection) from error
        finally:
            connection.close()

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of the topic. Raises LogMismatch if it does not exist."""
        self._find(Place(topic, 0))
        return _count(self.known, topic)

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record, also after a trim."""
        return self._find(place).genesis

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append all records in one transaction; their offsets. LogUnreachable: it may have taken effect or not."""
        if not records:
            return []
        [[offsets]] = self._link.once(SQL["append"], self._columns(records))
        return list(offsets)

    def append_beside(self, records: Sequence[Append], beside: Sequence[str]) -> list[int]:
        """As `append`, with a text beside each record."""
        if not records:
            return []
        self._make_room_beside()
        [[offsets]] = self._link.once(SQL["append_beside"], (*self._columns(records), list(beside)))
        return list(offsets)

    def read_beside(self, place: Place, offset: int, limit: int) -> tuple[list[Stored], dict[int, str]]:
        """As `read`, and by offset the texts that stand beside the records."""
        self._make_room_beside()
        records = self.read(place, offset, limit)
        if not records:
            return [], {}
        bounds = (self._find(place).id, Int8(offset), Int8(records[-1].offset))
        return records, dict(self._link.ask(SQL["read_beside"], bounds))

    def _make_room_beside(self) -> None:
        """The table for it, which is made where somebody wants it."""
        if self._has_room_beside:
            return
        connection = connect(self._dsn)
        try:
            with connection.transaction():
                connection.execute(SQL["lock_layout"])
                connection.execute(SQL["beside"], prepare=False)
        except psycopg.Error as error:
            raise translated(error, connection) from error
        finally:
            connection.close()
        self._has_room_beside = True

    def _columns(self, records: Sequence[Append]) -> tuple[list[Int4], list[bytes], list[bytes]]:
        ids = [self._find(record.place).id for record in records]
        return ids, [record.key.encode() for record in records], [record.value for record in records]

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on. Raises LogMismatch below the start or beyond the end."""
        rows = self._link.ask(
            SQL["read"],
            {
                "partition_id": self._find(place).id,
                "offset": Int8(offset),
                "limit": Int8(limit),
                "bytes": READ_BYTES,
            },
        )
        start, end = rows[0][:2]
        if not start <= offset <= end:
            raise out_of_range(place, offset, start, end)
        return [Stored(at, time, key.decode(), value) for _, _, at, time, key, value in rows if at is not None]

    def end(self, place: Place) -> int:
        """Offset that the next record of the partition will get."""
        return self._bounds(place)[1]

    def start(self, place: Place) -> int:
        """Lowest offset still there."""
        return self._bounds(place)[0]

    def trim(self, place: Place, before: int) -> None:
        """Forget records below `before`, at most all there are."""
        self._link.ask(SQL["trim"], {"partition_id": self._find(place).id, "before": Int8(before)})

    def wait(self, positions: dict[Place, int], timeout: float) -> set[Place]:
        """Places with a record at or beyond their position, once there is one; none after `timeout` seconds."""
        places = {int(self._find(place).id): place for place in positions}
        moved = self._listener.wait({one: positions[place] for one, place in places.items()}, timeout)
        return {places[one] for one in moved}

    def wake(self) -> None:
        """End the wait that is under way here, or else the next one."""
        if not self._closed.is_set():
            self._listener.wake()

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The reader's emitted floor in this partition, or None if it never had one."""
        rows = self._link.ask(SQL["floor"], (reader, self._find(place).id))
        return Floor(*rows[0]) if rows else None

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Raise the floor; one that is not higher is ignored."""
        identity = self._find(place).id
        self._link.ask(SQL["move_floor"], (reader, identity, Int8(floor.offset), floor.digest, floor.log_id))

    def address(self) -> Address:
        """The database's, which may hold a password."""
        arguments = {"dsn": self._dsn, "patience": self._longest_patience}
        return Address(opener="streams.postgres:PostgresLog", arguments=arguments)

    def clone(self) -> "PostgresLog":
        """The same log for another thread. It connects when it is first used."""
        other = PostgresLog(self._dsn, self._longest_patience, self._new_id)
        other.known = self.known
        other._has_room_beside = self._has_room_beside
        return other

    def close(self) -> None:
        """Wake who waits, and hang up once what is being done is done."""
        self._closed.set()
        self._listener.close()
        self._link.close()

    def _bounds(self, place: Place) -> tuple[int, int]:
        [[start, end]] = self._link.ask(SQL["bounds"], (self._find(place).id,))
        return start, end

    def _find(self, place: Place) -> Known:
        if place not in self.known:
            self.known.update(_known(self._link.ask(SQL["partitions"])))
        try:
            return self.known[place]
        except KeyError:
            raise LogMismatch(f"the log has no partition {place}: create its topics first") from None

    def _patience(self) -> float:
        return self._longest_patience if self.known else 0.0

    def _check(self, connection: Connection) -> None:
        """Look whether a new connection leads to a log of our layout, and to the same one as before."""
        if _layout(connection) < LAYOUT:
            with connection.transaction():
                _make_layout(connection)
        present = _known(connection.execute(SQL["partitions"], binary=True).fetchall())
        for place, known in self.known.items():
            if present.get(place) != known:
                raise LogMismatch(
                    f"{place} is not the partition it was: the log was made anew or restored; start again"
                )
        self.known.update(present)

    def _create_topic(self, connection: Connection, topic: Topic, count: int, present: int) -> None:
        if present not in (0, count):
            raise LogMismatch(f"topic {topic} has {present} partitions, not {count}: they never change")
        for partition in range(present, count):
            genesis = encode(Genesis(log_id=self._new_id(), topic=topic, partition=partition, partitions=count))
            rows = connection.execute(SQL["create_partition"], (topic, partition, genesis)).fetchall()
            connection.execute(SQL["append"], ([Int4(rows[0][0])], [b""], [genesis]))


def _count(known: dict[Place, Known], topic: Topic) -> int:
    return sum(place.topic is topic for place in known)


def _known(rows: Rows) -> dict[Place, Known]:
    """Partitions by place; topics that newer code has added are not ours to see."""
    found = {}
    for identity, topic, partition, genesis in rows:
        if topic in TOPICS:
            place = Place(Topic(topic), partition)
            found[place] = Known(Int4(identity), read_genesis(place, genesis))
    return found


def _make_layout(connection: Connection) -> None:
    """Bring the layout to the version that this code knows; who comes second waits, and finds it done."""
    connection.execute(SQL["lock_layout"])
    [[exists]] = connection.execute(SQL["layout_exists"]).fetchall()
    if not exists or _layout(connection) < LAYOUT:
        connection.execute(SQL["layout"], prepare=False)
        connection.execute(SQL["keep_layout_version"], (LAYOUT,))


def _layout(connection: Connection) -> int:
    """The layout's version. Raises LogMismatch where it is newer than this code."""
    [[version]] = connection.execute(SQL["layout_version"]).fetchall()
    if version > LAYOUT:
        raise LogMismatch(f"the log in Postgres has layout {version}, this code knows {LAYOUT}: upgrade crunch-reuse")
    return int(version)
