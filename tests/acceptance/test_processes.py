"""Two coordinators, three executors and a projector on a real broker, as the README says: any of them may be killed."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from readmodel import queries
from readmodel.connection import connect
from readmodel.rows import Job
from readmodel.watch import Watch
from streams.broker import LocalBroker
from tests.support.postgres import dsn, postgres_server
from tests.support.procs import LONG, PATIENCE, Cluster, Process, commands, finished

__all__ = ["dsn", "postgres_server"]

TASKS = 15
SCRIPTS = {
    "split.py": f"""#!/usr/bin/env python3
import json, os, subprocess
tasks = [{{"name": str(n), "script": "wait.sh", "parameters": {{"n": n}}, "is_pure": True}} for n in range({TASKS})]
helper = os.path.join(os.environ["CRUNCH_BIN"], "crunch-task")
subprocess.run([helper, "queue"], input=json.dumps(tasks).encode(), check=True)
""",
    "wait.sh": "#!/bin/sh\nsleep 0.7; echo done > $TASK_OUTPUT/x\n",
}

pytestmark = pytest.mark.needs("bubblewrap", "kafka")


@pytest.fixture
def cluster(tmp_path: Path, kafka_broker: LocalBroker, dsn: str) -> Iterator[Cluster]:
    settings = {
        "CRUNCH_REUSE_KAFKA_SERVERS": kafka_broker.servers,
        "CRUNCH_REUSE_KAFKA_PREFIX": "processes.",
        "CRUNCH_REUSE_POSTGRES_DSN": dsn,
        "CRUNCH_REUSE_STORE_DIRECTORY": str(tmp_path / "store"),
        "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(tmp_path / "snapshots"),
        "CRUNCH_REUSE_EXECUTOR_SLOTS": "1",
        "CRUNCH_REUSE_METRICS_LISTEN": "127.0.0.1",
        "CRUNCH_REUSE_METRICS_PORT": "0",
    }
    with closing(Cluster(tmp_path, settings)) as cluster:
        yield cluster


def job_file(folder: Path) -> str:
    (folder / "code").mkdir()
    for name, text in SCRIPTS.items():
        (folder / "code" / name).write_text(text)
        (folder / "code" / name).chmod(0o755)
    job = {"name": "many", "repository": "code", "script": "split.py", "is_pure": True}
    (folder / "job.json").write_text(json.dumps(job))
    return str(folder / "job.json")


def watched_over(process: Process) -> str:
    """The figures of a process, which says that it lives and does its work."""
    assert process.shown("/healthz") == "alive\n"
    assert process.shown("/readyz")
    return process.shown("/metrics")


def until_ended(dsn: str, tasks: int) -> None:
    """Wait until so many tasks of all jobs together have ended."""
    with closing(connect(dsn)) as listener:

        def look() -> bool | None:
            admin = queries.user_named(listener, "root")
            assert admin is not None
            jobs: list[Job] = queries.jobs(listener, admin.uuid, 10)
            return sum(job.finished for job in jobs) >= tasks or None

        assert Watch(listener).until(look, PATIENCE), "it does not go on"


def test_whatever_is_killed_every_task_runs_once_and_the_log_is_sound(
    cluster: Cluster, dsn: str, tmp_path: Path
) -> None:
    readme = commands("Many machines")
    for words in readme[:2]:
        cluster.run(*words)
    started = [words for words in readme if words[0] in LONG]
    assert sorted(words[0] for words in started) == [*["coordinator"] * 2, *["executor"] * 3, "projector"]
    for words in started:
        cluster.start(words)
    for words in started:
        cluster.until_ready(words)
    cluster.run("user", "add", "root", "--admin")
    cluster.run("user", "add", "ann")
    cluster.run("user", "add", "bob")
    cluster.run("grant", "add", "ann", "bob")
    cluster.run("grant", "add", "bob", "ann")
    file = job_file(tmp_path)
    shells = [cluster.begin("submit", "--json", "--as", name, file) for name in ("ann", "bob")]
    for number, words in enumerate(reversed(started)):  # the last is killed when two thirds are done
        until_ended(dsn, 1 + 4 * number)
        cluster.kill(words)
        cluster.start(words)
    for words in started:
        cluster.until_ready(words)
    jobs = [orjson.loads(finished(shell)) for shell in shells]
    assert [job["job"]["state"] for job in jobs] == ["complete", "complete"]
    assert [job["counts"]["complete"] + job["counts"]["copied"] for job in jobs] == [TASKS + 1] * 2
    assert sum(job["counts"]["complete"] for job in jobs) == TASKS + 1
    assert jobs[0]["job"]["output"] == jobs[1]["job"]["output"]
    assert orjson.loads(cluster.run("audit", "verify", "--json"))["wrong"] == 0
    figures = {name: watched_over(process) for name, process in cluster.processes.items()}
    leading = sum(shown.count("crunch_reuse_machine_leading{") for shown in figures.values())
    assert leading == 2 * figures["coordinator"].count("crunch_reuse_machine_leading{") > 0
    assert "crunch_reuse_projector_position{" in figures["projector"]
    assert 'crunch_reuse_slots{kind="execute",pool="default"} 3.0' in figures["coordinator"]
    for shown in figures.values():
        assert "crunch_reuse_kafka_records_read_total" in shown
        assert not any(word in shown for word in ("ann", "bob", "split.py", "zzzzz-")), "nobody's data"
    assert set(cluster.stop().values()) == {0}
