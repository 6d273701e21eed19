"""The local store: rows and offset together, few in memory; what is wrong with it is set aside, never trusted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.claims import Claims
from coordinator.claims_state import Claim
from coordinator.jobs import Jobs
from schemas.topics import Topic
from streams import localstore, rowcache
from streams.checkpoints import MemoryCheckpoints
from streams.faults import recreate, truncate
from streams.localstore import LocalStore
from streams.lockfile import FolderInUse
from streams.log import LogError, LogMismatch, Place
from streams.loop import Runner
from streams.snapshots import SharedSnapshots
from streams.state import EncodedRow, state_hash
from tests.support.log_world import COUNTS, Crash, CrashingLog, Fuse, World, append, finish, request
from tests.support.traffic import busy_office

PLACE = Place(Topic.CLAIMS, 0)
CHECKOUT = Path(__file__).resolve().parent.parent.parent


def requests(count: int) -> list:
    return [request(number, same=3) for number in range(count)]


# --- Rows of which few are in memory ----------------------------------------------------------------------------------


class Dict:
    """What the last commit left, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.reads = 0

    def read(self, key: str) -> bytes | None:
        self.reads += 1
        return self.rows.get(key)

    def scan(self) -> Iterator[EncodedRow]:
        return iter(sorted(self.rows.items()))

    def commit(self, rows: "rowcache.CachedRows[Row]") -> None:
        for changed, value in rows.changes():
            self.rows.pop(changed, None)
            if value is not None:
                self.rows[changed] = value
        rows.committed()


class Row(msgspec.Struct):
    value: int = 0


def use(rows: rowcache.CachedRows[Row], step: str, key: str, expected: dict[str, int]) -> None:
    """Look at a row; then perhaps change or delete it."""
    row = rows.get(key)
    assert (row.value if row else None) == expected.get(key)
    if row is not None and step == "change":
        row.value = expected[key] = row.value + 1
    elif row is not None and step == "delete":
        del rows[key], expected[key]


STEPS = st.tuples(st.sampled_from(["look", "change", "set", "delete", "commit", "all"]), st.sampled_from("abcdé"))


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40), st.integers(0, 3))
def test_rows_with_few_in_memory_are_a_dict(steps: list[tuple[str, str]], keep: int) -> None:
    below, expected = Dict(), dict[str, int]()
    rows = rowcache.CachedRows(below, Row, keep)
    for step, key in steps:
        if step == "all":
            assert [(key, row.value) for key, row in rows.items()] == sorted(expected.items())
        elif step == "commit":
            below.commit(rows)
        elif step == "set":
            rows[key], expected[key] = Row(7), 7
        else:
            use(rows, step, key, expected)
    assert [(key, row.value) for key, row in rows.items()] == sorted(expected.items())


def test_rows_that_were_just_used_are_not_read_again() -> None:
    below = Dict()
    below.rows = dict.fromkeys("abc", b'{"value":1}')
    rows = rowcache.CachedRows(below, Row, 2)
    for key in "abc":
        rows.get(key)
    rows.committed()
    for key in "bcb":
        rows.get(key)
    assert below.reads == 3
    rows.get("a")
    assert below.reads == 4


# --- A runner that keeps its state there ------------------------------------------------------------------------------


def test_a_runner_goes_on_from_its_local_store(local: LocalStore) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    append(world.log, Topic.CLAIMS, *requests(6))
    resumed = world.runner(local=local, checkpoints=MemoryCheckpoints())
    assert resumed.position > 1
    from_zero = finish(world.runner(checkpoints=MemoryCheckpoints()))
    assert finish(resumed).machine.snapshot() == from_zero.machine.snapshot()


def test_a_commit_is_due_after_few_changes(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localstore, "ROWS_CHANGED", 2)
    world = World(requests(12))
    runner = world.runner(local=local, every=1_000)
    runner.poll(2)
    assert local.open(PLACE).meta is None
    runner = world.runner(local=local, every=1_000)
    runner.poll(3)
    assert local.open(PLACE).header.offset == 3


def test_what_was_not_committed_is_decided_again(local: LocalStore) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1_000))
    assert world.runner(local=local).position == 0


