"""What a page costs among many tasks: `./run bench pages [--tasks N] [--rounds N] [--data FOLDER]`.

A read model of its own is filled: jobs of a hundred tasks and one that has a tenth of all, most of them copied, a
twentieth of them the same work; some in flight, waiting, in conflict. Then every page is asked for over HTTPS from a
server in a process of its own, as an admin and as a user who may read a tenth of the owners.
"""

import argparse
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import requests

from bench.common.figures import machine, percentile
from bench.common.filling import filled, kept_or_new
from coordinator.ids import DEFAULT_PREFIX
from gateway.api.assemble import Api
from gateway.api.server import bound
from gateway.api.service import TaskRules
from gateway.folders import Folders
from gateway.pages.look import PAGE
from readmodel import registry
from readmodel.connection import Connection, connect
from readmodel.migrate import migrate
from streams.admin import create_topics
from streams.embedded import EmbeddedPostgres
from streams.postgres import PostgresLog

AIM = 100.0  # ms
FILL = Path(__file__).with_name("pages.sql")
FILLS = re.compile("^-- fills (.+)$", re.MULTILINE)
PEOPLE = {name: f"{DEFAULT_PREFIX}-tpzed-{name:0>15}" for name in ("admin", "viewer")}
PATHS = {
    "jobs": "/jobs",
    "jobs, page 40": "/jobs?page=40",
    "failed jobs": "/jobs?show=failed",
    "a job's tree": "/jobs/job-10",
    "a large job": "/jobs/job-0?below=task-0-0",
    "its last page": "/jobs/job-0?below=task-0-0&page={last}",
    "a task": "/tasks/task-10-5",
    "one copied often": "/tasks/task-10-10",
    "in flight": "/claims",
    "most copied": "/hot",
    "savings": "/savings?days=7",
    "conflicts": "/conflicts",
    "a fingerprint": "/fingerprints/fingerprint-30",
    "one asked often": "/fingerprints/fingerprint--1",
    "nodes": "/nodes",
    "minutes": "/minutes",
}
FOR_OPERATORS = ("minutes",)


def main() -> int:
    """Measure and print; exit code 1 where a page was not answered."""
    options = _options()
    with kept_or_new(options.data) as folder, EmbeddedPostgres(folder) as dsn:
        began = time.monotonic()
        tokens = _fill(dsn, options.tasks)
        print(f"machine: {machine()}")
        print(f"{options.tasks} tasks, there after {time.monotonic() - began:.0f} s")
        paths = {name: path.format(last=options.tasks // 10 // PAGE) for name, path in PATHS.items()}
        with _server(dsn, folder / "data") as (address, certificate):
            asked = Asked(address, certificate, paths, options.rounds)
            good = [_measure(asked, who, tokens[who]) for who in PEOPLE]
    return 0 if all(good) else 1


class Asked(NamedTuple):
    """What is asked of whom: paths by what they are called, so many times each."""

    address: str
    certificate: str
    paths: dict[str, str]
    rounds: int


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--data", type=Path, help="folder that keeps the data, so that it is made only once")
    return parser.parse_args()


def _fill(dsn: str, tasks: int) -> dict[str, str]:
    """The data, where it is not there yet; a token for each of the two."""
    tokens = {name: registry.new_secret() for name in PEOPLE}
    with closing(PostgresLog(dsn)) as log:
        create_topics(log)
    with closing(connect(dsn)) as rows:
        migrate(rows)
        registry.prepare(rows)
        if rows.execute("select count(*) from rm.job_tasks").fetchone() != (tasks,):
            _fill_tables(rows, {"tasks": tasks, "now": registry.now_ms(), **PEOPLE})
        for name, token in tokens.items():
            registry.add_token(rows, token, PEOPLE[name])
    return tokens


def _fill_tables(rows: Connection, given: dict[str, Any]) -> None:
    for statement in FILL.read_text("utf-8").split(";\n"):
        named = FILLS.search(statement)
        with filled(rows, named[1]) if named else nullcontext():
            rows.execute(statement.encode(), given)
    rows.execute("vacuum analyze")


@contextmanager
def _server(dsn: str, data: Path) -> Iterator[tuple[str, str]]:
    """Address and certificate of an API that serves while the context lasts."""
    ours, its = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(dsn, str(data), its), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def serve(dsn: str, data: str, pipe: Pipe) -> None:
    """Serve until something comes through the pipe."""
    import threading

    folders = Folders(Path(data))
    folders.create()
    with closing(PostgresLog(dsn)) as log, closing(bound("127.0.0.1", 0)) as listening:
        rules = TaskRules(b"k" * 32, "enforce")
        api = Api(log, dsn, folders, listening, _no_images, rules)
        thread = threading.Thread(target=api.run)
        thread.start()
        pipe.send((api.address, str(folders.api / "certificate.pem")))
        pipe.recv()
        api.stop()
        thread.join()
        api.close()


def _no_images(name: str) -> NoReturn:
    raise AssertionError(f"nobody asks for images here, as for {name}")


def _measure(asked: Asked, who: str, token: str) -> bool:
    """Ask for each page, and print what it took; whether all were answered."""
    print(f"\nas {who}; ms: median, p95; aim {AIM:g}")
    with requests.Session() as session:
        session.trust_env = False
        session.verify = asked.certificate
        session.headers["Authorization"] = f"Bearer {token}"
        address = f"https://{asked.address}"
        paths = {name: path for name, path in asked.paths.items() if who == "admin" or name not in FOR_OPERATORS}
        pages = [_page(session, address + path, name, asked.rounds) for name, path in paths.items()]
        return all(pages)


def _page(session: requests.Session, url: str, name: str, rounds: int) -> bool:
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        answered = session.get(url, timeout=60)
        times.append((time.perf_counter() - began) * 1000)
    took = times[1:]  # the first one loads templates and plans
    note = f"{len(answered.text)} characters" if answered.status_code == 200 else f"answer {answered.status_code}"
    print(f"  {name:<16}{percentile(took, 50):8.1f}{percentile(took, 95):8.1f}  {note}")
    return answered.status_code == 200


if __name__ == "__main__":
    sys.exit(main())
