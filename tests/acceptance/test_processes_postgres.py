"""The same processes with the log in Postgres, and what they say where something is missing."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.support.postgres import dsn, postgres_server
from tests.support.procs import Cluster

__all__ = ["dsn", "postgres_server"]

COORDINATORS = (["coordinator"], ["coordinator", "--name", "second"])
EXECUTOR = ["executor", "--node", "n1", "--runner", "process"]


@pytest.fixture
def cluster(tmp_path: Path, dsn: str) -> Iterator[Cluster]:
    settings = {
        "CRUNCH_REUSE_POSTGRES_DSN": dsn,
        "CRUNCH_REUSE_STORE_DIRECTORY": str(tmp_path / "store"),
        "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(tmp_path / "snapshots"),
    }
    with closing(Cluster(tmp_path, settings)) as cluster:
        yield cluster


def said(cluster: Cluster, *words: str) -> tuple[int, str]:
    """How a command ends that can't do what it is asked: its code, and its line."""
    process = cluster.begin(*words)
    _, err = process.communicate()
    return process.returncode, err.decode().splitlines()[-1]


def test_one_coordinator_holds_all_and_the_other_takes_over(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(COORDINATORS[0])
    cluster.processes["coordinator"].until("partitions")
    cluster.run("store", "create")
    everything = (*COORDINATORS[1:], ["projector"], EXECUTOR)
    for words in everything:
        cluster.start(words)
    for words in everything:
        cluster.until_ready(words)
    assert "stands by" in cluster.run("doctor", "--ready", "second").decode()
    assert "node n1" in cluster.run("doctor", "--ready", "executor").decode()
    cluster.kill(COORDINATORS[0])
    assert cluster.processes["coordinator --name second"].until("partitions")["held"] == "10"
    cluster.run("user", "add", "ann")
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"name": "one", "command": ["sh", "-c", "echo 1 > $TASK_OUTPUT/x"], "is_pure": True}))
    for copied in (0, 1):
        job = orjson.loads(cluster.run("submit", "--json", "--as", "ann", str(file)))
        assert (job["job"]["state"], job["counts"]["copied"]) == ("complete", copied)
    assert orjson.loads(cluster.run("audit", "verify", "--json"))["wrong"] == 0
    assert said(cluster, "doctor", "--ready", "coordinator") == (
        1,
        "crunch-reuse: coordinator: it was killed: start it again, nothing is lost",
    )
    assert set(cluster.stop().values()) == {0}


def test_a_node_without_the_store_waits_for_it_and_submit_refuses(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(COORDINATORS[0])
    cluster.processes["coordinator"].until("partitions")
    cluster.start(["projector"])
    cluster.until_ready(["projector"])
    cluster.run("user", "add", "ann")
    (tmp_path / "job.yaml").write_text("command: [true]\n")
    code, line = said(cluster, "submit", "--as", "ann", str(tmp_path / "job.yaml"))
    assert code == 3
    assert f"store.directory: the store at {tmp_path}/store can't be reached" in line
    cluster.start(EXECUTOR)
    cluster.processes[" ".join(EXECUTOR)].until("started")
    cluster.run("store", "create")
    cluster.until_ready(EXECUTOR)
    assert set(cluster.stop().values()) == {0}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["coordinator", "--postgres", ""], "postgres.dsn: name the database with --postgres DSN"),
        (["projector", "--kafka", "127.0.0.1:1"], "can't reach Kafka at 127.0.0.1:1"),
        (["store", "create", "--postgres", "host=/nowhere"], "can't connect to the log's Postgres"),
    ],
)
def test_what_is_missing_is_said_in_one_line(cluster: Cluster, words: list[str], line: str) -> None:
    code, err = said(cluster, *words)
    assert code in (1, 3)
    assert line in err
