"""Snapshots: the same bytes from whoever writes them, checked before they are used, never whole in memory."""

import json
import os
import threading
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coordinator import claims, claims_state, dispatch_state, jobs, jobs_state, settings
from coordinator.claims import Claims
from coordinator.rows import Rowed
from schemas.topics import Topic
from streams import state
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import LogError, Place
from streams.loop import Runner
from streams.snapshots import DamagedSnapshot, SharedSnapshots, Snapshot
from streams.state import Header, entries, state_hash
from tests.support.log_world import World, append, finish, request
from tests.support.logtoy import Toy
from tests.support.traffic import busy_office

PLACE = Place(Topic.CLAIMS, 0)
HEAD = b'{"log_id":"l"}'


def header(offset: int, **fields: object) -> Header:
    told = {"topic": PLACE.topic, "partition": PLACE.partition, "log_id": "id", "targets": {"facts/0": "other"}}
    told |= {"offset": offset, "digest": "d" * 64, "rules": 1, "marks": {"source": (7, 0)}} | fields
    return Header(**told)  # type: ignore[arg-type]


def requests(count: int) -> list:
    return [request(number, same=3) for number in range(count)]


# --- What is written --------------------------------------------------------------------------------------------------


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [("a\nb", b'{"x": \n 1}'), ("ä", b"2"), ("ü", b'"]\\n"')]
    SharedSnapshots(tmp_path / "deep" / "down").write(header(5), HEAD, rows)
    [snapshot] = SharedSnapshots(tmp_path / "deep" / "down").load(PLACE)
    assert msgspec.structs.asdict(snapshot.header).items() >= msgspec.structs.asdict(header(5)).items()
    assert (snapshot.head(), list(snapshot.rows())) == (HEAD, rows)
    assert snapshot.header.state_hash == sha256(b"".join(entries(HEAD, rows))).hexdigest()


def test_it_can_be_read_by_people_and_their_tools(tmp_path: Path) -> None:
    SharedSnapshots(tmp_path).write(header(5), HEAD, [("f1", b'{"count":2}')])
    digest, told, head, row = (tmp_path / "claims-0" / f"{5:020d}.snapshot").read_text().splitlines()
    assert digest == sha256(told.encode() + b"\n").hexdigest()
    assert json.loads(told)["offset"] == 5
    assert json.loads(head.partition(" ")[2]) == {"log_id": "l"}
    assert json.loads(row.partition(" ")[2]) == ["f1", {"count": 2}]


def test_who_writes_the_same_writes_the_same_bytes(tmp_path: Path) -> None:
    office = busy_office(5)
    written = []
    for name, local in (("memory", None), ("local", LocalStore(tmp_path / "state", rows=0))):
        snapshots = SharedSnapshots(tmp_path / name)
        runner = Runner(office.log, Claims, 0, snapshots, local=local, every=1_000)
        while runner.poll(7):
            pass
        snapshots.keep(runner.header(), runner.machine)
        [path] = snapshots.paths(PLACE)
        written.append(path.read_bytes())
        assert Snapshot(path).header.state_hash == state_hash(runner.machine)
    assert written[0] == written[1]


def test_the_order_in_which_sources_were_met_is_no_part_of_it(tmp_path: Path) -> None:
    for name, order in (("one", "ab"), ("two", "ba")):
        marks = dict.fromkeys(order, (1, 0))
        SharedSnapshots(tmp_path / name).write(header(5, marks=marks, targets=dict.fromkeys(order, "x")), HEAD, [])
    one, two = (next((tmp_path / name).glob("*/*.snapshot")).read_bytes() for name in ("one", "two"))
    assert one == two


def test_the_newest_come_first_and_the_oldest_go(tmp_path: Path) -> None:
    for offset in (5, 100, 9, 1_000_000, 7):
        SharedSnapshots(tmp_path).write(header(offset), HEAD, [])
    assert SharedSnapshots(tmp_path).offsets(PLACE) == [1_000_000, 100, 9]
    assert [snapshot.header.offset for snapshot in SharedSnapshots(tmp_path).load(PLACE)] == [1_000_000, 100, 9]


def test_a_state_need_not_fit_in_memory(tmp_path: Path) -> None:
    rows = ((f"{number:064d}", b'"%b"' % (b"x" * 2_000)) for number in range(5_000))
    tracemalloc.start()
    try:
        SharedSnapshots(tmp_path).write(header(5), HEAD, rows)
        [snapshot] = SharedSnapshots(tmp_path).load(PLACE)
        assert sum(1 for _ in snapshot.rows()) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_no_room_is_said_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    def rows() -> object:
        yield "a", b"1"
        raise OSError(28, "No space left on device")

    with pytest.raises(LogError, match=r"^can't keep a snapshot in .*claims-0: No space left on device; make room"):
        SharedSnapshots(tmp_path).write(header(5), HEAD, rows())  # type: ignore[arg-type]
    assert list((tmp_path / "claims-0").iterdir()) == []


