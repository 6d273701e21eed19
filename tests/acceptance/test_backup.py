"""Backup and restore: a second machine is made of the first one's backup, and goes on where that was."""

import subprocess
from pathlib import Path

import orjson
import pytest

from tests.support.crunch import Crunch, one_line

JOB = """
name: greeting
command: ["sh", "-c", "echo {word} > $TASK_OUTPUT/x"]
is_pure: true
"""
WAITING = """
name: patient
command: ["sh", "-c", "cat {pipe} > $TASK_OUTPUT/x"]
is_pure: true
"""


@pytest.fixture
def crunch(tmp_path: Path) -> Crunch:
    (tmp_path / "home").mkdir()
    return Crunch(tmp_path / "home", tmp_path / "data", {"executor.runner": "process"})


def job(crunch: Crunch, text: str, **fields: str) -> Path:
    file = crunch.home / f"job-{len(list(crunch.home.iterdir()))}.yaml"
    for name, value in fields.items():
        text = text.replace("{" + name + "}", value)
    file.write_text(text)
    return file


def output_of(crunch: Crunch, root: str, folder: Path) -> str:
    assert crunch.run("get", root, str(folder)).code == 0
    return (folder / "x").read_text()


def test_a_backup_of_what_runs_becomes_a_machine_that_goes_on(crunch: Crunch, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    with crunch.up():
        first = crunch.submit(job(crunch, JOB, word="one"))
        crunch.until_state(first, "complete")
        running = crunch.submit(job(crunch, WAITING, pipe=str(pipe)))
        crunch.until_running(running)
        token = crunch.run("token", "create", "--json").json["uuid"]
        saved = crunch.run("backup", str(tmp_path / "saved"), "--json")
        assert saved.code == 0, saved.err
        assert saved.json["blocks"] > 0
        later = crunch.submit(job(crunch, JOB, word="lost"))
        crunch.until_state(later, "complete")

    other = Crunch(crunch.home, tmp_path / "other", crunch.settings)
    brought = other.run("restore", str(tmp_path / "saved"), "--json")
    assert brought.code == 0, brought.err
    assert brought.json["blocks"] == saved.json["blocks"]
    with other.up():
        other.until_state(first, "complete")
        assert output_of(other, first, tmp_path / "got") == "one\n"
        tokens = [row["uuid"] for row in other.run("token", "list", "--json").json]
        assert token in tokens
        again = other.submit(job(other, JOB, word="one"))
        other.until_state(again, "complete")
        assert other.tasks(again)[0].state == "copied"
        other.until_running(running)  # what ran is run again: the machine it ran on is gone
        pipe.write_text("two")
        other.until_state(running, "complete")
        assert output_of(other, running, tmp_path / "got-too") == "two"
        audit = other.run("audit", "verify")
        assert audit.code == 0, audit.out
        assert other.run("job", later).code != 0


def test_a_second_backup_into_the_folder_adds_what_is_new(crunch: Crunch, tmp_path: Path) -> None:
    with crunch.up():
        first = crunch.submit(job(crunch, JOB, word="one"))
        crunch.until_state(first, "complete")
        assert crunch.run("backup", str(tmp_path / "saved")).code == 0
        before = {path: path.stat().st_ino for path in (tmp_path / "saved" / "store").rglob("*") if path.is_file()}
        second = crunch.submit(job(crunch, JOB, word="two"))
        crunch.until_state(second, "complete")
        assert crunch.run("backup", str(tmp_path / "saved")).code == 0
    after = {path: path.stat().st_ino for path in (tmp_path / "saved" / "store").rglob("*") if path.is_file()}
    assert len(after) > len(before)
    kept = [path for path in before if path.parent.name != "store"]
    assert [after[path] for path in kept] == [before[path] for path in kept]
    other = Crunch(crunch.home, tmp_path / "other", crunch.settings)
    assert other.run("restore", str(tmp_path / "saved")).code == 0
    with other.up():
        other.until_state(second, "complete")


@pytest.fixture
def saved(crunch: Crunch, tmp_path: Path) -> Path:
    with crunch.up("--no-dispatch"):
        assert crunch.run("backup", str(tmp_path / "saved")).code == 0
    return tmp_path / "saved"


def test_what_is_wrong_with_a_backup_is_named_and_nothing_starts_of_it(crunch: Crunch, saved: Path) -> None:
    other = Crunch(crunch.home, saved.parent / "other", crunch.settings)
    assert "is not empty" in one_line(crunch.run("restore", str(saved)))
    assert "holds no backup" in one_line(other.run("restore", str(saved.parent / "nothing")))
    [records] = (saved / "database").glob("log.records.copy")
    records.write_bytes(records.read_bytes().replace(b"genesis".hex().encode(), b"genesys".hex().encode(), 1))
    damaged = other.run("restore", str(saved))
    assert damaged.code == 1
    assert "log.records.copy" in one_line(damaged)
    refused = other.run("up")
    assert "a restore into it was interrupted" in one_line(refused)


def test_a_backup_is_private(crunch: Crunch, saved: Path) -> None:
    assert saved.stat().st_mode & 0o077 == 0
    said = orjson.loads((saved / "backup.json").read_bytes().partition(b"\n")[2])
    assert said["in_kafka"] is False
