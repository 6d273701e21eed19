"""What tests against real parts share."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.api import Site, site
from tests.support.kafkas import new_log
from tests.support.logs import embedded_dsn, log_dsn
from tests.support.model import Model
from tests.support.postgres import dsn, postgres_server
from tests.support.registry import pushed, served
from tests.support.runners import holding, isolated, process, runner
from tests.support.scripts import Scripts

__all__ = ["dsn", "embedded_dsn", "log_dsn", "new_log", "postgres_server"]
__all__ += ["holding", "isolated", "process", "pushed", "runner", "served"]


@pytest.fixture
def model(dsn: str) -> Iterator[Model]:
    """An office and its read model, in a Postgres of this test's own."""
    with closing(Model(dsn)) as model:
        yield model


@pytest.fixture(scope="session")
def api_site() -> Iterator[Site]:
    """A whole system with the API in front of it, shared: each test uses people of its own names where it matters."""
    shown = {"CRUNCH_REUSE_METRICS_LISTEN": "127.0.0.1", "CRUNCH_REUSE_METRICS_PORT": "0"}
    with site(environment=shown) as made:
        yield made


@pytest.fixture(scope="session")
def scripts(api_site: Site) -> Scripts:
    """Its repository of one script."""
    return Scripts(api_site)
