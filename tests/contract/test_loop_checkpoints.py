"""Checkpoints in memory: the newest first, no more than are kept, and nothing that came back changed."""

import pytest
from msgspec import Raw

from schemas.topics import Topic
from streams.checkpoints import Checkpoint, MemoryCheckpoints
from streams.log import Place

PLACE = Place(Topic.CLAIMS, 0)


def checkpoint(offset: int, place: Place = PLACE, state: bytes = b'{"a":1}') -> Checkpoint:
    return Checkpoint(
        topic=place.topic,
        partition=place.partition,
        log_id="id",
        targets={"facts/0": "other"},
        offset=offset,
        digest="d" * 64,
        rules=1,
        marks={"source": (7, 0)},
        state=Raw(state),
    )


@pytest.fixture
def store() -> MemoryCheckpoints:
    return MemoryCheckpoints(keep=3)


def offsets(store: MemoryCheckpoints, place: Place = PLACE) -> list[int]:
    assert [kept.offset for kept in store.load(place)] == store.offsets(place)
    return store.offsets(place)


def test_a_checkpoint_comes_back_as_it_was(store: MemoryCheckpoints) -> None:
    saved = checkpoint(5, state='{"käse":[1,2,{}]}'.encode())
    store.save(saved)
    [kept] = store.load(PLACE)
    assert kept == saved
    assert bytes(kept.state) == bytes(saved.state)


def test_the_newest_come_first_and_the_oldest_go(store: MemoryCheckpoints) -> None:
    for offset in (5, 100, 9, 1_000_000, 7):
        store.save(checkpoint(offset))
    assert offsets(store) == [1_000_000, 100, 9]


def test_each_partition_has_its_own(store: MemoryCheckpoints) -> None:
    other = Place(Topic.CLAIMS, 1)
    store.save(checkpoint(5))
    store.save(checkpoint(6, other))
    assert (offsets(store), offsets(store, other)) == ([5], [6])
    assert offsets(store, Place(Topic.WORK, 0)) == []


def test_the_same_offset_again_is_one_checkpoint(store: MemoryCheckpoints) -> None:
    store.save(checkpoint(5))
    store.save(checkpoint(5))
    assert offsets(store) == [5]
