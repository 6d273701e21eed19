"""Backup and restore: a second machine is made of the first one's backup, and goes on where that was."""

import os
import subprocess
from contextlib import closing
from hashlib import md5
from pathlib import Path

import orjson
import pytest

from schemas.topics import Topic
from streams.admin import EMBEDDED
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_settings import NOTES, KafkaSettings
from tests.support.crunch import Crunch, Done, one_line
from tests.support.postgres import dsn, postgres_server
from tests.support.procs import commands, shell_lines

__all__ = ["dsn", "postgres_server"]

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


def followed(crunch: Crunch, section: str, folder: Path) -> list[Done]:
    """What the commands of a section of docs/operations.md said, with `/backups` elsewhere; each went well."""
    done = []
    for words in shell_lines(section, "docs/operations.md"):
        placed = [word.replace("/backups", str(folder)) for word in words]
        if placed[0] != "./run":
            subprocess.run(placed, check=True)
            continue
        done.append(crunch.run(*placed[1:]))
        assert done[-1].code == 0, (words, done[-1])
    return done


@pytest.mark.needs("kafka")
def test_a_log_in_kafka_goes_on_in_other_topics_and_then_with_another_postgres(
    crunch: Crunch, tmp_path: Path, kafka_broker: LocalBroker, dsn: str
) -> None:
    here = {**crunch.settings, "kafka.servers": kafka_broker.servers, "kafka.prefix": "backup-of."}
    with closing(KafkaLog(KafkaSettings(servers=kafka_broker.servers, prefix="backup-of.", patience=60.0))) as log:
        log.create(EMBEDDED)  # few partitions, and no haste: the broker has others to look after
    first = Crunch(crunch.home, crunch.data, here)
    with first.up():
        done = first.submit(job(first, JOB, word="one"))
        first.until_state(done, "complete")
        token = first.run("token", "create", "--json").json["uuid"]
        followed(first, "Backup", tmp_path)
    lonely = Crunch(crunch.home, tmp_path / "lonely", crunch.settings)
    assert "its log is in Kafka: name the brokers" in one_line(lonely.run("restore", str(tmp_path / "crunch")))
    other = Crunch(crunch.home, tmp_path / "other", {**here, "kafka.prefix": "backup-in."})
    audit = commands("Restore into Kafka", "docs/operations.md")[-1]
    check, restore, check_again = commands("All brokers' disks", "docs/operations.md")
    missing = other.run(*check)
    assert (missing.code, missing.out.count("is missing")) == (1, len([*Topic, NOTES])), missing
    brought = other.run(restore[0], str(tmp_path / "crunch"), "--json")
    assert brought.code == 0, brought.err
    assert other.run(*check_again).code == 0
    assert brought.json["records"] > 0
    with other.up():
        other.until_state(done, "complete")
        assert output_of(other, done, tmp_path / "got") == "one\n"
        again = other.submit(job(other, JOB, word="one"))
        other.until_state(again, "complete")
        assert other.tasks(again)[0].state == "copied"
        new = other.submit(job(other, JOB, word="two"))
        other.until_state(new, "complete")
        assert other.run(*audit).json["wrong"] == 0
        (tmp_path / "slow").mkdir()
        followed(other, "Retention and archives", tmp_path)
        followed(other, "Backup", tmp_path)  # it is the same log
    elsewhere = Crunch(other.home, other.data, {**other.settings, "postgres.dsn": dsn})
    followed(elsewhere, "Postgres", tmp_path)
    assert "this database has" in one_line(elsewhere.run("restore", str(tmp_path / "crunch"), "--registry"))
    with elsewhere.up():
        elsewhere.until_state(new, "complete")
        assert token in [row["uuid"] for row in elsewhere.run("token", "list", "--json").json]


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


def test_a_store_that_lost_some_is_mended_from_the_backup(crunch: Crunch, tmp_path: Path) -> None:
    check, copy, check_again = shell_lines("The store", "docs/operations.md")
    with crunch.up():
        root = crunch.submit(job(crunch, JOB, word="one"))
        crunch.until_state(root, "complete")
        assert crunch.run("backup", str(tmp_path / "crunch")).code == 0
        output = crunch.tasks(root)[0].output
        manifest, content = (crunch.data / "store" / name[:3] / name[:32] for name in (output, hash_of("one\n")))
        manifest.unlink()
        content.chmod(0o644)
        content.write_text("two\n")
        looked = crunch.run(*check[1:], "--json")
        assert (looked.code, looked.json["damaged"], output in looked.json["missing"]) == (
            1,
            [f"{content.name}+4"],
            True,
        )
        content.unlink()
        places = {"/backups": str(tmp_path), "/srv/crunch-reuse": str(crunch.data)}
        for there, here in places.items():
            copy = [word.replace(there, here) for word in copy]
        subprocess.run(copy, check=True)
        assert crunch.run(*check_again[1:]).code == 0
        assert output_of(crunch, root, tmp_path / "got") == "one\n"


def hash_of(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def held_up(crunch: Crunch) -> Path:
    """Something in the store that whoever copies it waits at."""
    pipe = crunch.data / "store" / ("0" * 3) / ("0" * 32)
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    return pipe


def until_said(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stderr
    while line := process.stderr.readline():
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


def no_room(crunch: Crunch, folder: str) -> None:
    small = crunch.run("backup", folder, prefix=("prlimit", "--fsize=2000"))
    assert "File too large: put that right, and do it again" in one_line(small)
    assert folder in small.err


def no_folder_for_it(crunch: Crunch, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    assert "taken: File exists" in one_line(crunch.run("backup", str(tmp_path / "taken")))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("years of work")
    assert "is not empty and holds no backup" in one_line(crunch.run("backup", str(tmp_path / "thesis")))


def test_one_that_fails_or_is_killed_is_none_holds_nobody_up_and_is_made_again(crunch: Crunch, tmp_path: Path) -> None:
    folder = str(tmp_path / "saved")
    with crunch.up():
        root = crunch.submit(job(crunch, JOB, word="one"))
        crunch.until_state(root, "complete")
        no_folder_for_it(crunch, tmp_path)
        no_room(crunch, folder)
        pipe = held_up(crunch)
        with crunch.start("backup", folder) as first:
            writer = pipe.open("wb")  # which returns when somebody reads
            assert "is in use by process" in one_line(crunch.run("backup", folder))
            with crunch.start("store", "gc", "--grace", "0") as collector:
                until_said(collector, "a backup is being made: waiting for its end")
                first.kill()
                assert collector.wait() == 0
        writer.close()
        pipe.unlink(missing_ok=True)  # to collect it was right
        other = Crunch(crunch.home, tmp_path / "other", crunch.settings)
        assert "holds no backup, or one that was not finished" in one_line(other.run("restore", folder))
        assert crunch.run("backup", folder).code == 0
    assert other.run("restore", folder).code == 0
    with other.up():
        assert output_of(other, root, tmp_path / "got") == "one\n"


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
