"""Logs to measure on: a fresh one of the kind that is asked for, and its address for other processes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded import EmbeddedPostgres
from streams.log import Log
from streams.postgres import PostgresLog

KINDS = ("postgres",)


@contextmanager
def served(kind: str) -> Iterator[str]:
    """The address of a fresh, durable log without topics, for `connect`; its server ends with the context."""
    assert kind in KINDS, kind
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder, EmbeddedPostgres(Path(folder)) as dsn:
        yield f"{kind} {dsn}"


def connect(address: str) -> Log:
    """A log at an address that `served` gave, in any process."""
    kind, _, server = address.partition(" ")
    assert kind in KINDS, kind
    return PostgresLog(server)
