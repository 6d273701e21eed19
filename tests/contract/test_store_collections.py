"""Collections: what is saved comes back, the same tree has the same hash, and a file's manifest is its own business."""

import os
import random
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.collections import CollectionStore, FileEntry, Saved
from store.errors import (
    LimitExceeded,
    LocatorInvalid,
    ManifestInvalid,
    PathMissing,
    PathRefused,
    SourceUnreadable,
)
from store.locator import EMPTY_BLOCK
from store.manifest import parse_manifest, portable_data_hash
from store.paths import MAX_DEPTH
from store.shelves import MAX_BLOCK_BYTES
from store.source import Limits
from store.verification import Verdict
from tests.support.saving import save
from tests.support.trees import Tree, files_of, manifests, names, read_tree, trees, write_tree

SIGNATURE = "+A1f27a35dd9af37191d63ad8eb8985624451e7b79@5835c8bc"
FOO = "acbd18db4cc2f85cedef654fccc4a4d8+3"
BAR = "37b51d194a7513e45b56f6524f2d51f2+3"

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- Round trips -----------------------------------------------------------------------------------------------------


@quick
@given(tree=trees)
def test_a_tree_comes_back_as_it_was(store: CollectionStore, fresh: Callable[[], Path], tree: Tree) -> None:
    saved = store.save_directory(write_tree(fresh(), tree))
    files = files_of(tree)
    assert (saved.files, saved.bytes) == (len(files), sum(map(len, files.values())))
    assert {entry.path: entry.size for entry in store.files(saved.portable_data_hash)} == {
        path: len(data) for path, data in files.items()
    }
    target = fresh()
    assert store.extract(saved.portable_data_hash, target) == saved.bytes
    assert read_tree(target) == tree
    for path, data in files.items():
        with store.open(saved.portable_data_hash, path) as stream:
            assert stream.read() == data
    assert store.verify(saved.portable_data_hash, deep=True).verdict is Verdict.WHOLE


@quick
@given(tree=trees)
def test_the_same_tree_has_the_same_hash(store: CollectionStore, fresh: Callable[[], Path], tree: Tree) -> None:
    one = store.save_directory(write_tree(fresh(), tree))
    other = store.save_directory(write_tree(fresh(), tree, backwards=True))
    assert one == other
    text = store.manifest_text(one.portable_data_hash)
    assert portable_data_hash(text) == one.portable_data_hash
    assert parse_manifest(text).text() == text


@quick
@given(tree=trees, name=names, data=st.binary(max_size=40))
def test_one_more_file_leaves_the_manifests_of_the_others_alone(
    store: CollectionStore, fresh: Callable[[], Path], tree: Tree, name: str, data: bytes
) -> None:
    before = save(store, fresh(), tree)
    after = save(store, fresh(), tree | {f"{name}+more": data})
    for path in files_of(tree):
        assert store.file_manifest(before, path) == store.file_manifest(after, path)
        assert store.subset(before, path) == store.subset(after, path)
    for directory in (name for name, node in tree.items() if isinstance(node, dict)):
        assert store.subset(before, directory) == store.subset(after, directory)


def test_one_more_file_changes_others_where_files_are_packed(store: CollectionStore) -> None:
    """What the layout is for: the packed manifests of other writers are read, but don't have the property."""
    store.blocks.put(b"foobar")
    store.blocks.put(b"foo")
    alone = store.save_manifest(f". {FOO} 0:3:foo\n")
    packed = store.save_manifest(". 3858f62230ac3c915f300c664312c63f+6 0:3:foo 3:3:bar\n")
    assert store.open(packed, "foo").read() == store.open(alone, "foo").read() == b"foo"
    assert store.file_manifest(packed, "foo") != store.file_manifest(alone, "foo")


