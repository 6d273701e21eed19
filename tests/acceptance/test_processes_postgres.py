"""The same processes with the log in Postgres, and what they say where something is missing."""

import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.support.postgres import dsn, postgres_server
from tests.support.procs import PATIENCE, Cluster, commands, finished, shell_lines

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


WAITS = 'echo begun > "{begun}"; read -r word < "{go}"; echo $word > $TASK_OUTPUT/x'


def test_a_node_and_a_coordinators_disk_that_are_lost_come_back_as_the_page_says(
    cluster: Cluster, tmp_path: Path
) -> None:
    ready, doctor, executor = commands("A node", "docs/operations.md")
    assert [*executor, "--runner", "process"] == EXECUTOR
    cluster.start(COORDINATORS[0])
    cluster.processes["coordinator"].until("partitions")
    cluster.run("store", "create")
    for words in (["projector"], EXECUTOR):
        cluster.start(words)
        cluster.until_ready(words)
    cluster.run("user", "add", "ann")
    begun, go = Pipe(tmp_path / "begun"), Pipe(tmp_path / "go")
    job = {"name": "held", "command": ["sh", "-c", WAITS.format(begun=begun.path, go=go.path)]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    shell = cluster.begin("submit", "--json", "--as", "ann", str(tmp_path / "job.json"))
    assert begun.heard() == b"begun\n"
    cluster.kill(EXECUTOR)
    assert said(cluster, *ready) == (1, "crunch-reuse: executor-n1: it was killed: start it again, nothing is lost")
    assert b"process" in cluster.run(*doctor)
    cluster.start(EXECUTOR)
    assert begun.heard() == b"begun\n"
    coordinator_with_an_empty_disk(cluster)
    os.write(go.end, b"on\n")
    assert orjson.loads(finished(shell))["job"]["state"] == "complete"
    assert set(cluster.stop().values()) == {0}


def coordinator_with_an_empty_disk(cluster: Cluster) -> None:
    """Its state is taken from it, by the page's own commands; all is decided as before."""
    remove, (_, *coordinator), (_, *audit) = shell_lines(
        "A coordinator, its disk, the shared snapshots", "docs/operations.md"
    )
    cluster.kill(coordinator)
    remove = [word.replace("/var/lib/crunch-reuse", str(cluster.folder / "data")) for word in remove]
    subprocess.run(remove, check=True)
    cluster.start(coordinator)
    cluster.until_ready(coordinator)
    assert orjson.loads(cluster.run(*audit, "--json"))["wrong"] == 0


class Pipe:
    """A pipe that a task writes to, or reads from; nobody waits for its other end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.end = os.open(path, os.O_RDWR)

    def heard(self) -> bytes:
        """What comes next."""
        assert select.select([self.end], [], [], PATIENCE)[0], f"nothing came through {self.path}"
        return os.read(self.end, 4096)


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
