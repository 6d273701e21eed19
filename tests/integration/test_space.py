"""What a task holds of the node's disk, as it is counted."""

import os
from pathlib import Path

import pytest

from consumers.runners import space
from consumers.runners.port import MIB, Limits
from consumers.runners.space import Space, excess, held_without_name, is_full


def made(folder: Path, files: int) -> Path:
    folder.mkdir()
    for number in range(files):
        (folder / str(number)).touch()
    return folder


def test_an_empty_file_counts_as_a_block(tmp_path):
    folder = made(tmp_path / "out", 16)
    assert excess(folder, 16 * 4096) == ""
    (folder / "one more").touch()
    assert "each file and directory counted as 4 KiB at least" in excess(folder, 16 * 4096)


def test_a_file_just_begun_beside_what_fills_the_limit_is_no_news(tmp_path):
    folder = made(tmp_path / "out", 1)
    (folder / "full").write_bytes(b"x" * MIB)
    assert excess(folder, (folder / "full").stat().st_blocks * 512) == "1 MiB: ask for more in resources.scratch"


def test_what_is_in_directories_counts_with_them(tmp_path):
    folder = made(tmp_path / "out", 2)
    made(folder / "d", 2)
    assert excess(folder, 5 * 4096 - 1) != ""


def test_there_are_never_more_than_an_output_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "MAX_ENTRIES", 3)
    assert excess(made(tmp_path / "few", 3), MIB) == ""
    assert excess(made(tmp_path / "many", 4), MIB) == "3 files and directories: leave fewer, or pack them"


def test_a_folder_that_is_gone_holds_nothing_but_what_is_open(tmp_path):
    folder = made(tmp_path / "out", 1)
    with (folder / "0").open("wb") as file:
        file.write(b"x" * MIB)
        file.flush()
        (folder / "0").unlink()
        folder.rmdir()
        assert held_without_name(folder, [os.getpid()]) >= MIB
        limits = Limits(cores=1, memory=MIB, scratch=MIB, output=MIB // 2)
        trouble = Space(limits, folder, tmp_path / "none").trouble([os.getpid()])
    assert trouble is not None
    assert trouble.startswith("files that it removed and holds open grew beyond")
    assert Space(limits, folder, tmp_path / "none").trouble([]) is None
    assert is_full(folder) == is_full(tmp_path)


@pytest.mark.parametrize("names", [16, 17, 40])
def test_a_path_that_is_too_long_is_named_in_short(tmp_path, names):
    folder = made(tmp_path / "out", 0)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(names):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    limits = Limits(cores=1, memory=MIB, scratch=MIB, output=MIB)
    trouble = Space(limits, folder, tmp_path / "none").trouble([])
    if names == 16 and len(os.fspath(folder)) + 16 * 251 < 4096:
        assert trouble is None
    else:
        assert trouble is not None
        assert len(trouble) < 400
