"""The moment that an executor shares with its watchdog through a file."""

import os
from contextlib import closing
from pathlib import Path

from consumers.executor.until import Until


def test_both_see_the_moment_and_who_opens_it_later_finds_it(tmp_path: Path) -> None:
    with closing(Until(tmp_path / "node" / "until")) as ours, closing(Until(tmp_path / "node" / "until")) as theirs:
        ours.at = 12_345
        assert theirs.at == 12_345
    with closing(Until(tmp_path / "node" / "until")) as later:
        assert later.at == 12_345


def test_room_on_the_disk_is_taken_when_it_is_opened(tmp_path: Path) -> None:
    """Else a disk that is full by then ends the process at the first write to memory."""
    Until(tmp_path / "until").close()
    with (tmp_path / "until").open("rb") as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
