"""Files into a backup's folder, and that nobody collects meanwhile what the store no longer needs."""

import errno
import re
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue

import pytest
from msgspec.structs import replace

from gateway.backup import contents
from gateway.cli import run
from gateway.problems import FAILED, REFUSED, Problem
from readmodel.references import undisturbed
from store.blocks import BlockStore

SOON = 60.0  # seconds in which what is due must have come
LATER = 2**62  # ns; everything is older


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore.create(tmp_path / "store")


def test_a_copy_counts_what_it_holds_also_what_was_collected_since(store: BlockStore, tmp_path: Path) -> None:
    kept, collected = store.put(b"kept"), store.put(b"collected")
    assert contents.copy_store(store.root, tmp_path / "saved") == (2, 13)
    store.set_aside(collected, LATER)
    assert contents.copy_store(store.root, tmp_path / "saved") == (2, 13)
    assert contents.copy_store(tmp_path / "saved", tmp_path / "restored") == (2, 13)
    assert BlockStore(tmp_path / "restored").get(kept) == b"kept"


def no_folder(folder: Path) -> str:
    return "No such file or directory|holds no backup"


def a_file(folder: Path) -> str:
    folder.write_text("years of work")
    return "Not a directory"


def nothing_in_it(folder: Path) -> str:
    folder.mkdir()
    return "holds no backup, or one that was not finished: it has no backup.json"


def rubbish(folder: Path) -> str:
    folder.mkdir()
    (folder / contents.MANIFEST).write_bytes(bytes(range(256)))
    return "backup.json is not what was written: take the backup from another copy"


def of_something_else(folder: Path) -> str:
    folder.mkdir()
    body = b'{"made_at": "yesterday"}'
    (folder / contents.MANIFEST).write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
    return "backup.json is not known here"


def of_a_later_release(folder: Path) -> str:
    folder.mkdir()
    contents.write_manifest(folder, replace(WHOLE, layout=99))
    return "layout 99 is not known here: use the release that made it"


def without_blocks(folder: Path) -> str:
    folder.mkdir()
    BlockStore.create(folder / contents.STORE)
    contents.write_manifest(folder, replace(WHOLE, blocks=2))
    return "store holds 0 blocks with 0 bytes, not 2 with 0: take the backup from another copy"


WHOLE = contents.Manifest(made_at=1, log="log", in_kafka=False, versions={}, tables=[])
RUBBISH = [no_folder, a_file, nothing_in_it, rubbish, of_something_else, of_a_later_release, without_blocks]


@pytest.mark.parametrize("spoil", RUBBISH)
def test_what_is_no_backup_is_told_in_one_line_and_nothing_is_made_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], str]
) -> None:
    said = spoil(tmp_path / "saved")
    assert run(["restore", str(tmp_path / "saved"), "--data-dir", str(tmp_path / "data")]) in (FAILED, REFUSED)
    told = capsys.readouterr().err
    assert re.search(said, told)
    assert told.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_store_that_is_elsewhere_is_saved_where_its_folder_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRUNCH_REUSE_STORE_URL", "https://keep.example.org")
    assert run(["backup", str(tmp_path / "saved"), "--data-dir", str(tmp_path / "data")]) == REFUSED
    assert "store.url: who serves content has it in a folder" in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()


def test_a_disk_that_refuses_is_named_with_what_to_do(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    named = f"{tmp_path}: No space left on device: make room"
    with pytest.raises(Problem, match=named), contents.on_disk(tmp_path, "make room"):
        raise full


def test_who_collects_waits_for_all_who_copy(dsn: str) -> None:
    happened: SimpleQueue[str] = SimpleQueue()

    def collect() -> None:
        with undisturbed(dsn, "collect", lambda: happened.put("waits")):
            happened.put("collects")

    collector = threading.Thread(target=collect)
    with undisturbed(dsn, "copy", lambda: happened.put("never")):
        with undisturbed(dsn, "copy", lambda: happened.put("never")):
            collector.start()
            assert happened.get(timeout=SOON) == "waits"
        assert happened.empty()
    assert happened.get(timeout=SOON) == "collects"
    collector.join()