def test_a_crash_at_any_point_loses_nothing(tmp_path: Path) -> None:
    commands, every = requests(3), 1
    undisturbed = World(commands).run().accepted()
    steps, blown = 0, True
    while blown:
        steps += 1
        world, fuse, local = World(commands), Fuse(steps), LocalStore(tmp_path / str(steps), rows=0)
        try:
            for partition in range(COUNTS[Topic.CLAIMS]):
                finish(world.runner(partition, log=CrashingLog(world.log, fuse), local=local, every=every), 2)
        except Crash:
            pass
        blown = fuse.blown
        for partition in range(COUNTS[Topic.CLAIMS]):
            finish(world.runner(partition, local=local, every=every))
        assert world.accepted() == undisturbed
        local.close()
    assert steps > 8


def test_the_real_machines_decide_the_same_over_a_local_store(tmp_path: Path) -> None:
    office = busy_office(3)
    local = LocalStore(tmp_path, rows=1)
    for topic, kind in ((Topic.TASKS, Jobs), (Topic.CLAIMS, Claims)):
        for number in range(office.log.partitions(topic)):
            stored = Runner(office.log, kind, number, MemoryCheckpoints(), local=local, every=2)
            whole = Runner(office.log, kind, number, MemoryCheckpoints(), every=2)
            while stored.poll(3):
                whole.poll(3)
                assert state_hash(stored.machine) == state_hash(whole.machine)
            stored.checkpoint()
            again = Runner(office.log, kind, number, MemoryCheckpoints(), local=local)
            assert state_hash(again.machine) == state_hash(whole.machine)
            assert again.machine.snapshot() == whole.machine.snapshot()
    local.close()


# --- Killed at any moment ---------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
import msgspec
from streams.localstore import LocalStore
from streams.log import Place
from streams.state import Header
from schemas.topics import Topic
from coordinator.claims import Claims
from coordinator.claims_state import Claim
state = LocalStore(Path(sys.argv[1])).open(Place(Topic.CLAIMS, 0))
machine = state.fill(Claims(), ())
offset = 0
while True:
    offset += 1
    for key in range(offset, offset + 50):
        machine.rows[str(key % 400)] = Claim(settled=(str(offset),) * 20)
    state.commit(Header(topic=Topic.CLAIMS, partition=0, log_id="a", targets={}, offset=offset, digest="", rules=1,
        marks={}), machine)
    if offset % 20 == 0:
        print(offset, flush=True)
"""


def expected_rows(offset: int) -> dict[str, str]:
    rows: dict[str, str] = {}
    for commit in range(1, offset + 1):
        rows.update({str(key % 400): str(commit) for key in range(commit, commit + 50)})
    return rows


@pytest.mark.parametrize("lines", [1, 4, 25])
def test_a_process_killed_while_it_writes_leaves_one_whole_commit(lines: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        seen = [writer.stdout.readline() for _ in range(lines)][-1]
        os.kill(writer.pid, signal.SIGKILL)
    store = LocalStore(tmp_path)
    state = store.open(PLACE)
    assert state.header.offset >= int(seen)
    rows = {key: msgspec.json.decode(row, type=Claim).settled[0] for key, row in state.scan()}
    assert rows == expected_rows(state.header.offset)
    store.close()


# --- What is wrong with it --------------------------------------------------------------------------------------------


@pytest.fixture
def worn(local: LocalStore, tmp_path: Path) -> tuple[World, Path]:
    """A world whose local store holds a state, closed; and the state's folder."""
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    local.open(PLACE).close()
    return world, tmp_path / "local" / "claims-0"


