"""Blocks that are put together: all there in the end, or nothing left behind."""

import os
from pathlib import Path

import pytest

from store.blocks import BlockStore
from store.errors import BlockCollision
from store.locator import EMPTY_BLOCK
from store.port import Data
from store.shelves import MAX_BLOCK_BYTES, MOST_WAITING
from tests.support.blocks import FOO, WANG, YU, block_file, files_under


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore.create(tmp_path / "store")


def put_together(store: BlockStore, *blocks: Data) -> list[str]:
    with store.together() as batch:
        return [batch.put(block) for block in blocks]


def test_blocks_that_are_put_together_are_there_when_that_ends(store: BlockStore) -> None:
    store.put(b"foo")
    os.utime(block_file(store, FOO), (1, 1))
    with store.together() as batch:
        locators = [batch.put(str(number).encode()) for number in range(5)]
        assert batch.put(b"0") == locators[0]
        assert batch.put(b"foo") == FOO
        assert batch.put(b"") == EMPTY_BLOCK
        assert not any(map(store.exists, locators))
    assert [store.get(locator) for locator in locators] == [str(number).encode() for number in range(5)]
    assert block_file(store, FOO).stat().st_mtime > 1
    assert list((store.root / ".tmp").iterdir()) == []


def test_where_too_much_waits_a_part_is_there_before(store: BlockStore) -> None:
    with store.together() as batch:
        locators = [batch.put(str(number).encode()) for number in range(2 * MOST_WAITING + 1)]
        assert [store.exists(locator) for locator in locators] == [True] * 2 * MOST_WAITING + [False]
        large = batch.put(bytes(MAX_BLOCK_BYTES))
        assert store.exists(large)
        assert store.exists(locators[-1])


def test_of_blocks_that_are_put_together_nothing_is_left_behind_after_an_error(store: BlockStore) -> None:
    with pytest.raises(BlockCollision):
        put_together(store, b"foo", WANG, YU)
    assert files_under(store) == []
    assert list((store.root / ".tmp").iterdir()) == []
