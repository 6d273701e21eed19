"""What a task did to its own folders does not keep them from being removed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.executor.inputs import remove_tree

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of an ordinary user, who the test is while it lasts: root may enter whatever is closed."""
    made = Path(tempfile.mkdtemp())
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(made, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield made
    if was_root:
        os.seteuid(0)
    shutil.rmtree(made)


def test_folders_that_nobody_may_enter_are_removed(folder: Path):
    attempt = folder / "attempt"
    (attempt / "out/closed/inner").mkdir(parents=True)
    (attempt / "out/closed/inner/file").touch()
    for closed in ("out/closed/inner", "out/closed", "out", ""):
        (attempt / closed).chmod(0)
    remove_tree(attempt)
    assert not attempt.exists()


def test_what_a_link_leads_to_stays_as_it_is(folder: Path):
    outside = folder / "outside"
    outside.mkdir(mode=0o500)
    attempt = folder / "attempt"
    (attempt / "closed").mkdir(parents=True)
    (attempt / "link").symlink_to(outside)
    (attempt / "closed/file").touch()
    (attempt / "closed").chmod(0)
    remove_tree(attempt)
    assert not attempt.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("name", ["d", "long" * 60])
def test_folders_within_folders_are_removed_however_many(folder: Path, name: str):
    attempt = folder / "attempt"
    attempt.mkdir()
    here = os.open(attempt, os.O_RDONLY)
    for _ in range(1_100):
        os.mkdir(name, dir_fd=here)
        os.mkdir("beside", dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(attempt)
    assert not attempt.exists()
