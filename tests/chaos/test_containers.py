"""Containers are counted by the engine's own events, also across its death."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from consumers.runners.container import MARK_LABEL
from tests.chaos.containers import Containers
from tests.support.dockerd import LocalEngine, local_engine
from tests.support.provision import python_image

pytestmark = pytest.mark.needs("docker", "root")
SOON = 60.0


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with local_engine() as made:
        yield made


def run(engine: LocalEngine, image: str, mark: str) -> str:
    """A container that ends at once; the start of its id."""
    client = docker.DockerClient(base_url=engine.address)
    try:
        made = client.containers.create(image, ["true"], labels={MARK_LABEL: mark} if mark else {}, network_mode="none")
        made.start()
        made.wait()
        made.remove()
        return str(made.id)[:12]
    finally:
        client.close()


def lines(starts: Path, count: int) -> list[list[str]]:
    """The first so many of them, once they are there."""
    end, breath = time.monotonic() + SOON, threading.Event()  # never set
    while len(found := [line.split() for line in starts.read_text().splitlines()]) < count:
        assert time.monotonic() < end, found
        breath.wait(0.05)
    return found


def test_each_start_is_counted_once(engine: LocalEngine, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    begin = time.time()
    with Containers(engine.address, starts) as counting:
        first = run(engine, counting.image, "node.1")
        run(engine, counting.image, "")
        lines(starts, 1)
        engine.kill()
        engine.start()
        second = run(engine, counting.image, "node.2")
        found = lines(starts, 2)
    assert [line[:2] for line in found] == [["node.1", first], ["node.2", second]]
    assert begin <= float(found[0][2]) <= float(found[1][2]) <= time.time()


def test_a_start_whose_event_died_with_the_engine_is_counted_too(engine: LocalEngine, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    with python_image(engine.address) as image, closing(docker.DockerClient(base_url=engine.address)) as client:
        lost = client.containers.create(image, ["sleep", "60"], labels={MARK_LABEL: "node.1"}, network_mode="none")
        client.containers.create(image, ["true"], labels={MARK_LABEL: "node.2"}, network_mode="none")
        lost.start()
        engine.kill()
        engine.start()
        with Containers(engine.address, starts):
            found = lines(starts, 1)
    assert [line[:2] for line in found] == [["node.1", str(lost.id)[:12]]]


def test_starts_that_are_told_out_of_order_or_twice_are_counted_once_each(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    counting, now = Containers("", starts), time.time_ns()
    for name, at in (("b", 2), ("a", 1), ("b", 2), ("before", -(10**9))):
        counting._hear_of({"ID": name * 12, "Attributes": {MARK_LABEL: f"node.{name}"}}, now + at)
    assert [line[0] for line in lines(starts, 2)] == ["node.b", "node.a"]
