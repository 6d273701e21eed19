"""Containers that outlive their executor: the next one goes on with them. Starts are counted by the engine itself."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from consumers.executor.site import site_key
from consumers.runners.docker import MARK_LABEL, NODE_LABEL
from schemas.reasons import Failure
from schemas.topics import Topic
from store.words import Words, name_of
from streams.postgres import PostgresLog
from tests.support.engine import Relay
from tests.support.shopfloor import Node, ShopFloor, shopfloor

LEASE = 60_000  # a start takes its time where much else runs
SHORT_LEASE = 6_000

# It waits for a line in the pipe, and says so before; the pipe is gone when it ends. A file says that it has the reply
# to its report: without one it would ask for a minute.
WAITS = (
    "mkfifo $TASK_OUTPUT/go; chmod 666 $TASK_OUTPUT/go; echo before; crunch-task report --progress 0.5;"
    "touch $TASK_OUTPUT/waits; read -r said < $TASK_OUTPUT/go; rm $TASK_OUTPUT/go $TASK_OUTPUT/waits;"
    "echo $said > $TASK_OUTPUT/said; echo after >&2"
)


class Engine:
    """What the engine tells of the containers of one test."""

    def __init__(self, address: str, image: str) -> None:
        self.address = address
        self.image = image
        self.client = docker.DockerClient(base_url=address)
        self._since = time.time() - 1

    def starts(self, node: Node) -> Counter[str]:
        """How often each of the node's marks was started."""
        wanted = {"type": "container", "event": "start", "label": f"{NODE_LABEL}={site_key(node.name, node.root)}"}
        told: Any = self.client.events(since=self._since, until=time.time() + 1, filters=wanted, decode=True)
        return Counter(event["Actor"]["Attributes"][MARK_LABEL] for event in told)

    def containers(self, node: Node) -> list[Any]:
        wanted = {"label": f"{NODE_LABEL}={site_key(node.name, node.root)}"}
        return self.client.containers.list(all=True, filters=wanted)

    def close(self) -> None:
        self.client.close()


@pytest.fixture
def engine(docker_engine: str, python_image: str) -> Iterator[Engine]:
    with closing(Engine(docker_engine, python_image)) as made:
        yield made


@pytest.fixture
def shop(dsn: str, tmp_path: Path) -> Iterator[tuple[ShopFloor, Callable[..., Node]]]:
    with shopfloor(PostgresLog(dsn), tmp_path) as made:
        made[0].number("lease", LEASE)
        made[0].number("ack_ticks", 60)
        made[0].user("ada")
        yield made


def at_work(shop: ShopFloor, start: Callable[..., Node], engine: Engine, address: str = "") -> Node:
    """A node with a container that waits. `address`: of the engine, if the node is to know it by another."""
    node = start("one", runner="docker", engine=address or engine.address)
    shop.request("t", WAITS, image=engine.image)
    shop.wait_until(lambda: list((node.root / "attempts").glob("*/out/waits")))
    return node


def go(node: Node, word: str) -> None:
    [attempt] = (node.root / "attempts").iterdir()
    node.pipes.append(os.open(attempt / "out" / "go", os.O_RDWR))
    os.write(node.pipes[-1], f"{word}\n".encode())


def log_of(shop: ShopFloor, done: Any) -> list[str]:
    return sorted(shop.text(done.log, "stdout-stderr.txt").split())


def test_a_container_finishes_under_the_restarted_executor_and_was_started_once(shop, engine):
    floor, start = shop
    node = at_work(floor, start, engine)
    [ready] = floor.said(Topic.WORK, "ready")
    words, name = floor.store.blocks.words, name_of(ready.token)
    floor.wait_until(lambda: words.get(name))
    node.kill()
    assert words.get(name) == Words(total=7, end=b"before\n")
    node.start()
    floor.wait_until(lambda: len(floor.said(Topic.ASSIGNMENTS, "assigned")) >= 2)
    go(node, "said")
    done = floor.completed("t")
    assert done.token == ready.token
    assert floor.text(done.output, "said") == "said\n"
    assert log_of(floor, done) == ["after", "before"]
    assert list(engine.starts(node).values()) == [1]
    assert floor.said(Topic.CLAIMS, "lost") == []
    floor.wait_until(lambda: floor.said(Topic.WORK, "freed"))
    assert engine.containers(node) == []


def test_a_container_that_ended_meanwhile_tells_the_restarted_executor_how(shop, engine):
    floor, start = shop
    node = at_work(floor, start, engine)
    node.kill()
    [container] = engine.containers(node)
    go(node, "said")
    assert container.wait(timeout=60)["StatusCode"] == 0
    node.start()
    done = floor.completed("t")
    assert floor.text(done.output, "said") == "said\n"
    assert log_of(floor, done) == ["after", "before"]
    assert list(engine.starts(node).values()) == [1]
    assert floor.said(Topic.CLAIMS, "lost") == []


def test_a_task_goes_on_speaking_to_the_restarted_executor(shop, engine):
    floor, start = shop
    node = start("one", runner="docker", engine=engine.address)
    said = "crunch-task report --progress 0.9; crunch-task report --success true"
    floor.request("t", WAITS.replace("echo after", f"{said}; echo after"), image=engine.image)
    floor.wait_for(Topic.CLAIMS, "reported")
    node.kill()
    node.start()
    floor.wait_until(lambda: len(floor.said(Topic.ASSIGNMENTS, "assigned")) >= 2)
    go(node, "said")
    floor.completed("t")
    assert floor.said(Topic.CLAIMS, "reported", progress=900)
    assert floor.said(Topic.CLAIMS, "reported", success=True)


