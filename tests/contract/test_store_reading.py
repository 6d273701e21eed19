"""Collections as they are read: extracted, opened, verified, and what is said when something is not there."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.collections import CollectionStore
from store.errors import (
    BlockCorrupt,
    BlockMissing,
    ExtractFailed,
    LimitExceeded,
    LocatorInvalid,
    PathRefused,
    StoreError,
    StoreUnreachable,
)
from store.verification import Verdict
from tests.support.saving import save, spoil
from tests.support.trees import read_tree

SIGNATURE = "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"
FOO = "acbd18db4cc2f85cedef654fccc4a4d8+3"
BAR = "37b51d194a7513e45b56f6524f2d51f2+3"

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- Extracting ------------------------------------------------------------------------------------------------------


def test_what_is_extracted_is_a_read_only_copy(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"dir": {"a": b"foo"}})
    target = fresh() / "made" / "on the way"
    store.extract(pdh, target)
    info = (target / "dir" / "a").stat()
    assert stat.S_IMODE(info.st_mode) & 0o222 == 0
    assert info.st_nlink == 1
    assert stat.S_IMODE((target / "dir").stat().st_mode) & 0o700 == 0o700


def test_nothing_is_extracted_over_what_is_there(store: CollectionStore, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"foo")
    (tmp_path / "target").mkdir()
    pdh = store.save_files({"mine": tmp_path / "mine"}).portable_data_hash
    (tmp_path / "link").symlink_to(tmp_path / "target")
    store_before = sorted(tmp_path.iterdir())
    for name, reason in {".": "not empty", "mine": "File exists", "link": "symbolic links|Not a directory"}.items():
        with pytest.raises(ExtractFailed, match=reason):
            store.extract(pdh, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == store_before
    store.extract(pdh, tmp_path / "target")


def test_a_small_manifest_of_a_huge_file_is_stopped(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    blocks = " ".join([store.blocks.put(b"0123456789")] * 1000)
    pdh = store.save_manifest(f". {blocks} 0:10000:huge\n")
    with pytest.raises(LimitExceeded, match="huge goes beyond the limit of 100 bytes"):
        store.extract(pdh, fresh(), max_bytes=100)
    assert store.extract(pdh, fresh(), max_bytes=10_000) == 10_000


def test_damaged_data_is_never_extracted(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"a": b"foo"})
    spoil(store, FOO, b"fox")
    target = fresh()
    with pytest.raises(BlockCorrupt):
        store.extract(pdh, target)
    assert read_tree(target) == {"a": b""}
    with store.open(pdh, "a") as stream, pytest.raises(BlockCorrupt):
        stream.read()
    store.blocks.remove(FOO)
    with pytest.raises(BlockMissing):
        store.extract(pdh, fresh())


# --- Reading ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 30)), max_size=6))
def test_reads_anywhere_are_those_of_a_plain_file(store: CollectionStore, cuts: list[tuple[int, int]]) -> None:
    first, second = b"0123456789", b"abcdefghijklm"
    locators = f"{store.blocks.put(first)} {store.blocks.put(second)}"
    pdh = store.save_manifest(f". {locators} 5:10:f 0:3:f 20:3:f\n")
    plain = b"56789abcde" + b"012" + b"klm"
    with store.open(pdh, "f") as stream:
        assert stream.seek(0, os.SEEK_END) == len(plain)
        for start, size in cuts:
            stream.seek(start)
            assert stream.read(size) == plain[start : start + size]
            assert stream.tell() == max(start, min(start + size, len(plain)))
        with pytest.raises(ValueError, match=r"before the start|negative"):
            stream.seek(-1)


# --- Verifying -------------------------------------------------------------------------------------------------------


def test_a_whole_collection_is_verified(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"a": b"foo", "b": b"bar", "c": b"foo", "empty": b""})
    assert store.locators(pdh) == (pdh, FOO, BAR)
    for deep in (False, True):
        found = store.verify(pdh, deep=deep)
        assert (found.verdict, found.checked, found.missing, found.damaged) == (Verdict.WHOLE, 3, (), ())


def test_missing_blocks_are_named(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"a": b"foo", "b": b"bar", "c": b"more"})
    store.blocks.remove(FOO)
    store.blocks.remove(BAR)
    for deep in (False, True):
        found = store.verify(pdh, deep=deep)
        assert (found.verdict, found.missing, found.damaged, found.checked) == (Verdict.MISSING, (FOO, BAR), (), 2)


def test_damage_of_another_size_is_seen_at_a_glance_and_of_the_same_size_by_reading(
    store: CollectionStore, fresh: Callable[[], Path]
) -> None:
    pdh = save(store, fresh(), {"a": b"foo", "b": b"bar"})
    spoil(store, FOO, b"fo")
    spoil(store, BAR, b"baz")
    shallow, deep = store.verify(pdh), store.verify(pdh, deep=True)
    assert (shallow.verdict, shallow.missing, shallow.damaged) == (Verdict.MISSING, (FOO,), ())
    assert (deep.verdict, deep.missing, deep.damaged) == (Verdict.MISSING, (), (FOO, BAR))


def test_a_manifest_that_is_missing_or_damaged_is_named(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"a": b"foo"})
    spoil(store, pdh, b"nonsense")
    found = store.verify(pdh)
    assert (found.verdict, found.missing, found.damaged) == (Verdict.MISSING, (), (pdh,))
    store.blocks.remove(pdh)
    found = store.verify(pdh)
    assert (found.verdict, found.missing, found.damaged) == (Verdict.MISSING, (pdh,), ())
    data = store.blocks.put(b"not a manifest")
    assert store.verify(data).damaged == (data,)


def test_a_store_out_of_reach_is_not_a_missing_collection(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"a": b"foo"})
    store.blocks.root.rename(fresh())
    for mounted in (False, True):
        if mounted:
            store.blocks.root.mkdir()
        found = store.verify(pdh)
        assert (found.verdict, found.missing) == (Verdict.UNREACHABLE, ())
        assert "can't be reached" in found.reason
        for attempt in (lambda: store.load(pdh), lambda: store.extract(pdh, fresh())):
            with pytest.raises(StoreUnreachable):
                attempt()


def test_every_error_is_one_line_for_people() -> None:
    def kinds(base: type[StoreError]) -> set[type[StoreError]]:
        return {base}.union(*map(kinds, base.__subclasses__()))

    assert len(kinds(StoreError)) > 10
    assert "\n" not in str(PathRefused("two\nlines", "reason"))
    assert "\n" not in str(LocatorInvalid("two\nlines"))
