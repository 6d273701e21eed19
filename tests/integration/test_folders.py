"""A data folder is claimed by whoever comes first, and by all who come with them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.folders import Folders
from gateway.problems import Refused

TOGETHER = 8


def test_who_begins_on_a_new_folder_at_the_same_moment_is_not_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(TOGETHER) as pool:
        for number in range(100):
            barrier = threading.Barrier(TOGETHER)

            def begin(folders: Folders, barrier: threading.Barrier) -> None:
                barrier.wait()
                folders.create()

            folders = Folders(tmp_path / str(number))
            assert list(pool.map(begin, [folders] * TOGETHER, [barrier] * TOGETHER)) == [None] * TOGETHER


def test_a_folder_with_something_in_it_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    with pytest.raises(Refused, match="was not made by crunch-reuse"):
        Folders(tmp_path).create()
