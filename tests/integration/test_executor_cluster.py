"""Three executors, each a process of its own, over each kind of log: what runs where and when, and what is stopped."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.reasons import Failure
from schemas.topics import Topic
from streams.kafka import KafkaLog
from streams.log import Log
from streams.postgres import PostgresLog
from tests.support.logs import kafka_settings
from tests.support.shopfloor import Node, ShopFloor, shopfloor

Cluster = tuple[ShopFloor, Callable[..., Node], list[Node]]

SIZES = {"small": 1, "middle": 2, "large": 3}  # cores, and slots
WAITS = (
    "mkfifo $TASK_OUTPUT/go; chmod 666 $TASK_OUTPUT/go; crunch-task report --progress 0.5;"
    "read -r said < $TASK_OUTPUT/go; rm $TASK_OUTPUT/go; echo $said > $TASK_OUTPUT/said"
)


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.needs("kafka"))])
def log(request: pytest.FixtureRequest) -> Log:
    if request.param == "kafka":
        return KafkaLog(kafka_settings(request.getfixturevalue("kafka_broker")))
    return PostgresLog(request.getfixturevalue("dsn"))


@pytest.fixture
def cluster(log: Log, tmp_path: Path) -> Iterator[Cluster]:
    with shopfloor(log, tmp_path) as (floor, start):
        for name, value in (("lease", 60_000), ("starve", 500), ("unplaceable", 3_000)):
            floor.number(name, value)
        for user in ("ada", "bob"):
            floor.user(user)
        nodes = [start(name, cores=cores, slots=cores, memory=1_000, scratch=1_000) for name, cores in SIZES.items()]
        yield floor, start, nodes


def busiest(floor: ShopFloor, field: str) -> dict[str, int]:
    """The most of this that ran on each node at one time, by the executors' own word of when."""
    sizes = {work.token: getattr(work, field) for work in floor.said(Topic.WORK, "ready")}
    changes: dict[str, list[tuple[int, int]]] = {}
    for exited in floor.said(Topic.CLAIMS, "exited"):
        size = sizes[exited.token]
        changes.setdefault(exited.node, []).extend([(exited.started_at, size), (exited.finished_at, -size)])
    peaks = {}
    for node, all_changes in changes.items():
        running = peak = 0
        for _, change in sorted(all_changes):
            running += change
            peak = max(peak, running)
        peaks[node] = peak
    return peaks


def order_of_starts(floor: ShopFloor) -> list[str]:
    tasks = {work.token: work.task for work in floor.said(Topic.WORK, "ready")}
    return [tasks[started.token] for started in floor.said(Topic.CLAIMS, "started")]


def test_a_storm_is_packed_into_the_nodes_fairly_and_nobody_starves(cluster):
    floor, _, _ = cluster
    for rank in range(24):
        floor.request(f"ada{rank}", "sleep 0.5", cores=1, memory=300)
        if rank == 5:  # there is no room for it now, and always for those behind it
            floor.request("big", "sleep 0.1", cores=3, memory=900)
    floor.request("impossible", "true", cores=4)
    for rank in range(2):
        floor.request(f"bob{rank}", "sleep 0.5", owner="bob", cores=2)
    floor.request("urgent", "true", priority=5)
    floor.wait_until(lambda: len(floor.said(Topic.TASKS, "task_completed")) == 28)
    cores, memory = busiest(floor, "cores"), busiest(floor, "memory")
    assert all(cores[node] <= SIZES[node] for node in cores)
    assert all(used <= 1_000 for used in memory.values())
    assert set(cores) == set(SIZES), "a node was left idle"
    begun = order_of_starts(floor)
    last_of_ada = max(begun.index(task) for task in begun if task.startswith("ada"))
    assert begun.index("urgent") < last_of_ada
    assert begun.index("big") < last_of_ada
    assert begun.index("bob1") < last_of_ada
    [failed] = [floor.wait_for(Topic.TASKS, "task_failed", task="impossible")]
    assert failed.failure is Failure.FITS_NO_NODE
    assert len(floor.said(Topic.CLAIMS, "unplaceable")) == 1


def test_nodes_are_filled_by_scratch_space_too(cluster):
    floor, _, _ = cluster
    for rank in range(12):  # of the large node's three slots only two have room for what these may write
        floor.request(f"task{rank}", "sleep 0.3", cores=1, memory=100, scratch=400)
    floor.wait_until(lambda: len(floor.said(Topic.TASKS, "task_completed")) == 12)
    assert busiest(floor, "scratch") == {"small": 400, "middle": 800, "large": 800}


def test_a_cancelled_jobs_execution_goes_on_while_another_wants_it_and_stops_when_nobody_does(cluster):
    floor, _, nodes = cluster
    floor.request("first", WAITS, fingerprint="shared")
    floor.wait_for(Topic.CLAIMS, "reported")
    floor.request("second", WAITS, fingerprint="shared")
    floor.wait_for(Topic.FACTS, "waiting")
    floor.withdraw("first", "shared")
    floor.wait_for(Topic.FACTS, "promoted")
    [node] = [node for node in nodes if list((node.root / "attempts").iterdir())]
    [attempt] = (node.root / "attempts").iterdir()
    node.pipes.append(os.open(attempt / "out" / "go", os.O_RDWR))
    os.write(node.pipes[-1], b"for the second\n")
    assert floor.text(floor.completed("second").output, "said") == "for the second\n"
    assert len(floor.said(Topic.CLAIMS, "started")) == 1

    floor.request("third", WAITS, fingerprint="alone")
    floor.wait_for(Topic.CLAIMS, "reported", count=2)
    floor.withdraw("third", "alone")
    [token] = [work.token for work in floor.said(Topic.WORK, "ready") if work.task == "third"]
    floor.wait_for(Topic.WORK, "freed", token=token)
    assert floor.said(Topic.CLAIMS, "exited", token=token) == []
    floor.wait_until(lambda: all(not list((node.root / "attempts").iterdir()) for node in nodes))
