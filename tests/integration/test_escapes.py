"""What a task tries in order to cheat, leak, hang or vanish: each fails in every runner that isolates.

And each succeeds where nothing isolates and nothing limits, to show that it would be seen if it did.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.executor.way import Way
from consumers.runners.relay import Target
from coordinator.signedtoken import KEY_BYTES
from schemas.reasons import Failure
from streams.broker import LocalBroker
from tests.support import ordinary
from tests.support.attempts import Bench, bench
from tests.support.escapes import ESCAPES, TO_THE_BROKER, Escape, attempt, host

EACH = pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bench]:
    """The process runner on a node without control groups."""
    with bench(tmp_path, "process", groups="left out") as made:
        yield made


@pytest.fixture
def broker(kafka_broker: LocalBroker) -> tuple[str, int]:
    """Where a real broker listens on this node."""
    name, _, port = kafka_broker.servers.rpartition(":")
    return name, int(port)


def got_away(bench: Bench, escape: Escape, postgres: str, engine: str, **more: Any) -> bool:
    bench.site.way = Way(api=Target("127.0.0.1", 1), key=bytes(KEY_BYTES))
    with host(bench, bench.folder / "host", postgres, engine) as node:
        node.places |= more
        return escape.got_away(node, attempt(node, escape))


@EACH
def test_it_is_held(isolated, escape, postgres_server, docker_engine):
    assert not got_away(isolated, escape, postgres_server, docker_engine)


@EACH
@pytest.mark.needs("root")  # whom rlimits do not hold
def test_it_would_be_seen(bare, escape, postgres_server, docker_engine):
    assert got_away(bare, escape, postgres_server, docker_engine)


BROKERS = pytest.mark.parametrize("escape", TO_THE_BROKER, ids=lambda escape: escape.name)


@BROKERS
def test_the_broker_is_out_of_reach(isolated, escape, postgres_server, docker_engine, broker):
    assert not got_away(isolated, escape, postgres_server, docker_engine, broker=broker)


@BROKERS
@pytest.mark.needs("root")
def test_the_broker_would_be_reached(bare, escape, postgres_server, docker_engine, broker):
    assert got_away(bare, escape, postgres_server, docker_engine, broker=broker)


@pytest.mark.needs("root", "bubblewrap")
def test_a_runner_that_could_not_hold_its_limits_refuses_to_run(tmp_path):
    with bench(tmp_path, "bubblewrap", groups="left out") as made:
        report = made.run("true")
    assert (report.exit_code, report.failure) == (-1, Failure.NODE)
    assert "root's processes can only be limited by control groups" in report.reason


@pytest.mark.needs("bubblewrap")
def test_an_ordinary_users_sandbox_holds_all_but_a_moment_of_memory(tmp_path, postgres_server, docker_engine):
    """Where no control group can be written memory is looked at, so it can be had for less than a second."""
    done = subprocess.run(
        ordinary.command(tmp_path, postgres_server, docker_engine), stdout=subprocess.PIPE, check=True
    )
    told = json.loads(done.stdout)
    assert told["user"] != 0
    name, why = told["choice"]
    assert name == "bubblewrap"
    if told["groups"]:
        assert why.endswith("all of them together are not, and cores are not held")
    assert (told["said"], told["output"]) == ("said\n", {"file": "made\n"})
    assert told["greedy"][0] == Failure.OUT_OF_MEMORY
    assert set(told["away"]) <= {"hold more memory than its own"}
