"""How the log and the read model are reached: as the configuration says, or as the `up` on the data folder does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from gateway import runtime
from gateway.config import Config
from gateway.runtime import Running
from gateway.session import Session
from readmodel import registry
from readmodel.connection import Connection, connect
from schemas.topics import Topic
from streams.admin import create_topics
from streams.log import Log, Place
from streams.postgres import PostgresLog

PATIENCE = 15.0  # seconds in which a log that went away may come back


class Reach(NamedTuple):
    """Configuration of the log, DSN of the read model; the local `up`, if one runs."""

    config: Config
    dsn: str
    running: Running | None


def find(session: Session) -> Reach:
    """By the configuration where it names a Postgres, from any machine; else through the running `up`.

    Raises NotRunning where there is neither.
    """
    config = session.config
    if config.postgres.dsn:
        return Reach(config, config.postgres.dsn, runtime.seen(session.folders))
    running = runtime.find(session.folders)
    return Reach(_with_kafka(config, running.kafka), running.dsn, running)


@contextmanager
def database(session: Session) -> Iterator[str]:
    """The DSN of the configured Postgres, or of our own in the data folder, which nobody else has open, until the end.

    Raises EmbeddedError.
    """
    if session.config.postgres.dsn:
        yield session.config.postgres.dsn
        return
    from streams.embedded import EmbeddedPostgres

    with EmbeddedPostgres(session.folders.data) as dsn:
        yield dsn


def _with_kafka(config: Config, servers: str) -> Config:
    return msgspec.structs.replace(config, kafka=msgspec.structs.replace(config.kafka, servers=servers))


def open_log(config: Config, dsn: str, patience: float = PATIENCE) -> Log:
    """The log that the configuration names, or else the one in the database at `dsn`."""
    if config.kafka.servers:
        from streams.kafka import KafkaLog

        return KafkaLog(config.kafka.settings(patience))
    return PostgresLog(dsn, patience=patience)


def make_topics(log: Log) -> None:
    """Make the topics that are missing. Raises LogError."""
    if isinstance(log, PostgresLog):
        create_topics(log)
    else:
        from gateway.topics import make_missing
        from streams.kafka import KafkaLog

        assert isinstance(log, KafkaLog)
        make_missing(log, {})


def store_identity(log: Log) -> str:
    """The name that the content store of this log has in its marker. Raises LogError."""
    return log.genesis(Place(Topic.SETTINGS, 0)).log_id


def registry_of(session: Session) -> Connection:
    """A connection to the database where the API keeps what is its own, its tables made. Raises ReadModelError."""
    rows = connect(find(session).dsn)
    registry.prepare(rows)
    return rows
