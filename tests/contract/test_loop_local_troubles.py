"""Troubles of the local store under a runner: what can't be read, who fails unseen."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from schemas.topics import Topic
from streams import keeping
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import LogError, Place
from streams.snapshots import SharedSnapshots
from streams.state import EncodedRow, Header
from tests.support.log_world import World, finish, request

PLACE = Place(Topic.CLAIMS, 0)


def requests(count: int) -> list:
    return [request(number, same=3) for number in range(count)]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "local", rows=1)
    yield store
    store.close()


def overwrite_a_part(folder: Path) -> None:
    """64 bytes in the middle of the largest file of rows."""
    largest = max(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(b"\xff" * 64)


def test_rows_that_cannot_be_read_are_not_left_out_of_a_snapshot(local: LocalStore, tmp_path: Path) -> None:
    world, snapshots = World(requests(12)), SharedSnapshots(tmp_path / "shared")
    finish(world.runner(local=local, every=1_000), limit=1).checkpoint()
    state = local.open(PLACE)
    for number in range(1_000):
        state._db[b"=x%03d" % number] = os.urandom(64)
    state._db.flush()
    state.close()
    overwrite_a_part(tmp_path / "local" / "claims-0")
    runner = world.runner(local=local, checkpoints=snapshots, every=1)
    writer = keeping._Writer(snapshots, runner.header(), b"{}", local._open[PLACE])
    writer._thread.join()
    with pytest.raises(LogError, match=r"^the local state in .*claims-0 is damaged: Corruption: .* it is made anew$"):
        writer.is_done()
    assert snapshots.offsets(PLACE) == []
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_a_writer_of_snapshots_that_fails_as_nobody_foresaw_is_heard_of(local: LocalStore, tmp_path: Path) -> None:
    class Broken(SharedSnapshots):
        def write(self, header: Header, head: bytes, rows: Iterable[EncodedRow]) -> None:
            raise ValueError("nobody foresaw this")

    runner = World(requests(40)).runner(checkpoints=Broken(tmp_path / "shared"), local=local, every=5)
    runner.poll(6)
    runner._keeper._writer._thread.join()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nobody foresaw this"):
        finish(runner, limit=5)
