"""Logs to measure on: a fresh one of the kind that is asked for, on a server of the bench's own."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from streams.broker import LocalBroker
from streams.embedded import EmbeddedPostgres
from streams.log import Log
from streams.postgres import PostgresLog

KINDS = ("postgres", "kafka")


@contextmanager
def fresh_log(kind: str) -> Iterator[Log]:
    """A durable log without topics; its server ends with the context."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-")))
        if kind == "postgres":
            yield stack.enter_context(closing(PostgresLog(stack.enter_context(EmbeddedPostgres(folder)))))
        else:
            broker = stack.enter_context(LocalBroker(folder))
            yield stack.enter_context(closing(kafka_log(broker.servers)))


def kafka_log(servers: str, prefix: str = "crunch-reuse.") -> Log:
    """The log of this prefix on these brokers."""
    from streams.kafka import KafkaLog  # needed by few
    from streams.kafka_settings import KafkaSettings

    return KafkaLog(KafkaSettings(servers=servers, prefix=prefix))