# --- What is wrong with it --------------------------------------------------------------------------------------------


def test_one_that_newer_code_has_written_is_left_alone(tmp_path: Path) -> None:
    snapshots = SharedSnapshots(tmp_path)
    for offset in (5, 9):
        snapshots.write(header(offset), HEAD, [])
    line = b'{"no":"such layout"}\n'
    snapshots.paths(PLACE)[0].write_bytes(sha256(line).hexdigest().encode() + b"\n" + line)
    assert [snapshot.header.offset for snapshot in snapshots.load(PLACE)] == [5]
    assert snapshots.offsets(PLACE) == [9, 5]


def test_what_a_killed_process_left_half_written_is_removed_after_a_while(tmp_path: Path) -> None:
    SharedSnapshots(tmp_path).write(header(5), HEAD, [])
    half, fresh = tmp_path / "claims-0" / "abc.new", tmp_path / "claims-0" / "def.new"
    for path in (half, fresh):
        path.write_bytes(b"half")
    os.utime(half, (1, 1))
    SharedSnapshots(tmp_path).write(header(9), HEAD, [])
    assert (half.exists(), fresh.exists()) == (False, True)
    assert SharedSnapshots(tmp_path).offsets(PLACE) == [9, 5]


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "claims-0").write_text("a file")
    with pytest.raises(LogError, match=r"^can't keep a snapshot in .*claims-0: File exists; make room there$"):
        SharedSnapshots(tmp_path).write(header(5), HEAD, [])


@pytest.mark.parametrize("where", [3, 80, -20, -3])
def test_one_flipped_byte_sets_it_aside_and_the_older_one_is_used(where: int, tmp_path: Path) -> None:
    snapshots = SharedSnapshots(tmp_path)
    for offset in (5, 9):
        snapshots.write(header(offset), HEAD, [("f1", b'{"count":2}')])
    newest = snapshots.paths(PLACE)[0]
    content = bytearray(newest.read_bytes())
    content[where] ^= 1
    newest.write_bytes(content)
    assert [snapshot.header.offset for snapshot in snapshots.load(PLACE)] == [5]
    assert newest.with_suffix(".damaged").exists()


def test_one_that_ends_too_soon_is_damaged(tmp_path: Path) -> None:
    SharedSnapshots(tmp_path).write(header(5), HEAD, [("f1", b"1"), ("f2", b"2")])
    [path] = SharedSnapshots(tmp_path).paths(PLACE)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b'8 ["f2"')])
    with pytest.raises(DamagedSnapshot, match=r"^.*\.snapshot is damaged: its bytes are not .*; remove it$"):
        Snapshot(path).check()


def test_one_of_a_newer_layout_is_left_alone(tmp_path: Path) -> None:
    SharedSnapshots(tmp_path).write(header(5), HEAD, [])
    SharedSnapshots(tmp_path).write(header(9, layout=state.LAYOUT + 1), HEAD, [])
    assert [snapshot.header.offset for snapshot in SharedSnapshots(tmp_path).load(PLACE)] == [5]
    assert SharedSnapshots(tmp_path).offsets(PLACE) == [9, 5]


# --- Runners that start from it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [False, True])
def test_a_new_node_starts_from_the_newest_snapshot(stored: bool, tmp_path: Path) -> None:
    world, snapshots = World(requests(12)), SharedSnapshots(tmp_path / "shared")
    finish(world.runner(checkpoints=snapshots, every=1), limit=1)
    append(world.log, Topic.CLAIMS, *requests(6))
    local = LocalStore(tmp_path / "local") if stored else None
    new = world.runner(checkpoints=snapshots, local=local)
    assert new.position == snapshots.offsets(PLACE)[0]
    from_zero = finish(world.runner(checkpoints=MemoryCheckpoints()))
    assert finish(new).machine.snapshot() == from_zero.machine.snapshot()


def test_the_newest_of_local_state_and_snapshot_is_taken(tmp_path: Path) -> None:
    world, snapshots, local = World(requests(30)), SharedSnapshots(tmp_path / "shared"), LocalStore(tmp_path / "local")
    world.runner(checkpoints=MemoryCheckpoints(), local=local, every=1).poll(4)
    assert world.runner(checkpoints=snapshots, local=local).position == 4
    world.runner(checkpoints=snapshots, every=1).poll(2)
    assert world.runner(checkpoints=snapshots, local=local).position == 4
    world.runner(checkpoints=snapshots, every=1).poll(5)
    assert world.runner(checkpoints=snapshots, local=local).position == 7
    assert local.open(PLACE).header.offset == 7


