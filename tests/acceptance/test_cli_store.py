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
        refuses_without_a_manifest(crunch, blocks, crunch.tasks(second)[0].output)
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


def refuses_without_a_manifest(crunch: Crunch, blocks: BlockStore, output: str) -> None:
    """Nobody can say what a collection has whose manifest is not there: nothing goes, until that is insisted on."""
    manifest, waste = blocks.get(output), blocks.put(b"another upload that came to nothing")
    blocks.remove(output)
    refused = crunch.run("store", "gc", "--grace", "0", "--json")
    assert (refused.code, refused.json["missing"], refused.json["aside"]) == (1, [output], 0)
    assert blocks.exists(waste)
    assert "--force" in crunch.run("store", "gc", "--dry-run").out
    upload = blocks.receive()
    forced = crunch.run("store", "gc", "--grace", "0", "--force", "--json")
    assert (forced.code, forced.json["missing"]) == (0, [output])
    assert not blocks.exists(waste)
    assert upload.path.exists()  # of somebody who is still writing
    blocks.drop(upload)
    blocks.put(manifest)
    assert crunch.run("store", "gc", "--grace", "0", "--json").json["missing"] == []
