"""Outputs are looked at before they are given: one's own before it is reported, an older one when it is asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.claims import Aged
from schemas.reasons import Failure
from schemas.topics import Topic
from streams.postgres import PostgresLog
from tests.support.attempts import bench
from tests.support.shopfloor import Node, ShopFloor, shopfloor

MAKES = "echo made > $TASK_OUTPUT/file"
LATER = Aged(before=10**9)  # every entry is older


@pytest.fixture
def floor(dsn: str, tmp_path: Path) -> Iterator[tuple[ShopFloor, Callable[..., Node]]]:
    with shopfloor(PostgresLog(dsn), tmp_path) as made:
        made[0].number("lease", 60_000)
        made[0].user("ada")
        made[1]("one", slots=2)
        yield made


def made_once(shop: ShopFloor) -> Any:
    """What a first task left, to be looked at before it is given again."""
    shop.request("first", MAKES, fingerprint="print")
    done = shop.completed("first")
    shop.say(Topic.CLAIMS, LATER)
    return done


def test_an_older_output_that_is_all_there_is_copied_for_everyone_who_waits(floor):
    shop, _ = floor
    done = made_once(shop)
    for task in ("second", "third"):
        shop.request(task, MAKES, fingerprint="print")
    copies = [shop.wait_for(Topic.TASKS, "task_copied", task=task) for task in ("second", "third")]
    assert {copy.output for copy in copies} == {done.output}
    assert len(shop.said(Topic.CLAIMS, "started")) == 1


def test_a_block_that_is_gone_for_good_invalidates_the_entry_and_the_task_is_executed(floor):
    shop, _ = floor
    done = made_once(shop)
    [*_, block] = shop.store.locators(done.output)
    shop.store.blocks.remove(block)
    shop.request("second", MAKES, fingerprint="print")
    assert shop.completed("second").output == done.output
    assert shop.said(Topic.CLAIMS, "output_missing")[0].block == block
    assert len(shop.said(Topic.CLAIMS, "started")) == 2
    assert shop.said(Topic.TASKS, "task_copied") == []


def test_a_store_that_is_away_invalidates_nothing(floor):
    shop, _ = floor
    done = made_once(shop)
    (shop.folder / "store").rename(shop.folder / "away")
    shop.request("second", MAKES, fingerprint="print")
    shop.wait_until(lambda: any(len(sign.tokens) == 1 for sign in shop.said(Topic.WORK, "alive")[-1:]))
    (shop.folder / "away").rename(shop.folder / "store")
    assert shop.wait_for(Topic.TASKS, "task_copied", task="second").output == done.output
    assert shop.said(Topic.CLAIMS, "output_missing") == []
    assert len(shop.said(Topic.CLAIMS, "started")) == 1


def test_an_output_that_is_not_all_there_when_it_was_saved_is_not_reported_as_one(tmp_path):
    with bench(tmp_path, "process") as made:
        save = made.store.save_directory

        def save_and_lose(*arguments: Any) -> Any:
            saved = save(*arguments)
            made.store.blocks.remove(list(made.store.locators(saved.portable_data_hash))[-1])
            return saved

        made.store.save_directory = save_and_lose
        report = made.run(MAKES)
    assert (report.failure, report.output) == (Failure.STORE, "")
    assert report.reason.endswith("is not in the store although it was just saved")
