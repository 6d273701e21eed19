"""Data of an earlier release: brought to this one's layouts they are sound, and everything goes on."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.cli import run
from gateway.problems import REFUSED
from tests.conftest import CHECKOUT
from tests.support.crunch import Crunch
from tests.support.postgres import dsn, postgres_server
from tests.support.procs import commands

__all__ = ["dsn", "postgres_server"]

Here = Callable[[list[str]], Any]
DATA = CHECKOUT / "tests" / "data" / "release-0"
WAS = {"log": 1, "api": 1, "rm": 5}
GREETING = "zzzzz-8i9sb-hwyk25xip32lvcl"  # a job of that time
JOB = '{"name": "greeting", "command": "echo two > $TASK_OUTPUT/x", "is_pure": true}'


@pytest.fixture
def earlier(tmp_path: Path, dsn: str) -> Crunch:
    """A machine with these data."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(gzip.decompress((DATA / "database.sql.gz").read_bytes()))
    subprocess.run(["tar", "--no-same-owner", "-xzf", DATA / "store.tar.gz"], cwd=tmp_path, check=True)
    (tmp_path / "home").mkdir()
    settings = {"postgres.dsn": dsn, "store.directory": str(tmp_path / "store"), "submit.user": "ada"}
    return Crunch(tmp_path / "home", tmp_path / "data", {"executor.runner": "process", **settings})


@pytest.fixture
def here(earlier: Crunch, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Here:
    """Runs commands on it in this process; what they print as JSON."""
    for key, value in earlier.settings.items():
        monkeypatch.setenv(f"CRUNCH_REUSE_{key.replace('.', '_').upper()}", value)

    def command(words: list[str]) -> Any:
        assert run(["--data-dir", str(earlier.data), *words, "--json"]) == 0
        return json.loads(capsysbinary.readouterr().out)

    return command


def test_data_of_an_earlier_release_are_upgraded_audited_and_go_on(earlier: Crunch, here: Here, tmp_path: Path) -> None:
    _backup, look, upgrade, verify, drift = commands("Upgrade", "docs/operations.md")
    looked = here(look)["tables"]
    assert {name: step["was"] for name, step in looked.items()} == WAS
    done = here(upgrade)
    assert done["tables"] == looked, "to look changes nothing"
    assert done["facts"] > 0
    assert all(step["was"] < step["now"] for step in looked.values())
    assert here(verify)["wrong"] == 0
    assert here(drift) == {}
    again = here(upgrade)
    assert (again["facts"], again["tables"]) == (
        0,
        {name: step | {"was": step["now"]} for name, step in looked.items()},
    )
    (tmp_path / "job.json").write_text(JOB)
    with earlier.up():
        earlier.until_state(GREETING, "complete")
        assert earlier.run("get", GREETING, str(tmp_path / "got")).code == 0
        assert (tmp_path / "got" / "x").read_text() == "one\n"
        first, second = (earlier.submit(tmp_path / "job.json") for _ in range(2))
        earlier.until_state(first, "complete")
        earlier.until_state(second, "complete")
        assert sorted(earlier.tasks(job)[0].state for job in (first, second)) == ["complete", "copied"]
        assert here(verify)["wrong"] == 0


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the one line says."""
    assert run(["upgrade", *words]) == REFUSED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_what_can_not_be_upgraded_is_told_in_one_line(
    tmp_path: Path, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    assert "holds no data" in refused(capsys, "--data-dir", str(nowhere))
    assert not nowhere.exists()
    assert "this database holds nothing of ours" in refused(capsys, "--postgres", dsn, "--dry-run")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create schema rm; create table rm.migrations as select 999 as version")
    assert "the read model is of version 999, this code knows" in refused(capsys, "--postgres", dsn)
