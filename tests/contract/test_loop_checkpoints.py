"""Checkpoint stores: the newest first, no more than are kept, and nothing that came back changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Raw

from schemas.topics import Topic
from streams.checkpoints import Checkpoint, CheckpointStore, DirectoryCheckpoints, MemoryCheckpoints
from streams.log import LogError, Place
from tests.support.log_world import World, finish, request

PLACE = Place(Topic.CLAIMS, 0)
Opener = Callable[[], CheckpointStore]


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


@pytest.fixture(params=["memory", "directory"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """The store, as a new process would open it."""
    memory = MemoryCheckpoints(keep=3)
    return lambda: memory if request.param == "memory" else DirectoryCheckpoints(tmp_path / "deep" / "down", keep=3)


def offsets(store: CheckpointStore, place: Place = PLACE) -> list[int]:
    return [kept.offset for kept in store.load(place)]


def test_a_checkpoint_comes_back_as_it_was(reopened: Opener) -> None:
    saved = checkpoint(5, state='{"käse":[1,2,{}]}'.encode())
    reopened().save(saved)
    [kept] = reopened().load(PLACE)
    assert kept == saved
    assert bytes(kept.state) == bytes(saved.state)


def test_the_newest_come_first_and_the_oldest_go(reopened: Opener) -> None:
    for offset in (5, 100, 9, 1_000_000, 7):
        reopened().save(checkpoint(offset))
    assert offsets(reopened()) == [1_000_000, 100, 9]


def test_each_partition_has_its_own(reopened: Opener) -> None:
    other = Place(Topic.CLAIMS, 1)
    reopened().save(checkpoint(5))
    reopened().save(checkpoint(6, other))
    assert (offsets(reopened()), offsets(reopened(), other)) == ([5], [6])
    assert offsets(reopened(), Place(Topic.WORK, 0)) == []


def test_the_same_offset_again_is_one_checkpoint(reopened: Opener) -> None:
    reopened().save(checkpoint(5))
    reopened().save(checkpoint(5))
    assert offsets(reopened()) == [5]


# --- Files -----------------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_layout(path: Path) -> None:
    from hashlib import sha256

    body = b'{"no":"such layout"}'
    path.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)


@pytest.mark.parametrize("damage", [flip, cut, empty, of_another_layout])
def test_a_damaged_checkpoint_is_set_aside_and_the_older_one_used(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    store = DirectoryCheckpoints(tmp_path)
    store.save(checkpoint(5))
    store.save(checkpoint(9))
    [newest] = tmp_path.glob("claims-0/*9.json")
    damage(newest)
    assert offsets(store) == [5]
    assert newest.with_suffix(".damaged").exists()
    assert offsets(store) == [5]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    DirectoryCheckpoints(tmp_path).save(checkpoint(5))
    half = tmp_path / "claims-0" / "abc.new"
    half.write_bytes(b"half")
    assert offsets(DirectoryCheckpoints(tmp_path)) == [5]
    assert not half.exists()


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "claims-0").write_text("a file")
    with pytest.raises(LogError, match=r"^can't keep a checkpoint in .*claims-0: File exists; make room there$"):
        DirectoryCheckpoints(tmp_path).save(checkpoint(5))


def test_a_runner_resumes_from_files_and_without_them(tmp_path: Path) -> None:
    world = World([request(number, children=1) for number in range(12)])
    finish(world.runner(checkpoints=DirectoryCheckpoints(tmp_path), every=2), limit=1)
    resumed = world.runner(checkpoints=DirectoryCheckpoints(tmp_path))
    replayed = world.runner(checkpoints=MemoryCheckpoints())
    assert resumed.position > 2
    assert replayed.position == 0
    assert finish(resumed).machine.snapshot() == finish(replayed).machine.snapshot()
