"""Troubles of the local store under a runner: what can't be read, who fails unseen, two that want one state."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.wiring_parts import machine_part
from schemas.topics import Topic
from streams import keeping
from streams.checkpoints import MemoryCheckpoints
from streams.driver import Crew, Driver
from streams.localstore import DAMAGED, LocalStore
from streams.log import Log, LogError, Place
from streams.loop import MachineType, Runner
from streams.snapshots import SharedSnapshots
from streams.state import EncodedRow, Header, state_hash
from tests.support.log_world import World, append, finish, request
from tests.support.logtoy import Toy

PLACE = Place(Topic.CLAIMS, 0)


def requests(count: int) -> list:
    return [request(number, same=3) for number in range(count)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "test", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def overwrite_a_part(folder: Path) -> None:
    """64 bytes in the middle of the largest file of rows."""
    largest = max(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(b"\xff" * 64)


def damage(world: World, local: LocalStore, folder: Path) -> None:
    """Keep a state, some of whose rows can't be read."""
    finish(world.runner(local=local, every=1_000), limit=1).checkpoint()
    state = local.open(PLACE)
    for number in range(1_000):
        state._db[b"=x%03d" % number] = os.urandom(64)
    state._db.flush()
    state.close()
    overwrite_a_part(folder)


def test_rows_that_cannot_be_read_are_not_left_out_of_a_snapshot(local: LocalStore, tmp_path: Path) -> None:
    world, snapshots = World(requests(12)), SharedSnapshots(tmp_path / "shared")
    damage(world, local, tmp_path / "local" / "claims-0")
    runner = world.runner(local=local, checkpoints=snapshots, every=1)
    writer = keeping._Writer(snapshots, runner.header(), b"{}", local._open[PLACE])
    writer._thread.join()
    with pytest.raises(LogError, match=r"^the local state in .*claims-0 is damaged: Corruption: .* it is made anew$"):
        writer.is_done()
    assert snapshots.offsets(PLACE) == []
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_what_cannot_be_read_is_said_also_where_the_disk_takes_no_mark(local: LocalStore, tmp_path: Path) -> None:
    folder = tmp_path / "local" / "claims-0"
    damage(World(requests(12)), local, folder)
    state = local.open(PLACE)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(LogError, match=r"^the local state in .*claims-0 is damaged: Corruption: .*; remove the folder"):
        list(state.scan())


def test_what_cannot_be_set_aside_is_said(local: LocalStore, tmp_path: Path) -> None:
    folder = tmp_path / "local" / "claims-0"
    local.open(PLACE).close()
    (folder / DAMAGED).touch()
    folder.with_suffix(".damaged").write_text("in the way")
    with pytest.raises(LogError, match=r"^can't set aside the local state in .*claims-0: .*; make room, or remove the"):
        local.open(PLACE)


@pytest.mark.needs("root")
def test_a_disk_that_is_full_at_the_end_costs_no_state_and_hides_no_error(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, store = World(requests(12)), LocalStore(small_disk / "local", rows=1)
    runner = finish(world.runner(local=store, every=1), limit=1)
    kept, ballast = runner.position, small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    store.close()
    assert "claims-0 was not put in order at its end: IO error: No space left on device" in caplog.text
    ballast.unlink()
    store = LocalStore(small_disk / "local", rows=1)
    assert world.runner(local=store, checkpoints=MemoryCheckpoints()).position == kept
    store.close()


def test_a_writer_of_snapshots_that_fails_as_nobody_foresaw_is_heard_of(local: LocalStore, tmp_path: Path) -> None:
    class Broken(SharedSnapshots):
        def write(self, header: Header, head: bytes, rows: Iterable[EncodedRow]) -> None:
            raise ValueError("nobody foresaw this")

    runner = World(requests(40)).runner(checkpoints=Broken(tmp_path / "shared"), local=local, every=5)
    runner.poll(6)
    runner._keeper._writer._thread.join()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nobody foresaw this"):
        finish(runner, limit=5)


def test_rows_that_cannot_be_removed_are_not_taken_for_none(local: LocalStore, tmp_path: Path) -> None:
    folder = tmp_path / "local" / "claims-0"
    local.open(PLACE).close()
    folder.symlink_to(folder.rename(tmp_path / "elsewhere"))
    with pytest.raises(
        LogError, match=r"^can't remove the local state in .*claims-0: .*; make room, or remove the fol"
    ):
        World(requests(12)).runner(local=local)


# --- Two runners of one partition in one process ----------------------------------------------------------------------


def test_a_state_that_a_successor_has_opened_is_not_damaged_by_the_former_runner(
    local: LocalStore, tmp_path: Path
) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    append(world.log, Topic.CLAIMS, *requests(6))
    former = world.runner(local=local)
    successor = world.runner(local=local)
    with pytest.raises(LogError, match=r"^the local state in .*claims-0 was closed in the midst of its use"):
        former.poll()
    former.close()
    finish(successor)
    successor.checkpoint()
    assert world.runner(local=local).position == successor.position
    assert not (tmp_path / "local" / "claims-0.damaged").exists()


def test_a_state_that_a_successor_has_opened_is_not_forgotten(local: LocalStore) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    former, successor = local.open(PLACE), local.open(PLACE)
    rows = list(successor.scan())
    for use in (former.forget, former.count, former.scan, former.frozen):
        with pytest.raises(LogError, match="was closed in the midst of its use"):
            use()
    assert rows
    assert list(successor.scan()) == rows


def test_a_commit_while_it_is_closed_is_whole(local: LocalStore) -> None:
    world = World(requests(12))
    former = finish(world.runner(local=local, every=1_000))

    class Closing:
        """Its files, which the former runner commits to before they are closed."""

        def __init__(self, db: object) -> None:
            self._db = db

        def __getattr__(self, name: str) -> object:
            return getattr(self._db, name)

        def close(self) -> None:
            former.checkpoint()
            self._db.close()  # type: ignore[attr-defined]

    state = local._open[PLACE]
    state._db = Closing(state._db)
    expected = state_hash(former.machine)
    successor = world.runner(local=local)
    assert successor.position == former.position
    assert state_hash(successor.machine) == expected


@pytest.mark.parametrize("where", ["assemble", "run"])
def test_an_error_of_the_log_after_a_stop_is_no_failure(where: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(requests(12))

    class Closed(Runner):
        def poll(self, limit: int = 1_000) -> int:
            raise stopped()

    def stopped() -> LogError:
        driver.stop()
        return LogError("the local state was closed")

    def assemble() -> Crew:
        if where == "assemble":
            raise stopped()
        return Crew([Closed(world.log, Toy, 0, world.checkpoints)])

    driver = Driver(world.log, assemble)
    driver.run()
    assert "after a stop: the local state was closed" in caplog.text


def test_after_a_stop_no_more_states_are_opened() -> None:
    world, made = World(requests(12)), []

    def make(log: Log, _machine: MachineType, number: int) -> Runner:
        made.append(number)
        part.stop()
        return world.runner(number, log=log)

    part = machine_part(world.log, Toy, range(2), make)
    part.run()
    assert made == [0]
