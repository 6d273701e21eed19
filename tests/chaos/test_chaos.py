"""The short form: each kind of process killed while work is under way, and everything right in the end."""

from pathlib import Path

import pytest

from tests.chaos.run import IDLE, Run

KINDS = ("coordinator", "standby", "executor", "projector", "api", "views", "watchdog")
SECONDS = 10.0


@pytest.mark.needs("kafka", "bubblewrap", "root")
def test_killing_any_process_at_any_time_changes_nothing_but_the_time_it_takes(tmp_path: Path) -> None:
    report = Run(tmp_path, 4, SECONDS, nemeses=[f"kill {kind}" for kind in KINDS]).run()
    print(*report.lines(), sep="\n")
    # In ten seconds on a busy machine one of them may find nothing in flight.
    assert [line for line in report.wrong if not line.endswith(IDLE)] == []
    assert report.starts > 0
    assert report.answers > 0
    assert any(busy for _, busy in report.strikes.values()), report.strikes