def test_a_damaged_snapshot_on_the_way_into_a_local_store_leaves_no_half_of_it(tmp_path: Path) -> None:
    world, snapshots = World(requests(12)), SharedSnapshots(tmp_path / "shared")
    finish(world.runner(checkpoints=snapshots, every=1), limit=1)
    for path in snapshots.paths(PLACE):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert world.runner(checkpoints=snapshots, local=LocalStore(tmp_path / "local")).position == 0


def test_a_snapshot_is_written_beside_a_running_machine(tmp_path: Path) -> None:
    world, local = World(requests(40)), LocalStore(tmp_path / "local")
    going_on, rows_read = threading.Event(), threading.Event()

    class Slow(SharedSnapshots):
        """Stops in the middle of the rows, until the runner has gone on."""

        def write(self, header: Header, head: bytes, rows: object) -> None:
            def slowly() -> object:
                for row in rows:  # type: ignore[attr-defined]
                    rows_read.set()
                    assert going_on.wait(20)
                    yield row

            super().write(header, head, slowly())  # type: ignore[arg-type]

    snapshots = Slow(tmp_path / "shared")
    runner = world.runner(checkpoints=snapshots, local=local, every=5)
    runner.poll(6)
    assert rows_read.wait(20)
    finish(runner, limit=5)
    assert runner.position > 11
    going_on.set()
    runner._keeper._writer._thread.join()  # type: ignore[union-attr]
    [snapshot] = snapshots.load(PLACE)
    assert snapshot.header.offset == 6
    at_six = world.runner(checkpoints=MemoryCheckpoints())
    at_six.poll(6)
    assert snapshot.header.state_hash == state_hash(at_six.machine)
    local.close()


def test_a_snapshot_that_cannot_be_written_stops_the_runner(tmp_path: Path) -> None:
    world, local = World(requests(40)), LocalStore(tmp_path / "local")
    (tmp_path / "shared").write_text("a file where a folder should be")
    runner = world.runner(checkpoints=SharedSnapshots(tmp_path / "shared"), local=local, every=5)
    runner.poll(6)
    runner._keeper._writer._thread.join()  # type: ignore[union-attr]
    with pytest.raises(LogError, match="can't keep a snapshot in"):
        finish(runner, limit=5)
    local.close()


def test_a_partition_that_is_given_away_leaves_its_snapshot_unwritten(tmp_path: Path) -> None:
    world, local = World(requests(40)), LocalStore(tmp_path / "local")
    started = threading.Event()

    class Waiting(SharedSnapshots):
        """Writes nothing until it is told to stop."""

        def write(self, header: Header, head: bytes, rows: object) -> None:
            def told() -> object:
                started.set()
                while runner._keeper._writer is None:
                    pass
                assert runner._keeper._writer._stopping.wait(20)
                yield from rows  # type: ignore[misc]

            super().write(header, head, told())  # type: ignore[arg-type]

    runner = world.runner(checkpoints=Waiting(tmp_path / "shared"), local=local, every=5)
    runner.poll(6)
    assert started.wait(20)
    runner.close()
    assert list((tmp_path / "shared" / "claims-0").iterdir()) == []
    assert world.runner(local=local, checkpoints=MemoryCheckpoints()).position == 6
    local.close()


# --- Layout -----------------------------------------------------------------------------------------------------------


def test_whoever_changes_what_a_state_consists_of_raises_the_layout() -> None:
    """If this fails, add 1 to streams.state.LAYOUT and put the new digest here.

    Records are not looked at: they leave out what has its default, and their golden files hold the rest.
    """
    kept = [claims.State, claims_state.Claim, jobs.State, jobs_state.Tree, settings.State, dispatch_state.State]
    fields: dict[str, list[str]] = {}
    for kind in msgspec.inspect.multi_type_info(kept):
        note_fields(kind, fields)
    digest = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    assert (state.LAYOUT, digest[:16]) == (5, "722f5cebf0c8077a")


def note_fields(kind: Any, fields: dict[str, list[str]]) -> None:
    """The fields of all structs that a type leads to."""
    if isinstance(kind, msgspec.inspect.StructType):
        if kind.cls.__qualname__ in fields or kind.cls.__struct_config__.omit_defaults:
            return
        fields[kind.cls.__qualname__] = [field.encode_name for field in kind.fields]
        for field in kind.fields:
            note_fields(field.type, fields)
    elif isinstance(kind, msgspec.inspect.Type):
        for part in (getattr(kind, name) for name in kind.__struct_fields__):
            for inner in part if isinstance(part, tuple) else (part,):
                note_fields(inner, fields)


def test_the_machines_with_rows_are_known_as_such() -> None:
    assert isinstance(Claims(), Rowed)
    assert isinstance(jobs.Jobs(), Rowed)
    assert isinstance(Toy(), Rowed)
