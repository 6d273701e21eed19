"""Files into a backup's folder while others collect what the store no longer needs."""

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path

import pytest

from gateway.backup import contents
from store.blocks import BlockStore

LATER = 2**62  # ns; everything is older


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore.create(tmp_path / "store")


def neighbours() -> tuple[bytes, bytes]:
    """Two contents whose blocks stand in one folder, in this order."""
    seen: dict[str, bytes] = {}
    for number in range(10_000):
        content = b"%d" % number
        name = md5(content).hexdigest()
        if other := seen.get(name[:3]):
            first, second = sorted((other, content), key=lambda one: md5(one).hexdigest())
            return first, second
        seen[name[:3]] = content
    raise AssertionError("no two in one folder")


def test_a_copy_counts_what_it_holds_also_what_was_collected_since(store: BlockStore, tmp_path: Path) -> None:
    kept, collected = store.put(b"kept"), store.put(b"collected")
    assert contents.copy_store(store.root, tmp_path / "saved") == (2, 13)
    store.set_aside(collected, LATER)
    assert contents.copy_store(store.root, tmp_path / "saved") == (2, 13)
    assert contents.copy_store(tmp_path / "saved", tmp_path / "restored") == (2, 13)
    assert BlockStore(tmp_path / "restored").get(kept) == b"kept"


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_block_that_is_set_aside_while_it_is_copied(store: BlockStore, tmp_path: Path, is_forgotten: bool) -> None:
    first, second = neighbours()
    name = md5(first).hexdigest()
    locator = store.put(second)
    pipe = store.root / name[:3] / name  # the copy waits at it, and has listed its neighbour
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        copied = pool.submit(contents.copy_store, store.root, tmp_path / "saved")
        with pipe.open("wb") as writer:
            store.set_aside(locator, LATER)
            if is_forgotten:
                store.forget(LATER)
            writer.write(first)
        there = [first] if is_forgotten else [first, second]
        assert copied.result() == (len(there), sum(map(len, there)))
    assert BlockStore(tmp_path / "saved").exists(locator) is not is_forgotten
