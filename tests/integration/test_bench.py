"""The benches, at their smallest: they run, and print the figures that they are for."""

import subprocess
import sys

import pytest

from bench.dispatching.queueing import Arrival, arrivals, ideal_waits
from bench.peers import OURS


def bench(name: str, *words: str) -> str:
    """What a bench printed."""
    command = [sys.executable, "-m", f"bench.{name}", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ideal_queue_waits_only_where_all_slots_are_taken():
    work = [Arrival(0.0, 10.0), Arrival(1.0, 10.0), Arrival(2.0, 0.01), Arrival(3.0, 0.01), Arrival(12.0, 0.01)]
    assert ideal_waits(work, slots=2) == pytest.approx([0, 0, 8.0, 7.01, 0])


def test_the_same_seed_brings_the_same_arrivals():
    once = arrivals(1, 30, (50, 1), (0.01, 10))
    assert once == arrivals(1, 30, (50, 1), (0.01, 10)) != arrivals(2, 30, (50, 1), (0.01, 10))
    assert sum(one.seconds == 0.01 for one in once) / 30 == pytest.approx(50, rel=0.2)


def test_rules():
    assert "decode to encode" in bench("rules", "--fingerprints", "50")


def test_explain():
    assert "explained to a user: median" in bench("explain", "--tasks", "1500", "--owners", "20", "--rounds", "3")


def test_pages():
    told = bench("pages", "--tasks", "50000", "--rounds", "1")
    assert told.count("a job's tree") == 2
    assert "answer 5" not in told


def test_projector():
    assert "times as long" in bench("projector", "--jobs", "4", "--tasks", "10", "--runs", "1")


def test_log():
    assert "append to woken reader" in bench("log", "--records", "200")


def test_dispatch():
    small = ["--executors", "2", "--seconds", "2", "--long", "1", "--queue", "50", "--entries", "5"]
    told = bench("dispatch", *small, "--long-rate", "1")
    for figure in ("waiting p99", "assignments/s", "reuse, cluster full", "a freed slot"):
        assert figure in told


def test_peers_in_postgres():
    told = bench("peers", "--only", "Postgres, 32 clients", "--runs", "1", "--fingerprints", "100")
    assert "Postgres, 32 clients" in told


@pytest.mark.needs("kafka")
def test_peers_on_kafka():
    small = ["--runs", "1", "--fingerprints", "50", "--loops", "5"]
    told = bench("peers", *small, "--only", "consume only", OURS, "ours without rules", "ours, two processes")
    assert "ours, two processes" in told
    assert "bytes on disk" in told