def test_a_file_of_several_blocks(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    large = random.Random(1).randbytes(MAX_BLOCK_BYTES + 1)
    progress: list[int] = []
    root = write_tree(fresh(), {"a": b"x", "large": large, "z": b"y"})
    saved = store.save_directory(root, progress=progress.append)
    assert progress == [1, MAX_BLOCK_BYTES, 1, 1]
    assert saved.bytes == MAX_BLOCK_BYTES + 3
    assert [segment.length for segment in store.load(saved.portable_data_hash).find("large")] == [MAX_BLOCK_BYTES, 1]
    with store.open(saved.portable_data_hash, "large") as stream:
        stream.seek(MAX_BLOCK_BYTES - 2)
        assert stream.read() == large[-3:]
    target = fresh()
    store.extract(saved.portable_data_hash, target, "large")
    assert (target / "large").read_bytes() == large


def test_files_are_saved_under_the_names_they_are_given(store: CollectionStore, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"foo")
    (tmp_path / "two").write_bytes(b"bar")
    saved = store.save_files({"b/renamed.txt": tmp_path / "one", "a": tmp_path / "two"})
    assert store.manifest_text(saved.portable_data_hash) == f". {BAR} 0:3:a\n./b {FOO} 0:3:renamed.txt\n"
    assert saved == Saved(portable_data_hash=saved.portable_data_hash, files=2, bytes=6)


def test_an_empty_tree_is_the_empty_collection(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    assert save(store, fresh(), {}) == EMPTY_BLOCK
    target = fresh()
    assert store.extract(EMPTY_BLOCK, target) == 0
    assert read_tree(target) == {}
    assert store.files(EMPTY_BLOCK) == ()


def test_empty_directories_and_files_are_kept(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"empty": {}, "nested": {"deep": {}}, "file": b""})
    assert store.manifest_text(pdh) == (
        f". {EMPTY_BLOCK} 0:0:file\n./empty {EMPTY_BLOCK} 0:0:\\056\n./nested/deep {EMPTY_BLOCK} 0:0:\\056\n"
    )


# --- What is refused when saving -------------------------------------------------------------------------------------


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def link_to_directory(path: Path) -> None:
    path.symlink_to("/etc")


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def not_utf_8(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path) + b"\xff")).touch()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link, "symbolic link"),
        (link_to_directory, "symbolic link"),
        (dangling_link, "symbolic link"),
        (pipe, "named pipe"),
        (listening_socket, "socket"),
        (not_utf_8, "not UTF-8"),
    ],
)
def test_what_is_neither_file_nor_directory_is_refused_by_name(
    store: CollectionStore, fresh: Callable[[], Path], make: Callable[[Path], None], reason: str
) -> None:
    root = write_tree(fresh(), {"a": b"foo", "dir": {}})
    make(root / "dir" / "thing")
    with pytest.raises(PathRefused, match=rf"dir/thing.* is refused: .*{reason}") as refusal:
        store.save_directory(root)
    assert "\n" not in str(refusal.value)
    assert refusal.value.path.startswith("dir/thing")


