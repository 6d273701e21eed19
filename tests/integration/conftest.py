"""What tests against real parts share."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.logs import embedded_dsn, log_dsn
from tests.support.model import Model
from tests.support.postgres import dsn, postgres_server
from tests.support.runners import holding, isolated, process, runner

__all__ = ["dsn", "embedded_dsn", "holding", "isolated", "log_dsn", "postgres_server", "process", "runner"]


@pytest.fixture
def model(dsn: str) -> Iterator[Model]:
    """An office and its read model, in a Postgres of this test's own."""
    with closing(Model(dsn)) as model:
        yield model
