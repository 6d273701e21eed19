"""A real executor and what is shared by inputs: given for a proof that is made at that moment, and for nothing less."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.claims import Imported
from schemas.topics import Topic
from streams.postgres import PostgresLog
from tests.support.authority import Readable, readable
from tests.support.shopfloor import ShopFloor, shopfloor

FINGERPRINT = "print"


class Shared:
    """What Ada opened by its inputs; others ask for the same work, one after another."""

    def __init__(self, shop: ShopFloor, api: Readable, folder: Path) -> None:
        self.shop = shop
        self.api = api
        self.input = self._saved(folder / "in", "an input\n")
        self.output = self._saved(folder / "out", "made elsewhere\n")
        old = {"task": "old", "root": "job-old", "owner": "ada"}
        shop.say(Topic.CLAIMS, Imported(fingerprint=FINGERPRINT, **old, output=self.output, by_inputs=True))

    def _saved(self, folder: Path, text: str) -> str:
        folder.mkdir()
        (folder / "file").write_text(text)
        return self.shop.store.save_directory(folder).portable_data_hash

    def asks(self, owner: str, task: str = "") -> str:
        """What the owner's task has come to: the output that it was given, or "executed"."""
        task = task or f"of-{owner}"
        self.shop.request(task, "cat $TASK_INPUTS/in/file > $TASK_OUTPUT/file", owner=owner, **self._work())
        self.shop.wait_until(lambda: self._ends(task))
        [end] = self._ends(task)
        return end.output if type(end).__name__ == "TaskCopied" else "executed"

    def _work(self) -> dict[str, object]:
        return {"fingerprint": FINGERPRINT, "inputs": {"in": self.input}}

    def _ends(self, task: str) -> list[object]:
        return [
            end for tag in ("task_copied", "task_completed", "task_failed")
            for end in self.shop.said(Topic.TASKS, tag, task=task)
        ]  # fmt: skip


@pytest.fixture
def shared(dsn: str, tmp_path: Path) -> Iterator[Shared]:
    (tmp_path / "authority").mkdir()
    with readable(tmp_path / "authority") as api, shopfloor(PostgresLog(dsn), tmp_path) as (shop, node):
        shop.number("lease", 60_000)
        for name in ("ada", "bob", "cyd", "dan"):
            shop.user(name)
        node("one", slots=2, way=api.way)
        yield Shared(shop, api, tmp_path)


def test_who_may_read_the_inputs_now_is_given_it_and_nobody_else(shared: Shared) -> None:
    shared.api.may = {shared.input: (200, 200, 404, 200, 404, 404)}
    assert shared.asks("bob") == shared.output
    assert shared.api.asked[shared.input] == 2, "before the output was looked at, and when it was there"
    assert shared.asks("cyd") == "executed"
    assert shared.asks("dan") == "executed", "the right was taken back while the output was looked at"
    assert shared.api.asked[shared.input] == 5
    assert [one.proved for one in shared.shop.said(Topic.CLAIMS, "verified")] == [True, False, False]
    assert [one.why for one in shared.shop.said(Topic.FACTS, "granted") if one.task != "old"] == ["first", "first"]


def test_an_api_that_is_away_is_no_trouble_of_who_asks(shared: Shared) -> None:
    shared.api.may = {shared.input: (503,)}
    assert shared.asks("bob") == "executed"
    assert shared.api.asked[shared.input] == 1
    assert shared.shop.said(Topic.TASKS, "task_failed") == []


def test_what_was_given_once_is_its_owners_own_from_then_on(shared: Shared) -> None:
    shared.api.may = {shared.input: (200, 200, 404)}
    assert shared.asks("bob") == shared.asks("bob", "again") == shared.output
    assert shared.api.asked[shared.input] == 2
