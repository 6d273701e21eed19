"""The promises of the block store: whole or not at all, checked both ways, "not there" never mixed up with "gone"."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks import BlockStore
from store.errors import (
    BlockCollision,
    BlockCorrupt,
    BlockMissing,
    BlockTooLarge,
    LocatorInvalid,
    StoreFull,
    StoreUnreachable,
)
from store.locator import EMPTY_BLOCK
from store.shelves import MAX_BLOCK_BYTES
from tests.support.blocks import FOO, WANG, YU, block_file, files_under

SIGNED = FOO + "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore.create(tmp_path / "a" / "store")


def spoil(store: BlockStore, locator: str, data: bytes) -> None:
    block_file(store, locator).chmod(0o600)
    block_file(store, locator).write_bytes(data)


# --- What is put can be got ------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(data=st.binary(max_size=4096))
def test_what_is_put_can_be_got(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = BlockStore.create(tmp_path_factory.getbasetemp() / "shared-store")
    locator = store.put(data)
    assert locator == f"{hashlib.md5(data).hexdigest()}+{len(data)}"
    assert store.get(locator) == data
    assert store.exists(locator)
    store.check(locator)


def test_the_layout_is_keepstores(store: BlockStore) -> None:
    store.put(b"foo")
    assert (store.root / "acb" / "acbd18db4cc2f85cedef654fccc4a4d8").read_bytes() == b"foo"


def test_hints_are_accepted_and_dropped(store: BlockStore) -> None:
    store.put(b"foo")
    assert store.get(SIGNED) == b"foo"
    assert store.exists(SIGNED)
    store.check(SIGNED)


def test_putting_again_changes_nothing_but_the_time(store: BlockStore) -> None:
    locator = store.put(b"foo")
    os.utime(block_file(store, locator), (1, 1))
    before = time.time_ns()
    assert store.put(bytearray(b"foo")) == locator == store.put(memoryview(b"foo"))
    assert files_under(store) == [locator[:32]]
    [block] = store.blocks()
    assert (block.locator, block.size) == (FOO, 3)
    assert block.modified_ns >= before - 10**9


def test_the_empty_block_is_always_there(store: BlockStore) -> None:
    assert store.put(b"") == EMPTY_BLOCK
    assert store.get(EMPTY_BLOCK) == b""
    assert store.exists(EMPTY_BLOCK)
    store.check(EMPTY_BLOCK)
    assert list(store.blocks()) == []


def test_a_block_holds_64_mib_and_not_a_byte_more(store: BlockStore) -> None:
    data = bytes(MAX_BLOCK_BYTES)
    assert store.get(store.put(data)) == data
    with pytest.raises(BlockTooLarge, match="67108865 bytes"):
        store.put(bytes(MAX_BLOCK_BYTES + 1))


def test_creating_a_store_again_leaves_it_as_it_is(store: BlockStore) -> None:
    store.put(b"foo")
    assert BlockStore.create(store.root).get(FOO) == b"foo"


def test_a_store_lists_and_removes_its_blocks(store: BlockStore) -> None:
    locators = sorted(store.put(str(n).encode()) for n in range(50))
    (store.root / "notes.txt").write_text("not a block")
    (store.root / locators[0][:3] / "neither is this").touch()
    assert [block.locator for block in store.blocks()] == locators
    store.remove(locators[0])
    store.remove(locators[0])
    assert not store.exists(locators[0])
    assert [block.locator for block in store.blocks()] == locators[1:]


# --- Not there, damaged, out of reach --------------------------------------------------------------------------------


def test_a_missing_block_is_said_to_be_missing(store: BlockStore) -> None:
    assert not store.exists(FOO)
    for look in (store.get, store.check):
        with pytest.raises(BlockMissing, match=r"block acbd18db4cc2f85cedef654fccc4a4d8\+3 is not in the store"):
            look(SIGNED)


def test_the_right_md5_with_another_size_is_not_the_block(store: BlockStore) -> None:
    store.put(b"foo")
    other = FOO[:-1] + "4"
    assert not store.exists(other)
    for look in (store.get, store.check):
        with pytest.raises(BlockMissing):
            look(other)


@pytest.mark.parametrize("data", [b"fox", b"fo", b"", b"foo!"])
def test_a_damaged_block_is_never_given_out_and_is_healed_by_the_next_put(store: BlockStore, data: bytes) -> None:
    store.put(b"foo")
    spoil(store, FOO, data)
    assert store.exists(FOO) == (len(data) == 3)
    for look in (store.get, store.check):
        with pytest.raises(BlockCorrupt, match="is damaged"):
            look(FOO)
    assert store.put(b"foo") == FOO
    assert store.get(FOO) == b"foo"


def test_data_that_is_not_what_the_sender_says_is_refused(store: BlockStore) -> None:
    store.put(b"foo", md5=FOO[:32])
    with pytest.raises(BlockCorrupt):
        store.put(b"fox", md5=FOO[:32])
    assert files_under(store) == [FOO[:32]]


def test_other_data_with_the_md5_of_a_stored_block_is_refused(store: BlockStore) -> None:
    locator = store.put(WANG)
    assert hashlib.md5(YU).hexdigest() == locator[:32]
    with pytest.raises(BlockCollision):
        store.put(YU)
    assert store.get(locator) == WANG


def test_what_is_no_locator_is_refused_and_never_becomes_a_path(store: BlockStore) -> None:
    for look in (store.get, store.exists, store.check, store.remove):
        with pytest.raises(LocatorInvalid):
            look("../../etc/passwd+3")


def unmounted(store: BlockStore) -> None:
    shutil.rmtree(store.root)
    store.root.mkdir()


def removed(store: BlockStore) -> None:
    shutil.rmtree(store.root)


def replaced_by_a_file(store: BlockStore) -> None:
    shutil.rmtree(store.root)
    store.root.touch()


@pytest.mark.parametrize("calamity", [unmounted, removed, replaced_by_a_file])
def test_a_store_that_is_gone_says_nothing_about_its_blocks(store: BlockStore, calamity) -> None:
    store.put(b"foo")
    calamity(store)
    attempts = (
        lambda: store.get(FOO),
        lambda: store.exists(FOO),
        lambda: store.check(FOO),
        lambda: list(store.blocks()),
        lambda: store.put(b"bar"),
    )
    for attempt in attempts:
        with pytest.raises(StoreUnreachable, match="can't be reached"):
            attempt()


def test_a_store_can_not_be_made_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnreachable, match="Not a directory"):
        BlockStore.create(tmp_path / "file" / "store")


# --- Crashes, company, a full disk -----------------------------------------------------------------------------------


def test_what_dead_writers_left_is_no_block_and_is_swept(store: BlockStore) -> None:
    left = store.root / ".tmp" / f"{FOO[:32]}.1.aa"
    left.write_bytes(b"fo")
    assert not store.exists(FOO)
    assert list(store.blocks()) == []
    assert store.sweep(left.stat().st_mtime_ns) == 0
    assert store.sweep(left.stat().st_mtime_ns + 1) == 1
    assert not left.exists()


WRITER = """
import os, sys
from pathlib import Path
from store.blocks import BlockStore
store = BlockStore(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    print(store.put(n.to_bytes(4, "big") * 2**18), flush=True)
"""


def writer(store: BlockStore, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(store.root), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_put_the_same_blocks_at_the_same_time_do_no_harm(store: BlockStore) -> None:
    writers = [writer(store, 30) for _ in range(3)]
    printed = [process.communicate()[0].split() for process in writers]
    assert [process.returncode for process in writers] == [0, 0, 0]
    assert printed[0] == printed[1] == printed[2]
    assert files_under(store) == sorted(locator[:32] for locator in printed[0])
    assert list((store.root / ".tmp").iterdir()) == []


def test_a_killed_writer_leaves_whole_blocks_only(store: BlockStore) -> None:
    process = writer(store, 10_000)
    assert process.stdout
    acknowledged = [process.stdout.readline().strip() for _ in range(5)]
    process.kill()
    process.communicate()
    for block in store.blocks():
        store.check(block.locator)
    for locator in acknowledged:
        store.check(locator)


TOO_BIG_FOR_THE_LIMIT = """
import resource, sys
from pathlib import Path
from store.blocks import BlockStore
from store.errors import StoreFull
store = BlockStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
store.put(b"fits")
try:
    store.put(bytes(2**20 + 1))
except StoreFull as error:
    print(error)
"""

FULL_DISK = """
import subprocess, sys
from pathlib import Path
from store.blocks import BlockStore
from store.errors import StoreFull
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", root], check=True)
store = BlockStore.create(root)
kept = []
try:
    for n in range(100):
        kept.append(store.put(bytes([n]) * 2**20))
except StoreFull as error:
    print(error)
assert 1 <= len(kept) < 5
assert [block.locator for block in store.blocks()] == sorted(kept)
assert not list((root / ".tmp").iterdir())
for locator in kept:
    store.check(locator)
while kept:
    store.remove(kept.pop())
"""

TOGETHER = """
with store.together() as batch:
    for n in range(100, 102):
        kept.append(batch.put(bytes([n]) * 2**20))
assert [block.locator for block in store.blocks()] == sorted(kept)
try:
    with store.together() as batch:
        for n in range(200, 210):
            batch.put(bytes([n]) * 2**20)
except StoreFull as error:
    print(error)
assert [block.locator for block in store.blocks()] == sorted(kept)
assert not list((root / ".tmp").iterdir())
"""


def run(script: str, root: Path, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-c", script, str(root)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_block_beyond_the_file_size_limit_leaves_nothing_behind(store: BlockStore) -> None:
    assert f"the store at {store.root} is full ({os.strerror(errno.EFBIG)})" in run(TOO_BIG_FOR_THE_LIMIT, store.root)
    assert [store.get(block.locator) for block in store.blocks()] == [b"fits"]
    assert list((store.root / ".tmp").iterdir()) == []


@pytest.mark.needs("root")
def test_a_full_disk_is_said_and_leaves_whole_blocks_only(tmp_path: Path) -> None:
    # The mount is seen by that process alone, and ends with it.
    said = run(FULL_DISK + TOGETHER, tmp_path, "unshare", "--mount")
    assert said.count(f"the store at {tmp_path} is full (No space left on device): free some space and try again") == 2


def test_store_full_is_never_taken_for_missing() -> None:
    assert not issubclass(StoreFull, StoreUnreachable | BlockMissing)


# --- A part at a time ------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.binary(max_size=100), max_size=5))
def test_parts_are_one_block(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    store = BlockStore.create(tmp_path_factory.getbasetemp() / "parts-store")
    incoming = store.receive()
    for part in parts:
        store.add(incoming, part)
    locator = store.finish(incoming, hashlib.md5(b"".join(parts)).hexdigest())
    store.drop(incoming)
    assert locator == store.put(b"".join(parts))
    with store.open(locator) as file:
        assert file.read() == b"".join(parts)


def test_parts_that_are_not_what_the_sender_says_leave_nothing(store: BlockStore) -> None:
    incoming = store.receive()
    store.add(incoming, b"bar")
    with pytest.raises(BlockCorrupt):
        store.finish(incoming, FOO[:32])
    store.drop(incoming)
    assert [path for path in store.root.rglob("*") if path.is_file() and path.name != ".crunch-reuse-store"] == []


def test_parts_replace_a_damaged_block_and_leave_a_good_one(store: BlockStore) -> None:
    def arrive(data: bytes) -> str:
        incoming = store.receive()
        try:
            store.add(incoming, data)
            return store.finish(incoming)
        finally:
            store.drop(incoming)

    assert arrive(b"foo") == FOO
    first = block_file(store, FOO).stat().st_ino
    assert arrive(b"foo") == FOO
    assert block_file(store, FOO).stat().st_ino == first
    spoil(store, FOO, b"fox")
    with pytest.raises(BlockCorrupt):
        store.open(FOO)
    assert arrive(b"foo") == FOO
    assert store.get(FOO) == b"foo"
    locator = arrive(WANG)
    with pytest.raises(BlockCollision):
        arrive(bytes(YU))
    assert store.get(locator) == WANG


def test_too_many_parts_are_too_large(store: BlockStore) -> None:
    incoming = store.receive()
    incoming.size = MAX_BLOCK_BYTES
    with pytest.raises(BlockTooLarge):
        store.add(incoming, b"x")
    store.drop(incoming)
