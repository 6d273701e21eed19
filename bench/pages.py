"""What a page costs among many tasks: `./run bench pages [--tasks N] [--rounds N]`.

A read model of its own is filled: jobs of a hundred tasks and one that has a tenth of all, most of them copied, some in
flight, waiting, in conflict. Then every page is asked for over HTTPS from a server in a process of its own, as an admin
and as a user who may read a tenth of the owners.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import NoReturn

import requests

from bench.common.figures import machine, percentile
from coordinator.ids import DEFAULT_PREFIX
from gateway.api.assemble import Api
from gateway.api.server import bound
from gateway.api.service import TaskRules
from gateway.folders import Folders
from readmodel import registry
from readmodel.connection import connect
from readmodel.migrate import migrate
from streams.admin import create_topics
from streams.embedded import EmbeddedPostgres
from streams.postgres import PostgresLog

AIM = 100.0  # ms
FILL = Path(__file__).with_name("pages.sql")
PEOPLE = {name: f"{DEFAULT_PREFIX}-tpzed-{name:0>15}" for name in ("admin", "viewer")}
PATHS = {
    "jobs": "/jobs",
    "jobs, page 40": "/jobs?page=40",
    "failed jobs": "/jobs?show=failed",
    "a job's tree": "/jobs/job-10",
    "a large job": "/jobs/job-0?page=100",
    "a task": "/tasks/task-10-5",
    "in flight": "/claims",
    "most copied": "/hot",
    "savings": "/savings?days=7",
    "conflicts": "/conflicts",
    "a fingerprint": "/fingerprints/fingerprint-30",
    "nodes": "/nodes",
}


def main() -> int:
    """Measure and print; exit code 1 where a page was not answered."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as name, EmbeddedPostgres(Path(name)) as dsn:
        began = time.monotonic()
        tokens = _fill(dsn, options.tasks)
        print(f"machine: {machine()}")
        print(f"{options.tasks} tasks, made in {time.monotonic() - began:.0f} s")
        with _server(dsn, Path(name) / "data") as (address, certificate):
            good = [_measure(address, certificate, who, tokens[who], options.rounds) for who in PEOPLE]
    return 0 if all(good) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def _fill(dsn: str, tasks: int) -> dict[str, str]:
    """The data; a token for each of the two."""
    tokens = {name: registry.new_secret() for name in PEOPLE}
    with closing(PostgresLog(dsn)) as log:
        create_topics(log)
    with closing(connect(dsn)) as rows:
        migrate(rows)
        registry.prepare(rows)
        for statement in FILL.read_text("utf-8").split(";\n"):
            rows.execute(statement, {"tasks": tasks, "now": registry.now_ms(), **PEOPLE})
        rows.execute("vacuum analyze")
        for name, token in tokens.items():
            registry.add_token(rows, token, PEOPLE[name])
    return tokens


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


def _measure(address: str, certificate: str, who: str, token: str, rounds: int) -> bool:
    """Ask for each page, and print what it took; whether all were answered."""
    print(f"\nas {who}; ms: median, p95; aim {AIM:g}")
    with requests.Session() as session:
        session.trust_env = False
        session.verify = certificate
        session.headers["Authorization"] = f"Bearer {token}"
        pages = [_page(session, f"https://{address}{path}", name, rounds) for name, path in PATHS.items()]
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
