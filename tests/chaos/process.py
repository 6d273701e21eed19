"""The command line as a process of the town runs it: `python -m tests.chaos.process [OPTIONS] ARGUMENTS`.

It shares snapshots after a few dozen records, which otherwise come after fifty thousand; but none of `work`, as
the janitor would trim that up to the oldest, and the judge wants to see all. The options, in this order:

--mutant NAME: under a simpler rule of tests/support/mutations.py.
--newer: as the next version has it, which knows rules version 2 as well.
--clock FILE: its wall clock is as many seconds off as the file says.
"""

import sys
import time
from pathlib import Path
from typing import Any

import coordinator.machine

SNAPSHOT_EVERY = 60  # records
REAL_TIME = time.time_ns


def _taken(option: str) -> bool:
    given = sys.argv[1:2] == [option]
    if given:
        del sys.argv[1]
    return given


def _clock(file: Path) -> None:
    # libfaketime would do, if Python's time.sleep did not fail under it.
    time.time_ns = lambda: REAL_TIME() + int(file.read_text()) * 10**9
    time.time = lambda: time.time_ns() / 10**9


# All before the rest is imported, which takes over what it finds.
MUTANT = sys.argv.pop(1) if _taken("--mutant") else None
if _taken("--newer"):
    coordinator.machine.RULES_VERSION += 1
if _taken("--clock"):
    _clock(Path(sys.argv.pop(1)))

from gateway import wiring_parts  # noqa: E402
from gateway.cli import main  # noqa: E402
from schemas.topics import Topic  # noqa: E402
from streams.loop import Runner  # noqa: E402
from tests.support.mutations import mutated  # noqa: E402


class Sharing(Runner):
    """A runner that often shares snapshots."""

    def __init__(self, log: Any, machine: Any, *rest: Any, **more: Any) -> None:
        often = {} if machine.topic is Topic.WORK else {"every": SNAPSHOT_EVERY}
        super().__init__(log, machine, *rest, **more, **often)


if __name__ == "__main__":
    wiring_parts.Runner = Sharing
    with mutated(MUTANT):
        main()
