"""`./run kafka`: the demo, or another command, with a broker and a Postgres for as long as it takes."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from streams.broker import free_port
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.needs("kafka")


STUCK = "the live views end: they stand still"  # Faust does, once in a while; whoever supervises begins them anew


def begin(home: Path, *words: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
    cache = str(platformdirs.user_cache_path("crunch-reuse").parent)  # the jars are there already
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway.trial", *words],
        env=clean | {"HOME": str(home), "XDG_CACHE_HOME": cache, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trial(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    with begin(home, *words) as process:
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


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


def test_the_live_views_are_shown_until_they_are_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    with views(tmp_path, port) as (process, pid):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/views") as answer:
            shown = json.load(answer)
        assert shown["partitions"] == list(range(len(shown["partitions"])))
        assert len(shown["partitions"]) > 0
        os.kill(pid, signal.SIGTERM)
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "nothing is wrong" in stdout


@contextmanager
def views(home: Path, port: int) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A trial, and the pid of its worker, as soon as that has its partitions; begun again where Faust got stuck."""
    while True:
        with begin(home, "views", "--listen", f"127.0.0.1:{port}", "--json") as process:
            said = until_ready(process)
            try:
                if "ready" in said:
                    yield process, int(said["started"]["pid"])
                    return
                _, stderr = process.communicate()
                assert STUCK in stderr
            finally:
                process.send_signal(signal.SIGINT)  # nothing of it stays, whatever happened


def until_ready(process: "subprocess.Popen[str]") -> dict[str, dict[str, Any]]:
    """What the worker says until it is ready, or ends: the last line of each action."""
    said: dict[str, dict[str, Any]] = {}
    assert process.stdout
    while "ready" not in said and (line := process.stdout.readline()).startswith("{"):
        told = json.loads(line)
        said[told["action"]] = told
    return said
