"""Freeing content that nothing refers to, in every order in which somebody else may touch it meanwhile."""

import os
import time
from pathlib import Path

import pytest

from store import collecting
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.errors import BlockMissing

FUTURE = time.time_ns() + 10**15


@pytest.fixture
def store(tmp_path: Path) -> CollectionStore:
    return CollectionStore(BlockStore.create(tmp_path / "store"))


def saved(store: CollectionStore, tmp_path: Path, text: str) -> str:
    folder = tmp_path / text
    folder.mkdir()
    (folder / "x").write_text(text)
    return store.save_directory(folder).portable_data_hash


def aside_of(store: CollectionStore, *kept: str, before: int = FUTURE) -> list:
    marked = collecting.mark(store.blocks, kept)
    return collecting.set_aside(store.blocks, collecting.unreferenced(store.blocks, marked, before), before)


def test_what_is_referred_to_stays_whole_and_the_rest_goes(store: CollectionStore, tmp_path: Path) -> None:
    one, two = saved(store, tmp_path, "one"), saved(store, tmp_path, "two")
    aside = aside_of(store, one)
    assert {block.locator for block in aside} == set(store.locators(one)) ^ {*store.locators(one), two, *_data("two")}
    assert store.verify(one, deep=True).verdict == "whole"
    with pytest.raises(BlockMissing):
        store.load(two)
    assert store.blocks.forget(0) == 0
    assert store.blocks.forget(FUTURE) == len(aside)


def _data(text: str) -> list[str]:
    from hashlib import md5

    return [f"{md5(text.encode(), usedforsecurity=False).hexdigest()}+{len(text)}"]


def test_what_was_touched_lately_is_left_alone(store: CollectionStore, tmp_path: Path) -> None:
    saved(store, tmp_path, "one")
    assert aside_of(store, before=0) == []


def test_what_was_renewed_after_we_looked_stays(store: CollectionStore) -> None:
    locator = store.blocks.put(b"data")
    os.utime(store.blocks._path(locator[:32]), ns=(1, 1))
    marked = collecting.mark(store.blocks, [])
    found = list(collecting.unreferenced(store.blocks, marked, 10))
    assert [block.locator for block in found] == [locator]
    store.blocks.put(b"data")
    assert collecting.set_aside(store.blocks, found, 10) == []
    assert store.blocks.get(locator) == b"data"


def test_who_writes_what_is_set_aside_has_it_anew(store: CollectionStore) -> None:
    locator = store.blocks.put(b"data")
    aside = aside_of(store)
    assert not store.blocks.exists(locator)
    store.blocks.put(b"data")
    assert store.blocks.get(locator) == b"data"
    assert collecting.restore(store.blocks, aside, collecting.Marked(kept=frozenset({locator[:32]}), missing=())) == 1
    assert store.blocks.get(locator) == b"data"
    assert store.blocks.forget(FUTURE) == 0


def test_what_is_asked_for_while_we_look_is_put_back(store: CollectionStore, tmp_path: Path) -> None:
    one = saved(store, tmp_path, "one")
    aside = aside_of(store)
    assert len(aside) == 2
    everything = frozenset(block.locator[:32] for block in aside)
    assert collecting.restore(store.blocks, aside, collecting.Marked(kept=everything, missing=())) == 2
    assert store.verify(one, deep=True).verdict == "whole"


def test_a_second_look_at_what_is_gone_has_no_effect(store: CollectionStore) -> None:
    locator = store.blocks.put(b"data")
    found = list(store.blocks.blocks())
    assert collecting.set_aside(store.blocks, found, FUTURE) == found
    assert collecting.set_aside(store.blocks, found, FUTURE) == []
    store.blocks.forget(FUTURE)
    store.blocks.put_back(locator)
    assert not store.blocks.exists(locator)


def test_a_collection_that_is_not_there_is_named(store: CollectionStore) -> None:
    absent = "a" * 32 + "+5"
    block = store.blocks.put(b"no manifest")
    marked = collecting.mark(store.blocks, [absent, block])
    assert (marked.missing, marked.kept) == ((absent,), frozenset({block[:32]}))


def test_what_is_referred_to_again_is_put_back_with_all_that_its_manifest_names(
    store: CollectionStore, tmp_path: Path
) -> None:
    one = saved(store, tmp_path, "one")
    saved(store, tmp_path, "two")
    assert len(aside_of(store)) == 4
    marked, restored = collecting.recover(store.blocks, [one])
    assert (marked.missing, restored) == ((), 2)
    assert store.verify(one, deep=True).verdict == "whole"
    assert store.blocks.forget(FUTURE) == 2


def test_nothing_more_is_looked_for_of_a_collection_that_is_gone(store: CollectionStore) -> None:
    absent = "a" * 32 + "+5"
    assert collecting.recover(store.blocks, [absent]) == (
        collecting.Marked(kept=frozenset(), missing=(absent,)),
        0,
    )
