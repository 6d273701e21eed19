"""The process beside an executor, whenever that is killed."""

import os
import re
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from consumers.executor.guard import Guard
from consumers.runners.reap import MARK, Hold
from consumers.watchdog import Note
from streams.address import Address

SOON = 60.0
NOWHERE = Address(opener="streams.postgres:PostgresLog", arguments={"dsn": "host=/nowhere dbname=none"})
COMPLAINT = "Postgres: connection is bad"


def raw(address: Address) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(address))


def test_an_executor_that_is_killed_while_the_log_is_opened_leaves_nothing_running() -> None:
    mark = uuid4().hex
    work = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={**os.environ, MARK: mark})
    hold = Note(key="work", hold=Hold(group=work.pid, mark=mark))
    address = Address(opener="streams.memory:MemoryLog", arguments={})
    with subprocess.Popen(
        [sys.executable, "-m", "consumers.watchdog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as watchdog:
        assert watchdog.stdin
        assert watchdog.stdout
        watchdog.stdout.close()  # nobody hears that it was opened
        for note in (hold, Note(address=raw(address))):
            watchdog.stdin.write(msgspec.json.encode(note) + b"\n")
        watchdog.stdin.close()
        assert watchdog.wait(SOON) == 0
    assert work.wait(SOON) < 0


def test_what_it_complains_of_is_said_by_its_executor(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with closing(Guard(lock=tmp_path / "lock", address=NOWHERE)) as guard:
        assert guard.wait_until_ready(SOON)
    [said] = [record for record in caplog.records if record.name == "consumers.executor.guard"]
    assert (said.levelname, COMPLAINT in said.getMessage()) == ("WARNING", True)


def test_where_nobody_hears_it_says_so_in_the_journals_form() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "consumers.watchdog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watchdog:
        assert watchdog.stdout
        watchdog.stdout.close()
        _, said = watchdog.communicate(msgspec.json.encode(Note(address=raw(NOWHERE))).decode() + "\n", SOON)
    [line] = said.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ watchdog warned level=warning part=consumers.watchdog mess", line)
    assert COMPLAINT in line


def test_an_executor_that_does_not_listen_does_not_hold_it_up() -> None:
    full, other = os.pipe()
    os.set_blocking(other, False)
    with suppress(BlockingIOError):
        while os.write(other, b"x" * 4096):
            pass
    with subprocess.Popen(
        [sys.executable, "-m", "consumers.watchdog"],
        stdin=subprocess.PIPE,
        stdout=other,
        stderr=subprocess.PIPE,
        text=True,
    ) as watchdog:
        _, said = watchdog.communicate(msgspec.json.encode(Note(address=raw(NOWHERE))).decode() + "\n", SOON)
    for end in (full, other):
        os.close(end)
    assert COMPLAINT in said
    assert watchdog.returncode == 0