@pytest.mark.needs("root")
def test_a_device_is_refused(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    root = write_tree(fresh(), {})
    os.mknod(root / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    with pytest.raises(PathRefused, match="character device"):
        store.save_directory(root)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", "", ".", "a\0b", "\ud800"])
def test_a_name_that_climbs_out_is_refused(store: CollectionStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"foo")
    with pytest.raises(PathRefused):
        store.save_files({name: tmp_path / "file"})


def test_a_name_that_is_both_file_and_directory_is_refused(store: CollectionStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"foo")
    with pytest.raises(PathRefused, match="both a file and a directory"):
        store.save_files({"a": tmp_path / "file", "a/b": tmp_path / "file"})


def test_a_root_that_is_a_link_or_no_directory_is_refused(store: CollectionStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name, error in {"link": PathRefused, "file": PathRefused, "absent": SourceUnreadable}.items():
        with pytest.raises(error, match=name):
            store.save_directory(tmp_path / name)
    for name, error in {"link": PathRefused, "store": PathRefused, "absent": SourceUnreadable}.items():
        with pytest.raises(error):
            store.save_files({"x": tmp_path / name})


def test_trees_have_a_greatest_depth(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    deepest = write_tree(fresh(), {})
    (deepest / "/".join(["d"] * (MAX_DEPTH - 1))).mkdir(parents=True)
    (deepest / "/".join(["d"] * (MAX_DEPTH - 1)) / "file").write_bytes(b"foo")
    pdh = store.save_directory(deepest).portable_data_hash
    target = fresh()
    store.extract(pdh, target)
    assert read_tree(target) == read_tree(deepest)
    (deepest / "/".join(["d"] * (MAX_DEPTH + 1))).mkdir(parents=True)
    with pytest.raises(PathRefused, match="levels deep"):
        store.save_directory(deepest)


def test_limits_name_the_file_that_went_over(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    root = write_tree(fresh(), {"a": b"12345", "b": b"6789", "c": b""})
    assert store.save_directory(root, Limits(max_bytes=9, max_entries=3)).files == 3
    with pytest.raises(LimitExceeded, match="b goes beyond the limit of 8 bytes"):
        store.save_directory(root, Limits(max_bytes=8))
    with pytest.raises(LimitExceeded, match="the number of files"):
        store.save_directory(root, Limits(max_entries=2))
    with pytest.raises(LimitExceeded, match="b goes beyond"):
        store.save_files({"a": root / "a", "b": root / "b"}, Limits(max_bytes=8))
    with pytest.raises(LimitExceeded, match="b goes beyond"):
        store.save_files({"a": root / "a", "b": root / "b"}, Limits(max_entries=1))


def test_a_sparse_file_beyond_the_limit_is_not_read_to_its_end(
    store: CollectionStore, fresh: Callable[[], Path]
) -> None:
    root = write_tree(fresh(), {"huge": b""})
    os.truncate(root / "huge", 2**42)
    with pytest.raises(LimitExceeded):
        store.save_directory(root, Limits(max_bytes=1000))
    assert list(store.blocks.blocks()) == []


def test_descriptors_are_closed_also_after_an_error(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    root = write_tree(fresh(), {"a": {"b": {"c": b"12345"}}})
    with pytest.raises(LimitExceeded):
        store.save_directory(root, Limits(max_bytes=1))
    store.save_directory(root)
    assert len(list(Path("/dev/fd").iterdir())) == before


# --- Manifests from elsewhere ----------------------------------------------------------------------------------------


def test_a_manifest_is_stored_as_it_is_but_for_its_hints(store: CollectionStore) -> None:
    text = f". {BAR}{SIGNATURE} {FOO} 3:3:b 0:3:a\n"
    pdh = store.save_manifest(text)
    assert pdh == portable_data_hash(text)
    assert store.manifest_text(pdh + SIGNATURE) == text.replace(SIGNATURE, "")


@pytest.mark.parametrize("text", ["nonsense", f". {FOO} 0:4:a\n", "\ud800", f"./.. {FOO} 0:3:a\n"])
def test_a_malformed_manifest_is_not_stored(store: CollectionStore, text: str) -> None:
    with pytest.raises(ManifestInvalid):
        store.save_manifest(text)
    assert list(store.blocks.blocks()) == []


@pytest.mark.parametrize("data", [b"just data", b"\xff\xfe", b"\0"])
def test_a_block_of_data_is_not_a_collection(store: CollectionStore, data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        store.load(store.blocks.put(data))


def test_a_hash_that_is_none_is_refused(store: CollectionStore) -> None:
    for attempt in (store.load, store.files, store.verify, store.manifest_text, store.locators):
        with pytest.raises(LocatorInvalid):
            attempt("zzzzz-4zz18-0123456789abcde")


# --- Parts and joins -------------------------------------------------------------------------------------------------


def test_a_part_is_a_collection_of_its_own(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"dir": {"a": b"foo", "sub": {"b": b"bar"}}, "c": b"foo"})
    assert store.manifest_text(store.subset(pdh, "dir/sub/b")) == f". {BAR} 0:3:b\n"
    assert store.manifest_text(store.subset(pdh, "dir")) == f". {FOO} 0:3:a\n./sub {BAR} 0:3:b\n"
    assert store.subset(pdh + SIGNATURE, "") == pdh
    for path in ("nothing", "c/x", "dir/", "..", "/c"):
        with pytest.raises(PathMissing):
            store.subset(pdh, path)
        with pytest.raises(PathMissing):
            store.open(pdh, path)
    with pytest.raises(PathMissing):
        store.open(pdh, "dir")


def test_a_part_is_extracted_alone(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    pdh = save(store, fresh(), {"dir": {"a": b"foo", "sub": {}}, "c": b"bar"})
    whole, directory, file = fresh(), fresh(), fresh()
    assert store.extract(pdh, whole) == 6
    assert store.extract(pdh, directory, "dir") == 3
    assert store.extract(pdh, file, "dir/a") == 3
    assert read_tree(directory) == {"a": b"foo", "sub": {}}
    assert read_tree(file) == {"a": b"foo"}


def test_a_join_has_the_files_of_all(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    one = save(store, fresh(), {"a": b"foo", "dir": {"x": b"1"}})
    two = save(store, fresh(), {"b": b"bar", "dir": {"y": b"2"}, "empty": {}})
    joined = store.join([one, two])
    assert joined == store.join([two, one])
    assert joined == save(store, fresh(), {"a": b"foo", "b": b"bar", "dir": {"x": b"1", "y": b"2"}, "empty": {}})
    assert store.join([]) == EMPTY_BLOCK
    assert store.join([one]) == one == store.join([EMPTY_BLOCK, one])


def test_files_of_one_name_are_joined_end_to_end_in_order(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    one = save(store, fresh(), {"log": b"first,", "d": {"log": b"A"}})
    two = save(store, fresh(), {"log": b"second", "d": {"log": b"B"}})
    joined = store.join([one, two, one])
    assert store.open(joined, "log").read() == b"first,secondfirst,"
    assert store.open(joined, "d/log").read() == b"ABA"
    assert store.files(joined) == (FileEntry(path="log", size=18), FileEntry(path="d/log", size=3))


def test_a_file_and_a_directory_of_one_name_do_not_join(store: CollectionStore, fresh: Callable[[], Path]) -> None:
    one = save(store, fresh(), {"a": b"foo"})
    two = save(store, fresh(), {"a": {"b": b"bar"}})
    with pytest.raises(ManifestInvalid, match="both a file and a directory"):
        store.join([one, two])


@given(manifests(), manifests())
def test_joining_is_parsing_one_text_after_the_other(one: str, two: str) -> None:
    def contents(text: str) -> dict[str, list[tuple[str, int]]]:
        return {
            path: [(segment.locator, segment.offset + n) for segment in file for n in range(segment.length)]
            for path, file in parse_manifest(text).files()
        }

    joined = contents(one + two)
    first, second = contents(one), contents(two)
    assert joined == {path: first.get(path, []) + second.get(path, []) for path in first | second}
    assert joined == contents(parse_manifest(one).text() + parse_manifest(two).text())
