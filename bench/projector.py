"""How fast facts become rows: `./run bench projector [--jobs N] [--tasks N] [--runs N]`.

The real machines decide jobs of many tasks, executed and copied. Their facts are put into a log in Postgres; a process
of its own projects them, as `up` does. Then the same rows are put into empty tables of the same indexes by COPY: what
Postgres needs at least. The figure is the ratio of the two, beside events a second and the process's memory.
"""

import argparse
import io
import multiprocessing
import resource
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import msgspec

from bench.common.figures import machine
from consumers.projector import Projector
from readmodel.connection import Connection, connect
from readmodel.migrate import READ_MODEL
from schemas.spec import TaskSpec
from schemas.topics import Topic
from schemas.work import Ready
from streams.embedded import EmbeddedPostgres
from streams.log import Append, Log, Place
from streams.postgres import PostgresLog
from tests.support.office import COUNTS, Office, spec
from tests.support.retold import Retold

AIM, MOST = 20_000, 300  # events a second; MiB
BARE = "rm_bare"
CHUNK = 500  # facts of one append


def main() -> int:
    """Measure and print."""
    options = _options()
    office = _decided(options.jobs, options.tasks)
    print(f"machine: {machine()}")
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as name, EmbeddedPostgres(Path(name)) as dsn:
        with closing(PostgresLog(dsn)) as log:
            facts = _said_again(office.log, log)
        print(
            f"{facts} facts of {options.jobs} jobs of {options.tasks + 1} tasks; aim {AIM} a second within {MOST} MiB"
        )
        for _ in range(options.runs):
            _measure(dsn, facts)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _decided(jobs: int, tasks: int) -> Office:
    """An office in which every second job is the one before again."""
    office = Office()
    office.user("ada")

    def children(ready: Ready) -> list[TaskSpec]:
        if b'"sequence"' in bytes(ready.spec):
            return []
        job = msgspec.json.decode(ready.spec, type=TaskSpec).name
        return [spec(f"{job} {rank}", inputs=f"{job} {rank}", sequence=1) for rank in range(tasks)]

    office.children = children
    for number in range(jobs):
        office.submit("ada", f"job-{number}", spec(f"panel {number // 2}", inputs=f"panel {number // 2}"))
        office.run()
    return office


def _said_again(source: Log, log: PostgresLog) -> int:
    """The same facts in a log of Postgres; how many there are."""
    log.create(COUNTS)
    number, retold = 0, Retold(source, log)
    for partition in range(COUNTS[Topic.FACTS]):
        place = Place(Topic.FACTS, partition)
        facts = source.read(place, 1, source.end(place))
        for start in range(0, len(facts), CHUNK):
            log.append([Append(place, fact.key, retold(fact.value)) for fact in facts[start : start + CHUNK]])
        number += len(facts)
    return number


def _measure(dsn: str, facts: int) -> None:
    with closing(connect(dsn)) as connection:
        connection.execute("drop schema if exists rm cascade")
        seconds, mebibytes = _projected(dsn)
        connection.execute("checkpoint")
        bare = _copied(connection)
    speed = facts / seconds
    print(f"  projected in {seconds:.2f} s: {speed:.0f} events/s, {mebibytes:.0f} MiB")
    print(f"  the same rows by COPY in {bare:.2f} s: the projector takes {seconds / bare:.1f} times as long")


def _projected(dsn: str) -> tuple[float, float]:
    """Seconds and MiB of a process that projects all."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=project, args=(dsn, its))
    process.start()
    seconds, mebibytes = ours.recv()
    process.join()
    return seconds, mebibytes


def project(dsn: str, pipe: Pipe) -> None:
    """Project all, and tell what it took."""
    with closing(PostgresLog(dsn)) as log, closing(Projector(log, dsn)) as projector:
        began = time.perf_counter()
        projector.catch_up()
        pipe.send((time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _copied(connection: Connection) -> float:
    """Seconds that COPY takes for the rows that are there, into empty tables of the same indexes."""
    connection.execute(f"drop schema if exists {BARE} cascade; create schema {BARE}")
    contents = {}
    tables = connection.execute("select tablename from pg_tables where schemaname = %s", (READ_MODEL.name,)).fetchall()
    for (table,) in tables:
        connection.execute(f"create table {BARE}.{table} (like rm.{table} including all)")
        columns = ", ".join(f'"{column}"' for column in _columns(connection, table))
        contents[f"{table} ({columns})"] = _read(connection, f"select {columns} from rm.{table}")
    began = time.perf_counter()
    with connection.transaction():
        for what, data in contents.items():
            with connection.cursor().copy(f"copy {BARE}.{what} from stdin") as copy:
                copy.write(data)
    return time.perf_counter() - began


def _columns(connection: Connection, table: str) -> list[str]:
    """Those that are not made by Postgres itself."""
    found = connection.execute(
        "select column_name from information_schema.columns where table_schema = 'rm' and table_name = %s"
        " and is_generated = 'NEVER' order by ordinal_position",
        (table,),
    ).fetchall()
    return [name for (name,) in found]


def _read(connection: Connection, query: str) -> bytes:
    whole = io.BytesIO()
    with connection.cursor().copy(f"copy ({query}) to stdout") as copy:
        for part in copy:
            whole.write(part)
    return whole.getvalue()


if __name__ == "__main__":
    sys.exit(main())
