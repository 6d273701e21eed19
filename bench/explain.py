"""What an explanation costs among many tasks: `./run bench explain [--tasks N] [--owners N] [--data FOLDER]`.

A read model of its own is filled by COPY: jobs of many owners, most tasks of one script over ever other inputs, some
with another commit, image, script or parameter, each executed once. Then tasks are explained to a user who may read a
tenth of the owners, and to an admin; and two tasks are compared.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.common.figures import machine, percentile, processor_seconds
from bench.common.filling import copy, filled, kept_or_new
from readmodel.connection import Connection, connect
from readmodel.explain import compare, explain
from readmodel.migrate import migrate
from schemas.spec import Components, TaskSpec
from streams.embedded import EmbeddedPostgres

AIM = 50.0  # ms
TASKS_OF_A_JOB = 1_000
START = 1_700_000_000_000
VIEWER, ADMIN = "viewer", "admin"


def main() -> int:
    """Measure and print."""
    options = _options()
    with kept_or_new(options.data) as folder, EmbeddedPostgres(folder) as dsn:
        connection = connect(dsn)
        migrate(connection)
        began = time.monotonic()
        known = connection.execute("select count(*) from rm.job_tasks").fetchone() == (options.tasks,)
        if not known:
            _fill(connection, options.tasks, options.owners)
        print(f"machine: {machine()}")
        how = "kept" if known else f"made in {time.monotonic() - began:.0f} s"
        print(f"{options.tasks} tasks of {options.owners} owners, {how}")
        print(f"table of what is alike: {_size(connection, 'rm.alike')}, of tasks: {_size(connection, 'rm.job_tasks')}")
        _measure(connection, options)
        connection.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--owners", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--data", type=Path, help="folder that keeps the data, so that it is made only once")
    return parser.parse_args()


# --- The data ---------------------------------------------------------------------------------------------------------


def _fill(connection: Connection, tasks: int, owners: int) -> None:
    people = [(f"owner-{number}", f"owner{number}", False, True) for number in range(owners)]
    people += [(VIEWER, VIEWER, False, True), (ADMIN, ADMIN, True, True)]
    copy(connection, "rm.users", "uuid, name, is_admin, is_active", people)
    copy(connection, "rm.grants", "subject, object", ((VIEWER, f"owner-{n}") for n in range(0, owners, 10)))
    jobs = ((f"job-{n}", f"owner-{n % owners}", "complete", START) for n in range(-(-tasks // TASKS_OF_A_JOB)))
    copy(connection, "rm.jobs", "root, owner, state, created_at", jobs)
    columns = "root, task, name, spec, bound, fingerprint, is_pure, state, token, attempt, decision"
    copy(connection, "rm.job_tasks", f"{columns}, created_at, decided_at, finished_at", _tasks(tasks))
    columns = "token, fingerprint, owner, task, root, status, granted_at, ended_at"
    copy(connection, "rm.tasks", columns, _executions(tasks, owners))
    with filled(connection, "rm.alike"):
        connection.execute(
            "insert into rm.alike (key, owner, work, ended_at, root, task)"
            " select k.key, j.owner, rm.work_of(t.fingerprint), t.finished_at, t.root, t.task"
            " from rm.job_tasks t join rm.jobs j using (root) cross join lateral rm.alike_keys(t.spec, t.bound) k"
        )
    connection.execute("vacuum analyze")


def _tasks(tasks: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    for number in range(tasks):
        spec = _spec(number, chance)
        genome = "hg19" if chance.random() < 0.02 else "hg38"
        bound = f'{{"genome":"{genome}"}}'
        ended = START + number
        yield (
            f"job-{number // TASKS_OF_A_JOB}", f"task-{number}", f"align {number}", spec, bound, _fingerprint(number),
            True, "complete", f"token-{number}", 1, "granted", ended, ended, ended,
        )  # fmt: skip


def _spec(number: int, chance: random.Random) -> str:
    """Nine tenths differ in their inputs alone, the others in one more component too, which is sometimes all."""
    same = {name: _digest(name) for name in ("commit", "script", "image", "parameters", "outputs")}
    other = chance.choice(sorted(same)) if chance.random() < 0.1 else ""
    components = same | {other: _digest(f"{other} {number % 7}")} if other else same
    reads = number if chance.random() < 0.99 else number // 2
    inputs = {"reads": f"{_digest(str(reads))[:32]}+67"}
    spec = TaskSpec(
        name=f"align {number}",
        script="crunch_scripts/align.py",
        command=("--threads", "4"),
        commit=components["commit"][:40],
        parameters=msgspec.Raw(b'{"k":21,"reference":{"build":38,"masked":true}}'),
        inputs=inputs,
        is_pure=True,
        job_parameters=("genome",),
        components=Components(**components, inputs=_digest(str(inputs))),
    )
    return msgspec.json.encode(spec).decode()


def _executions(tasks: int, owners: int) -> Iterator[tuple[Any, ...]]:
    for number in range(tasks):
        job = number // TASKS_OF_A_JOB
        ended = START + number
        owner, root = f"owner-{job % owners}", f"job-{job}"
        yield (f"token-{number}", _fingerprint(number), owner, f"task-{number}", root, "done", ended, ended)


def _fingerprint(number: int) -> str:
    return _digest(f"fingerprint {number}")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _size(connection: Connection, table: str) -> str:
    [(size,)] = connection.execute("select pg_size_pretty(pg_total_relation_size(%s))", (table,)).fetchall()
    return str(size)


# --- Measuring --------------------------------------------------------------------------------------------------------


def _measure(connection: Connection, options: argparse.Namespace) -> None:
    chance = random.Random(2)
    jobs = range(0, options.tasks // TASKS_OF_A_JOB, 10) or (0,)
    last = options.tasks - 1

    def readable() -> str:
        first = chance.choice(jobs) * TASKS_OF_A_JOB
        return f"task-{min(first + chance.randrange(TASKS_OF_A_JOB), last)}"

    backend, rounds = connection.info.backend_pid, options.rounds
    _tell("explained to a user", backend, rounds, lambda: explain(connection, VIEWER, readable()))
    _tell("explained to an admin", backend, rounds, lambda: explain(connection, ADMIN, readable()))
    _tell("unknown to a user", backend, rounds, lambda: explain(connection, VIEWER, "task-none") is None)
    _tell("two compared", backend, rounds, lambda: compare(connection, VIEWER, readable(), readable()))


def _tell(what: str, backend: int, rounds: int, act: Callable[[], object]) -> None:
    """Print how long it takes; on a busy machine believe the processor time, ours and that of Postgres' `backend`."""
    took, before = [], time.process_time() + processor_seconds(backend)
    for _ in range(rounds):
        began = time.perf_counter()
        assert act(), what
        took.append((time.perf_counter() - began) * 1_000)
    slow = percentile(took, 95)
    spent = (time.process_time() + processor_seconds(backend) - before) * 1_000 / rounds
    told = f"median {median(took):.1f} ms, p95 {slow:.1f} ms, worst {max(took):.1f} ms (aim {AIM:.0f} ms)"
    print(f"{what}: {told}; {spent:.1f} ms of processor each")


if __name__ == "__main__":
    sys.exit(main())
