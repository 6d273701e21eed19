"""The store and the cache by command: what is freed, what is found rotten, what was saved."""

from pathlib import Path

import pytest

from store.blocks import BlockStore
from tests.support.crunch import Crunch, one_line


@pytest.fixture
def crunch(tmp_path: Path) -> Crunch:
    (tmp_path / "home").mkdir()
    return Crunch(tmp_path / "home", tmp_path / "data")


def test_the_cache_and_the_store_are_looked_after_while_all_runs(crunch: Crunch, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text('{"name": "kept", "command": "echo hello > $TASK_OUTPUT/x", "is_pure": true}')
    with crunch.up("--runner", "process"):
        first = crunch.submit(file)
        crunch.until_state(first, "complete")
        blocks = BlockStore(crunch.data / "store")
        waste = blocks.put(b"an upload that came to nothing")
        freed = crunch.run("store", "gc", "--grace", "0", "--json").json
        assert freed["aside"] >= 1  # what tries the runners at the start leaves something too
        assert freed["missing"] == []
        assert not blocks.exists(waste)
        second = crunch.submit(file)
        assert crunch.until_state(second, "complete").copied == 1
        assert crunch.run("get", second, str(tmp_path / "out")).code == 0
        assert (tmp_path / "out" / "x").read_text() == "hello\n"
        saved = crunch.run("cache", "stats", "--json").json
        assert (saved["savings"]["given"], saved["savings"]["taken"], saved["bytes"]) == (1, 0, 6)
        [entry] = crunch.run("cache", "ls", "--json").json
        assert (entry["name"], entry["copies"]) == ("kept", 1)
        assert crunch.run("cache", "rm", "--unused-for", "1h", "--json").json["entries"] == []
        assert "name a task" in one_line(crunch.run("cache", "rm"))
        gone = crunch.run("cache", "rm", "--older-than", "0s", "--yes", "--json").json
        assert [one["token"] for one in gone["entries"]] == [entry["token"]]
        third = crunch.submit(file)
        assert crunch.until_state(third, "complete").copied == 0
        assert crunch.run("store", "check").code == 0
        rotten = next(block.locator for block in blocks.blocks() if block.size == 6)
        path = blocks.root / rotten[:3] / rotten[:32]
        path.chmod(0o644)
        path.write_bytes(b"HELLO\n")
        looked = crunch.run("store", "check", "--json")
        assert (looked.code, looked.json["damaged"]) == (1, [rotten])
