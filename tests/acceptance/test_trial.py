"""`./run kafka`: the demo, or another command, with a broker and a Postgres for as long as it takes."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.needs("kafka")


def trial(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
    cache = str(platformdirs.user_cache_path("crunch-reuse").parent)  # the jars are there already
    return subprocess.run(
        [sys.executable, "-P", "-m", "gateway.trial", *words],
        env=clean | {"HOME": str(home), "XDG_CACHE_HOME": cache, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_plays_on_kafka_and_the_audit_finds_nothing(tmp_path: Path) -> None:
    played = trial(tmp_path)
    assert played.returncode == 0, played.stderr
    assert "the outputs of the first two jobs are the same" in played.stdout
    assert played.stdout.count("nothing is wrong") == 2


def test_a_command_that_needs_something_running_finds_it_and_its_failure_passes_through(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text('name: fails\ncommand: ["sh", "-c", "exit 3"]\n')
    failed = trial(tmp_path, "submit", str(file))
    assert failed.returncode == 1, failed.stderr
    assert "nothing is wrong" in failed.stdout
