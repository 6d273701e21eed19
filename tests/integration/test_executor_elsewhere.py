"""A node's trouble is not the task's: whatever a node lacks, the task is done on another, and told why in words."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.executor.site import site_key
from consumers.runners.docker import DockerRunner
from schemas.reasons import Failure
from schemas.topics import Topic
from streams.postgres import PostgresLog
from tests.support.engine import Relay
from tests.support.shopfloor import Node, ShopFloor, shopfloor

Floor = tuple[ShopFloor, Callable[..., Node]]

WAITS = "mkfifo $TASK_OUTPUT/go; crunch-task report --progress 0.5; read -r said < $TASK_OUTPUT/go; rm $TASK_OUTPUT/go"
SMALL_DISK = 'mkdir -p "$0" && mount -t tmpfs -o size=8m none "$0" && exec "$@"'


@pytest.fixture
def floor(dsn: str, tmp_path: Path) -> Iterator[Floor]:
    with shopfloor(PostgresLog(dsn), tmp_path) as made:
        made[0].number("max_attempts", 50)
        made[0].user("ada")
        yield made


@pytest.mark.needs("bubblewrap")  # namespaces
def test_a_disk_that_is_full(floor: Floor) -> None:
    inside = ["unshare", "--mount", "--map-root-user", "--", "sh", "-c", SMALL_DISK, str(floor[0].folder / "bad")]
    more = "head -c 20000000 /dev/zero > $TASK_OUTPUT/large && echo all of it"
    trouble = Trouble(floor, within=inside, scratch=1_000, memory=1_000)
    trouble.ask(more, scratch=64)
    assert trouble.reason(Failure.NODE) == "the node's disk was full when the task ended with exit code 1"
    trouble.done_elsewhere()


def test_a_store_that_can_not_be_reached(floor: Floor) -> None:
    way = floor[0].folder / "mounted"
    way.symlink_to(floor[0].folder / "store")
    trouble = Trouble(floor, store="mounted")
    way.unlink()
    trouble.ask("echo hello > $TASK_OUTPUT/x")
    assert "the store at" in (reason := trouble.reason(Failure.STORE))
    assert "can't be reached" in reason
    trouble.done_elsewhere()


def test_an_engine_that_is_restarted_while_the_task_runs(
    floor: Floor, docker_engine: str, python_image: str, tmp_path: Path
) -> None:
    with Relay(tmp_path / "engine", docker_engine) as relay:
        trouble = Trouble(floor, {"runner": "auto", "engine": docker_engine}, runner="auto", engine=relay.address)
        trouble.ask("sleep 2", image=python_image)
        assert relay.awaited.wait(60)
    assert trouble.reason(Failure.NODE).startswith("the Docker engine went away while the task ran")
    trouble.done_elsewhere()
    DockerRunner(docker_engine).sweep(site_key("bad", trouble.bad.root))


def test_an_image_that_is_not_there(floor: Floor, docker_engine: str, python_image: str, tmp_path: Path) -> None:
    digest = python_image.removeprefix("sha256:").encode()
    with Relay(tmp_path / "engine", docker_engine, hidden=digest) as relay:
        trouble = Trouble(floor, {"runner": "auto", "engine": docker_engine}, runner="auto", engine=relay.address)
        trouble.ask("true", image=python_image)
        assert trouble.reason(Failure.NODE).startswith(f"image {python_image} is not on this node")
        trouble.done_elsewhere()


def test_a_registry_that_refuses(floor: Floor, docker_engine: str, pushed: tuple[str, str, Path]) -> None:
    name, image, logins = pushed
    known = {"runner": "auto", "engine": docker_engine}
    trouble = Trouble(floor, known | {"logins": str(logins)}, **known)
    trouble.ask("echo pulled", image=image, image_name=name)
    assert f"image {name} is not on this node, and can't be pulled" in trouble.reason(Failure.NODE)
    trouble.done_elsewhere()


class Trouble:
    """Two nodes: the good one is busy until `done_elsewhere`, so that the bad one gets what is asked for first.

    `good`, `bad`: what they offer, and what else they are told apart by.
    """

    def __init__(self, floor: Floor, good: dict[str, Any] | None = None, **bad: Any) -> None:
        self.floor, start = floor
        self.good = start("good", **(good or {}))
        self.floor.request("busy", WAITS)
        self.floor.wait_for(Topic.CLAIMS, "reported")
        self.bad = start("bad", **bad)

    def ask(self, command: str, **fields: Any) -> None:
        self.floor.request("t", command, **fields)

    def reason(self, failure: Failure) -> str:
        """Why the bad node could not do it."""
        exited = self.floor.wait_for(Topic.CLAIMS, "exited", node="bad")
        assert (exited.failure, exited.exit_code) == (failure, -1)
        return str(exited.reason)

    def done_elsewhere(self) -> None:
        """The good one does it, as soon as it can; the task itself never failed."""
        [attempt] = (self.good.root / "attempts").iterdir()
        self.good.pipes.append(os.open(attempt / "out" / "go", os.O_RDWR))
        os.write(self.good.pipes[-1], b"go\n")
        token = self.floor.completed("t").token
        assert self.floor.said(Topic.CLAIMS, "exited", token=token)[-1].node == "good"
        assert self.floor.said(Topic.TASKS, "task_failed") == []
