"""Every adapter of the log, empty, for the one contract suite; and servers of Postgres to run it on.

`Logs.new()` is an empty log; `Logs.again()` is the same log as another process would open it.
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from schemas.topics import Topic
from streams.account import choose_account
from streams.admin import EMBEDDED
from streams.broker import LocalBroker
from streams.embedded import EmbeddedPostgres
from streams.faults import FaultyLog
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.log import Append, Log, Place
from streams.memory import MemoryLog
from streams.postgres import PostgresLog

DEBIAN_POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)
ADAPTERS = [
    *("memory", "faulty", "postgres"),
    *(["postgres-debian"] if DEBIAN_POSTGRES else []),
    pytest.param("kafka", marks=pytest.mark.needs("kafka")),
]

_numbers = count(1)

CLAIMS = [Place(Topic.CLAIMS, number) for number in range(4)]
WORK = Place(Topic.WORK, 0)


class Logs:
    """Makes logs of one adapter. `make` opens one log anew; all that it opened are closed by `close`."""

    def __init__(self, make: Callable[[], Log]) -> None:
        self._make = make
        self._open: list[Log] = []

    def again(self) -> Log:
        log = self._make()
        self._open.append(log)
        return log

    def new(self) -> Log:
        log = self.again()
        log.create(EMBEDDED)
        return log

    def close(self) -> None:
        for log in self._open:
            log.close()


def records(place: Place, *values: bytes, key: str = "k") -> list[Append]:
    return [Append(place, key, value) for value in values]


def values(log: Log, place: Place, offset: int = 1) -> list[bytes]:
    """What a partition holds from `offset` on; without its Genesis by default."""
    found: list[bytes] = []
    while batch := log.read(place, offset, 1000):
        found += [record.value for record in batch]
        offset = batch[-1].offset + 1
    return found


@pytest.fixture(scope="session")
def embedded_dsn() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-log-") as folder, EmbeddedPostgres(Path(folder)) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def debian_dsn() -> Iterator[str]:
    """A server of the Debian package's version, started by hand."""
    assert DEBIAN_POSTGRES
    programs, account = DEBIAN_POSTGRES.parent, choose_account()
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-log-") as name:
        folder = Path(name)
        account.own(folder)

        def run(*command: str) -> None:
            code, said = account.run([programs / command[0], *command[1:]], folder, timeout=60)
            assert code == 0, said

        run("initdb", "-D", "d", "-U", "postgres", "--auth=trust", "--locale=C.UTF-8", "--no-sync")
        run("pg_ctl", "-D", "d", "-w", "-l", "log", "-o", f"-c listen_addresses= -k {folder}", "start")
        yield make_conninfo(host=name, user="postgres", dbname="postgres")
        run("pg_ctl", "-D", "d", "-w", "-m", "fast", "stop")


def kafka_settings(broker: LocalBroker, **more: Any) -> KafkaSettings:
    """Of a log that nobody has used yet."""
    return KafkaSettings(**{"servers": broker.servers, "prefix": f"t{next(_numbers)}.", **more})


def emptied(dsn: str) -> str:
    """The DSN of a database, after what an earlier test left there is gone."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists log cascade")
    return dsn


@pytest.fixture
def log_dsn(embedded_dsn: str) -> str:
    """DSN of a database that holds no log."""
    return emptied(embedded_dsn)


@pytest.fixture(params=ADAPTERS)
def logs(request: pytest.FixtureRequest) -> Iterator[Logs]:
    """An adapter, with nothing in it."""
    if request.param == "kafka":
        settings = kafka_settings(request.getfixturevalue("kafka_broker"))
        made = Logs(lambda: KafkaLog(settings))
        yield made
        made.close()
    elif request.param.startswith("postgres"):
        server = request.getfixturevalue("embedded_dsn" if request.param == "postgres" else "debian_dsn")
        dsn = emptied(server)
        made = Logs(lambda: PostgresLog(dsn, patience=2.0))
        yield made
        made.close()
    else:
        memory = MemoryLog()
        yield Logs(memory.clone if request.param == "memory" else lambda: FaultyLog(memory.clone()))