def test_nobody_comes_in_time_it_is_killed_and_done_again(shop, engine):
    floor, start = shop
    floor.number("lease", SHORT_LEASE)
    node = at_work(floor, start, engine)
    node.kill()
    [container] = engine.containers(node)
    assert container.wait(timeout=60)["StatusCode"] == 137
    floor.wait_for(Topic.CLAIMS, "lost")
    node.start()
    floor.wait_for(Topic.CLAIMS, "reported", count=2)
    go(node, "again")
    done = floor.completed("t")
    assert floor.text(done.output, "said") == "again\n"
    assert list(engine.starts(node).values()) == [1, 1]
    assert len(floor.said(Topic.CLAIMS, "exited")) == 1, "what was killed was spoken of"


def test_killed_together_with_its_watchdog_it_is_adopted_all_the_same(shop, engine):
    floor, start = shop
    node = at_work(floor, start, engine)
    os.kill(node.watchdog, signal.SIGSTOP)
    node.kill()
    node.start()
    floor.wait_until(lambda: len(floor.said(Topic.ASSIGNMENTS, "assigned")) >= 2)
    go(node, "said")
    assert floor.text(floor.completed("t").output, "said") == "said\n"
    assert list(engine.starts(node).values()) == [1]


def test_an_engine_that_is_silent_at_the_start_is_asked_until_it_answers(shop, engine, tmp_path):
    floor, start = shop
    with Relay(tmp_path / "engine", engine.address) as relay:
        node = at_work(floor, start, engine, relay.address)
        floor.withdraw("t")
        node.kill()
        os.kill(node.watchdog, signal.SIGKILL)
    [container] = engine.containers(node)
    node.start()
    assert [found.id for found in engine.containers(node)] == [container.id], "it did not go through the silent engine"
    with Relay(tmp_path / "engine", engine.address):
        container.wait(condition="removed", timeout=60)
    assert engine.containers(node) == []


def test_what_was_given_up_while_the_engine_was_silent_is_removed_by_the_restarted_executor(shop, engine, tmp_path):
    floor, start = shop
    with Relay(tmp_path / "engine", engine.address) as relay:
        node = at_work(floor, start, engine, relay.address)
    assert floor.wait_for(Topic.CLAIMS, "exited").failure is Failure.NODE
    floor.withdraw("t")
    node.kill()
    os.kill(node.watchdog, signal.SIGKILL)
    [container] = engine.containers(node)
    node.start()
    with Relay(tmp_path / "engine", engine.address):
        container.wait(condition="removed", timeout=60)
    assert engine.containers(node) == []


@pytest.mark.parametrize("why", ["its runner is another one now", "its engine says nothing to a ping"])
def test_what_can_not_be_adopted_is_gone_before_it_is_given_to_somebody_else(shop, engine, tmp_path, why):
    floor, start = shop
    with Relay(tmp_path / "engine", engine.address) as relay:
        node = at_work(floor, start, engine, relay.address)
        node.kill()
    assert len(engine.containers(node)) == 1
    if why == "its runner is another one now":
        node.offer["runner"] = "process"
    with Relay(tmp_path / "engine", engine.address, refused=b"/_ping"):
        node.start()
        assert floor.wait_for(Topic.CLAIMS, "exited").failure is Failure.NODE
        assert engine.containers(node) == []


@pytest.mark.parametrize("ends_by", ["its lease", "its end"])
def test_what_is_left_is_watched_while_its_node_waits_to_join(shop, engine, ends_by):
    floor, start = shop
    floor.number("lease", SHORT_LEASE if ends_by == "its lease" else LEASE)
    node = at_work(floor, start, engine)
    node.kill()
    [container] = engine.containers(node)
    node.root.with_suffix(".trouble").touch()
    with subprocess.Popen(node.command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr
        assert any("takes no work" in line for line in waiting.stderr)
        if ends_by == "its lease":
            assert container.wait(timeout=60)["StatusCode"] == 137
        waiting.terminate()
    assert waiting.returncode == 0
    assert engine.containers(node) == []
    assert node.joinings() == 1


def test_cancelled_while_nobody_watched_it_is_ended_by_the_restarted_executor(shop, engine):
    floor, start = shop
    node = at_work(floor, start, engine)
    node.kill()
    floor.withdraw("t")
    floor.wait_for(Topic.WORK, "cancelled")
    node.start()
    floor.wait_for(Topic.WORK, "freed")
    assert engine.containers(node) == []
    assert floor.said(Topic.CLAIMS, "exited") == []


def test_a_storm_with_executors_killed_starts_every_container_once_and_after_its_grant(shop, engine):
    floor, start = shop
    nodes = [start(name, runner="docker", engine=engine.address, slots=2, cores=2) for name in ("one", "two")]
    for rank in range(10):
        floor.request(f"t{rank}", "sleep 1; echo done > $TASK_OUTPUT/file", image=engine.image)
    for rank, node in enumerate(nodes):
        floor.wait_for(Topic.CLAIMS, "started", count=2 + 3 * rank, node=node.name)
        node.kill()
        node.start()
    floor.wait_until(lambda: len(floor.said(Topic.TASKS, "task_completed")) == 10)
    keys = {node.name: site_key(node.name, node.root) for node in nodes}
    announced = {f"{keys[one.node]}.{name_of(one.token)}" for one in floor.said(Topic.CLAIMS, "started")}
    starts = sum((engine.starts(node) for node in nodes), Counter())
    assert set(starts.values()) == {1}
    assert set(starts) <= announced
    assert {one.token for one in floor.said(Topic.CLAIMS, "started")} <= {
        one.token for one in floor.said(Topic.FACTS, "granted")
    }
