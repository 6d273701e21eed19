"""`up` as a process: one for each data folder, nothing left behind, and nothing lost however it ends."""

import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.folders import Folders
from schemas.codec import encode
from schemas.settings import RulesSet
from schemas.topics import Topic
from streams.admin import create_topics
from streams.embedded import EmbeddedPostgres
from streams.log import Append, Place
from streams.postgres import PostgresLog
from tests.support.crunch import Crunch, alive, done, one_line, until_gone

COUNTED = """
name: steps
command: ["sh", "-c", "for i in 1 2 3 4 5 6; do sleep 0.{mark}; done; echo {mark} > $TASK_OUTPUT/x"]
is_pure: true
"""


@pytest.fixture
def crunch(tmp_path: Path) -> Crunch:
    (tmp_path / "home").mkdir()
    return Crunch(tmp_path / "home", tmp_path / "data")


def slow_job(crunch: Crunch, mark: int = 5) -> Path:
    file = crunch.home / f"slow-{mark}.yaml"
    file.write_text(COUNTED.replace("{mark}", str(mark)))
    return file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_and_nothing_is_left(crunch: Crunch, number: int) -> None:
    with crunch.up() as up:
        family = up.family()
        assert len(family) > 1
        ended = up.stop(number)
    assert ended.code == 0
    assert alive(family) == set()
    assert not (crunch.data / "up.json").exists()
    refused = crunch.run("jobs")
    assert refused.code == 2
    assert f"up --data-dir {crunch.data}" in one_line(refused)


def test_the_end_of_its_standard_input_stops_it(crunch: Crunch) -> None:
    reader, writer = os.pipe()
    process = crunch.start("up", "--until-eof", "--json", stdin=reader)
    os.close(reader)
    assert process.stdout
    assert process.stdout.readline()
    os.close(writer)
    assert done(process).code == 0


def test_a_second_one_on_the_same_folder_is_refused(crunch: Crunch) -> None:
    with crunch.up() as up:
        second = crunch.run("up")
        assert second.code == 1
        assert str(crunch.data) in one_line(second)
        assert str(up.process.pid) in one_line(second)
        assert crunch.run("user", "list").code == 0


def test_a_folder_that_is_not_ours_is_refused(crunch: Crunch) -> None:
    crunch.data.mkdir()
    (crunch.data / "thesis.tex").write_text("mine")
    refused = crunch.run("up")
    assert refused.code == 3
    assert "was not made by crunch-reuse" in one_line(refused)
    assert [path.name for path in crunch.data.iterdir()] == ["thesis.tex"]


def test_a_folder_with_a_long_path(crunch: Crunch, tmp_path: Path) -> None:
    deep = Crunch(crunch.home, tmp_path / ("long" * 30) / ("path" * 30))
    with deep.up():
        assert deep.run("submit", str(slow_job(deep, 1))).code == 0


def test_the_local_user_is_made_once_and_is_no_admin(crunch: Crunch) -> None:
    for _ in range(2):
        with crunch.up() as up:
            [user] = crunch.run("user", "list", "--json").json
            assert user["is_admin"] is False
            up.stop()


def test_killed_in_the_middle_it_finishes_everything_when_started_again(crunch: Crunch) -> None:
    with crunch.up("--slots", "1") as up:
        roots = [crunch.submit(slow_job(crunch, mark)) for mark in (4, 5, 5, 6)]
        crunch.until_running(*roots)
        family = up.family()
        up.stop(signal.SIGKILL)
    until_gone(family)
    with crunch.up("--slots", "1") as up:
        jobs = [crunch.until_state(root, "complete", "failed") for root in roots]
        assert [job.state for job in jobs] == ["complete"] * 4
        assert jobs[1].output == jobs[2].output
        audit = crunch.run("audit", "verify", "--json")
        assert (audit.code, audit.json["wrong"]) == (0, 0)
        family |= up.family()
        up.stop()
    assert alive(family) == set()


def test_killed_and_started_again_at_once_it_finds_a_postgres_that_works(crunch: Crunch) -> None:
    with crunch.up("--no-dispatch") as up:
        family = up.family()
        up.stop(signal.SIGKILL)
    with crunch.up() as up:
        assert crunch.run("submit", str(slow_job(crunch, 1))).code == 0
        assert up.stop().code == 0
    until_gone(family)


def test_stopped_in_the_middle_of_work_it_finishes_everything_when_started_again(crunch: Crunch) -> None:
    with crunch.up() as up:
        root = crunch.submit(slow_job(crunch, 7))
        crunch.until_running(root)
        family = up.family()
        assert up.stop(signal.SIGINT).code == 0
    assert alive(family) == set()
    with crunch.up():
        assert crunch.until_state(root, "complete", "failed").state == "complete"


def test_postgres_killed_under_it_is_one_line_and_nothing_is_lost(crunch: Crunch) -> None:
    with crunch.up() as up:
        root = crunch.submit(slow_job(crunch, 8))
        crunch.until_running(root)
        family = up.family()
        os.kill(up.postgres, signal.SIGKILL)
        ended = up.end()
    assert ended.code == 1
    assert "Postgres" in one_line(ended)
    assert alive(family) == set()
    with crunch.up():
        assert crunch.until_state(root, "complete", "failed").state == "complete"
        assert crunch.run("audit", "verify").code == 0


def test_a_port_that_nobody_answers_at_is_one_line(crunch: Crunch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dsn = f"host=127.0.0.1 port={unused.getsockname()[1]} user=nobody connect_timeout=2"
        refused = crunch.run("up", "--postgres", dsn)
    assert refused.code == 1
    assert "can't connect" in one_line(refused)


def test_a_machine_that_stops_at_the_first_start_is_the_line_that_is_seen(crunch: Crunch) -> None:
    folders = Folders(crunch.data)
    folders.create()
    with EmbeddedPostgres(crunch.data) as dsn:
        log = PostgresLog(dsn)
        create_topics(log)
        log.append([Append(Place(Topic.SETTINGS, 0), "", encode(RulesSet(version=99)))])
        log.close()
    refused = crunch.run("up")
    assert refused.code == 1
    assert "rules version 99" in one_line(refused)
