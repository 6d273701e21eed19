"""Pages that say by which test something is held: the tests are there."""

import re
from pathlib import Path

from tests.conftest import CHECKOUT
from tests.support.escapes import ESCAPES

PAGE = (CHECKOUT / "docs" / "executors.md").read_text("utf-8")


def test_what_the_page_of_executors_names_as_a_test_is_one() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 30
    there = {
        (path.name, name)
        for path in Path(CHECKOUT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert set(named) <= there, set(named) - there


def test_it_lists_every_attempt_to_escape() -> None:
    listed = PAGE.partition("## What a task tries")[2].partition("\n\n| what | attempts |")[2].partition("\n\nWhere")[0]
    rows = [row.split("|")[2] for row in listed.splitlines()[2:]]
    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == sorted(one.name for one in ESCAPES)