def garble(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file() and path.name != "LOCK":
            path.write_bytes(b"garbage" * 20)


def forget_the_manifest(folder: Path) -> None:
    for path in folder.glob("MANIFEST*"):
        path.unlink()


def garble_the_current(folder: Path) -> None:
    (folder / "CURRENT").write_text("nonsense\n")


@pytest.mark.parametrize("damage", [garble, forget_the_manifest, garble_the_current])
def test_a_damaged_store_is_set_aside_and_made_anew(
    damage: Callable[[Path], None], worn: tuple[World, Path], local: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    world, folder = worn
    damage(folder)
    again = world.runner(local=local, checkpoints=MemoryCheckpoints())
    assert again.position == 0
    assert folder.with_suffix(".damaged").is_dir()
    assert "was moved to claims-0.damaged" in caplog.text
    assert finish(again).machine.snapshot() == finish(world.runner(checkpoints=MemoryCheckpoints())).machine.snapshot()


def test_a_part_that_cannot_be_read_stops_the_runner_and_the_next_start_begins_anew(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    append(world.log, Topic.CLAIMS, *requests(6))
    runner = world.runner(local=local, checkpoints=MemoryCheckpoints())

    class Unreadable:
        def __init__(self, db: object) -> None:
            self.close = db.close  # type: ignore[attr-defined]

        def get(self, key: bytes) -> bytes:
            raise Exception("Corruption: block checksum mismatch")

    state = local._open[PLACE]
    state._db = Unreadable(state._db)
    with pytest.raises(LogError, match=r"^the local state in .*claims-0 is damaged: Corruption: .* it is made anew$"):
        runner.poll()
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_a_store_of_another_log_is_set_aside(local: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    finish(World(requests(12)).runner(local=local, every=1), limit=1)
    stranger = World(requests(12))
    for place in list(stranger.log.at):
        recreate(stranger.log, place.topic)
    append(stranger.log, Topic.CLAIMS, *requests(12))
    assert stranger.runner(local=local).position == 0
    assert "it is of another log" in caplog.text


def test_a_store_of_another_layout_is_set_aside(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    monkeypatch.setattr(localstore, "LAYOUT", 99)
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_a_store_moved_to_another_partition_is_set_aside(local: LocalStore, tmp_path: Path) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    local.open(PLACE).close()
    (tmp_path / "local" / "claims-0").rename(tmp_path / "local" / "claims-1")
    assert world.runner(1, local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_a_store_above_the_floor_is_not_started_from(local: LocalStore) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    world.log.floors.clear()
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 0


def test_a_store_that_the_log_was_trimmed_beyond_gives_way_to_a_snapshot(local: LocalStore, tmp_path: Path) -> None:
    world = World(requests(12))
    snapshots = SharedSnapshots(tmp_path / "shared")
    world.runner(local=local, every=1).poll(3)
    finish(world.runner(checkpoints=snapshots, every=1), limit=1)
    newest = snapshots.offsets(PLACE)[0]
    world.log.trim(PLACE, newest)
    assert world.runner(local=local, checkpoints=snapshots).position == newest


@pytest.mark.parametrize(
    ("disaster", "said"),
    [
        (lambda world: truncate(world.log, PLACE, 2), "the log was truncated"),
        (lambda world: recreate(world.log, Topic.CLAIMS), "claims/0 was made anew since a checkpoint"),
        (lambda world: recreate(world.log, Topic.FACTS), "facts/0 was made anew since a checkpoint"),
    ],
)
def test_a_store_that_says_the_log_is_not_what_it_was_stops_the_runner(
    disaster: Callable[[World], None], said: str, local: LocalStore
) -> None:
    world = World(requests(12))
    finish(world.runner(local=local, every=1), limit=1)
    disaster(world)
    world.log.floors.clear()
    with pytest.raises(LogMismatch, match=said):
        world.runner(local=local, checkpoints=MemoryCheckpoints())


def test_one_process_at_a_time(local: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(FolderInUse):
        LocalStore(tmp_path / "local")


@pytest.mark.parametrize("said", ["IO error: No space left on device", "No space left on device (os error 28)"])
def test_no_room_is_said_and_nothing_is_set_aside_for_it(
    said: str, local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise Exception(said)

    local.open(PLACE).close()
    monkeypatch.setattr(localstore, "Rdict", full_disk)
    with pytest.raises(LogError, match=r"^can't open the local state in .*claims-0: .*; make room, or remove the fol"):
        local.open(PLACE)
    assert [path.name for path in (tmp_path / "local").iterdir() if path.is_dir()] == ["claims-0"]
