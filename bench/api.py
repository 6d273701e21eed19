"""The API under load: `./run bench api [--tasks N] [--rate N] [--seconds N]`.

One API process beside a running system, and a job of N tasks, queued through it by some clients at once. Then,
at a steady rate, whether or not the earlier requests have been answered: half of the requests report the progress of
a running task, a quarter list the job's tasks, a quarter list jobs. Latency counts from when a request was due. Last,
one at a time: a task's update beside a request that does nothing but show its token.
"""

import argparse
import http.client
import itertools
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bench.common.figures import machine, percentile, processor_seconds
from tests.support.api import Person, another_api, site
from tests.support.scripts import Scripts

CLIENTS = 16
PAGE = 20  # items a list asks for
ROUNDS = 200  # of the comparison at the end
MOST_MEGABYTES = 300
EMPTY = "keep_services/accessible"
JSON = {"Content-Type": "application/json"}


class Ask(NamedTuple):
    """A request: what kind it is, for the figures; verb, path below /arvados/v1/, body."""

    kind: str
    verb: str
    path: str
    body: dict[str, Any] | None = None


class Reply(NamedTuple):
    """How long it took from when it was due, ms, and its status."""

    kind: str
    took: float
    status: int


class Client:
    """One connection that stays open."""

    def __init__(self, address: str, person: Person) -> None:
        trusting = ssl.create_default_context(cafile=str(person.site.certificate))
        self._connection = http.client.HTTPSConnection(address, context=trusting, timeout=60)
        self._headers = {"Authorization": f"OAuth2 {person.token}", **JSON}

    def ask(self, ask: Ask, due: float | None = None) -> Reply:
        """Send it and read the reply to its end. `due`: when it should have been sent, by the monotonic clock."""
        due = time.monotonic() if due is None else due
        body = None if ask.body is None else json.dumps(ask.body)
        self._connection.request(ask.verb, f"/arvados/v1/{ask.path}", body, self._headers)
        reply = self._connection.getresponse()
        reply.read()
        return Reply(ask.kind, (time.monotonic() - due) * 1000, reply.status)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def main() -> int:
    """Measure and print; exit code 1 if a request failed or the process grew beyond its limit."""
    options = _options()
    print(f"machine                 {machine()}")
    with site() as made, another_api(made) as (address, pid):
        scripts, person = Scripts(made), made.person("ada")
        pipe = scripts.pipe("bench")
        job = scripts.job(person, {"wait": str(pipe)})["uuid"]
        task = scripts.running_task(person, job)["uuid"]
        replies = _queue(address, person, job, options.tasks)
        before = processor_seconds(pid)
        load = _load(address, person, _mixed(job, task), options.rate, options.seconds)
        spent = processor_seconds(pid) - before
        update, empty = _one_by_one(address, person, task)
        peak = _peak_megabytes(pid)
        person.post(f"jobs/{job}/cancel")
    _tell_load(load, options)
    ratio = percentile(update, 95) / percentile(empty, 95)
    print(f"processor time          {spent / len(load) * 1000:.1f} ms of the API process for each of them")
    print(f"one at a time, p95      update {percentile(update, 95):.1f} ms, empty {percentile(empty, 95):.1f} ms")
    print(f"update to empty, p95    {ratio:.1f}")
    print(f"API process             {peak:.0f} MB at most (limit {MOST_MEGABYTES})")
    failed = [one for one in (*replies, *load) if one.status != 200]
    return int(bool(failed) or peak > MOST_MEGABYTES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench api", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=30)
    return parser.parse_args()


def _queue(address: str, person: Person, job: str, tasks: int) -> list[Reply]:
    """Queue the job's tasks, all connections at once."""
    began = time.monotonic()
    asks = [
        Ask("create", "POST", "job_tasks", {"job_uuid": job, "sequence": 1, "parameters": {"n": number}})
        for number in range(tasks)
    ]
    replies = _paced(address, person, [(began, ask) for ask in asks])
    seconds = time.monotonic() - began
    print(f"tasks queued            {tasks} in {seconds:.1f} s, {tasks / seconds:.0f} a second")
    return replies


def _mixed(job: str, task: str) -> Callable[[int], Ask]:
    tasks = urlencode({"filters": json.dumps([["job_uuid", "=", job]]), "limit": PAGE})
    jobs = urlencode({"filters": json.dumps([["parent_job_uuid", "=", None]]), "limit": PAGE})
    lists = [Ask("list job_tasks", "GET", f"job_tasks?{tasks}"), Ask("list jobs", "GET", f"jobs?{jobs}")]

    def ask(number: int) -> Ask:
        if number % 2:
            return Ask("update", "PUT", f"job_tasks/{task}", {"progress": number % 1000 / 1000})
        return lists[number // 2 % 2]

    return ask


def _load(address: str, person: Person, ask: Callable[[int], Ask], rate: int, seconds: int) -> list[Reply]:
    began = time.monotonic()
    return _paced(address, person, [(began + number / rate, ask(number)) for number in range(rate * seconds)])


def _paced(address: str, person: Person, plan: Sequence[tuple[float, Ask]]) -> list[Reply]:
    """Send each when it is due, or as soon after as a connection is free."""
    turns = itertools.count()
    never = threading.Event()

    def work(_: int) -> list[Reply]:
        client, replies = Client(address, person), []
        while (number := next(turns)) < len(plan):
            due, ask = plan[number]
            never.wait(max(due - time.monotonic(), 0))
            replies.append(client.ask(ask, due))
        client.close()
        return replies

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [reply for replies in pool.map(work, range(CLIENTS)) for reply in replies]


def _one_by_one(address: str, person: Person, task: str) -> tuple[list[float], list[float]]:
    """Milliseconds of updates and of empty requests, by turns."""
    client = Client(address, person)
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        update = Ask("update", "PUT", f"job_tasks/{task}", {"progress": number / ROUNDS})
        for times, ask in zip(took, (update, Ask("empty", "GET", EMPTY)), strict=True):
            times.append(client.ask(ask).took)
    client.close()
    return took


def _peak_megabytes(pid: int) -> float:
    """The most memory that the process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def _tell_load(replies: list[Reply], options: argparse.Namespace) -> None:
    failed = sum(reply.status != 200 for reply in replies)
    print(f"mixed requests          {len(replies)} at {options.rate} a second, {failed} failed")
    for kind in sorted({reply.kind for reply in replies}):
        took = [reply.took for reply in replies if reply.kind == kind]
        p50, p95, p99 = (percentile(took, percent) for percent in (50, 95, 99))
        print(f"{kind:<24}{len(took)} requests, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
