"""The process beside an executor, whenever that is killed."""

import os
import subprocess
import sys
from uuid import uuid4

import msgspec

from consumers.runners.reap import MARK, Hold
from consumers.watchdog import Note
from streams.address import Address

SOON = 60.0


def test_an_executor_that_is_killed_while_the_log_is_opened_leaves_nothing_running() -> None:
    mark = uuid4().hex
    work = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={**os.environ, MARK: mark})
    hold = Note(key="work", hold=Hold(group=work.pid, mark=mark))
    address = msgspec.json.encode(Address(opener="streams.memory:MemoryLog", arguments={}))
    with subprocess.Popen(
        [sys.executable, "-m", "consumers.watchdog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as watchdog:
        assert watchdog.stdin
        assert watchdog.stdout
        watchdog.stdout.close()  # nobody hears that it was opened
        for note in (hold, Note(address=msgspec.Raw(address))):
            watchdog.stdin.write(msgspec.json.encode(note) + b"\n")
        watchdog.stdin.close()
        assert watchdog.wait(SOON) == 0
    assert work.wait(SOON) < 0
