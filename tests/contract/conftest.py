"""What contract suites share: the adapters that they run on, a store, a place for a tree."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.localstore import LocalStore
from tests.support.logs import debian_dsn, embedded_dsn, logs

__all__ = ["debian_dsn", "embedded_dsn", "logs"]


@pytest.fixture
def store(tmp_path: Path) -> CollectionStore:
    return CollectionStore(BlockStore.create(tmp_path / "store"))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStore]:
    """States of one process on its disk, with next to none of their rows in memory."""
    store = LocalStore(tmp_path / "local", rows=1)
    yield store
    store.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    """A path that is not there yet, another one each time."""
    counter = iter(range(10**9))
    return lambda: tmp_path / f"fresh-{next(counter)}"
