"""The live views on a real broker: whatever happens to a worker, each window is what SQL says of the facts."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError, URLError

import msgspec
import pytest

from consumers.projector import Projector
from gateway.pages.minutes import Workers
from gateway.pages.scout import ProbeFailed
from readmodel.connection import connect
from readmodel.windows import windows
from schemas.codec import decode, encode
from schemas.facts import Granted
from schemas.log import Cause, Genesis
from schemas.topics import Topic
from streams.broker import free_port
from streams.log import Append, Place
from tests.conftest import CHECKOUT
from tests.support.kafkas import operator_of
from tests.support.office import COUNTS
from tests.support.retold import Retold
from tests.support.shown_views import shown
from tests.support.traffic import busy_office

PATIENCE = 120.0
BEGINNINGS = 3  # of one worker, before it counts as one that never gets ready
STUCK = "the live views end: they stand still"
FIRST = Place(Topic.FACTS, 0)
EXECUTED = Granted(fingerprint="f", token="t", task="t", owner="o", root="r", attempt=1)
FOREIGN = [  # what no machine of this log wrote: it counts for nothing, and stops nobody
    Append(FIRST, "", b"\xff no JSON"),
    Append(FIRST, "", encode(EXECUTED)),
    Append(FIRST, "", encode(EXECUTED, Cause("elsewhere", 1, 0))),
]


class Ended(AssertionError):
    """A worker ended while it was waited for."""


class Worker:
    """A process of the live views."""

    def __init__(self, name: str, environment: dict[str, str], folder: Path, program: str) -> None:
        self.port = free_port()
        words = ["views", "--listen", f"127.0.0.1:{self.port}", "--name", name, "--json"]
        self.command = [sys.executable, "-P", "-m", program, "--data-dir", str(folder), *words]
        self.environment = environment
        self.metrics = ""  # where it shows how it is
        self.trouble: list[str] = []  # that it told of
        self.process = self.begin()

    def begin(self) -> subprocess.Popen:
        return subprocess.Popen(self.command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def begin_again(self) -> None:
        """What a supervisor does."""
        assert self.ended() != 0
        self.process = self.begin()

    def until_ready(self) -> None:
        """Wait until it has its partitions, begun again where Faust got stuck or ended as they changed hands."""
        for _ in range(BEGINNINGS):
            if self.gets_ready():
                return
            self.begin_again()
        raise AssertionError(f"it ended {BEGINNINGS} times before it was ready: {self.trouble}")

    def gets_ready(self) -> bool:
        """Wait until it has its partitions; False: it ended first."""
        try:
            while (said := self.until("ready", "failed"))["action"] != "ready":
                if STUCK in said["message"]:
                    return False
        except Ended:
            return False
        return True

    def until(self, *events: str) -> dict:
        """Wait for one of these lines of its journal."""
        assert self.process.stdout
        for line in self.process.stdout:
            said = json.loads(line)
            assert said.keys() >= {"time", "level", "process", "action"}
            self.metrics = said.get("metrics", self.metrics)
            self.trouble += [said["message"]] if said["action"] == "failed" else []
            if said["action"] in events:
                return said
        raise Ended(f"it ended before it was {' or '.join(events)}: {self.trouble}")

    def farewell(self) -> dict:
        """What it ends for; before and after it there may be more to say, also for Faust."""
        while "the live views end" not in (failed := self.until("failed"))["message"]:
            pass
        return failed

    def get(self, path: str, address: str = "") -> str:
        with urllib.request.urlopen(f"http://{address or f'127.0.0.1:{self.port}'}{path}", timeout=PATIENCE) as answer:
            return answer.read().decode()

    def told(self, path: str) -> str:
        """What it answers to who watches over it, as every process does, as soon as it says that all is well."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.get(path, self.metrics)
            except HTTPError:
                assert time.monotonic() < end
                assert not self.has_ended(within=0.1)

    def views(self) -> dict:
        return json.loads(self.get("/views"))

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.ended()

    def has_ended(self, within: float) -> bool:
        """Whether it ends within so many seconds."""
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ended(self) -> int:
        """Its exit code, as soon as there is one."""
        code = self.process.wait(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()
        return code


@pytest.fixture
def start(new_log, tmp_path) -> Iterator:
    workers = []
    log = new_log(counts=COUNTS)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CRUNCH_REUSE_")}
    environment = clean | {
        "CRUNCH_REUSE_KAFKA_SERVERS": log.settings.servers,
        "CRUNCH_REUSE_KAFKA_PREFIX": log.settings.prefix,
        "CRUNCH_REUSE_KAFKA_REPLICATION": "1",
        "CRUNCH_REUSE_METRICS_LISTEN": "127.0.0.1",
        "CRUNCH_REUSE_METRICS_PORT": "0",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(CHECKOUT),
    }

    def make(name: str, program: str = "gateway.cli") -> Worker:
        workers.append(Worker(name, environment, tmp_path / "data", program))
        return workers[-1]

    make.log = log
    yield make
    for worker in workers:
        if worker.process.poll() is None:
            worker.end(signal.SIGKILL)
        worker.process.stdout.close()


def facts_of(office, log) -> list[Append]:
    """What an office said, as of this log, in an order that keeps each partition's."""
    found, retold = [], Retold(office.log, log)
    for number in range(COUNTS[Topic.FACTS]):
        place = Place(Topic.FACTS, number)
        for record in office.log.read(place, 0, 1_000_000):
            if not isinstance(decode(Topic.FACTS, record.value).body, Genesis):
                found.append((record.offset, Append(place, record.key, retold(record.value))))
    return [append for _, append in sorted(found, key=lambda one: one[0])]


def shown_by_all(workers) -> tuple[list[int], list[dict]] | None:
    """Partitions and windows of all workers together; None while one of them does not answer."""
    try:
        return shown([f"127.0.0.1:{worker.port}" for worker in workers], PATIENCE)
    except OSError:
        return None


def until_equal(workers, expected) -> None:
    """Wait until the workers together show what SQL says."""
    wanted = (list(range(COUNTS[Topic.FACTS])), expected)
    end = time.monotonic() + PATIENCE
    while (found := shown_by_all(workers)) != wanted and time.monotonic() < end:
        for worker in workers:
            if worker.has_ended(within=0.1):  # they get on while nobody asks
                assert STUCK in worker.farewell()["message"]
                worker.begin_again()
                end = time.monotonic() + PATIENCE
    assert found == wanted


def test_every_window_is_what_sql_says_through_kills_and_rebalances(start, dsn) -> None:
    facts = facts_of(busy_office(7, events=300), start.log)
    first, second = facts[: len(facts) // 2], facts[len(facts) // 2 :]
    one, two = start("one"), start("two")
    one.until_ready()
    two.until_ready()
    start.log.append(first)
    with closing(Projector(start.log, dsn)) as projector, connect(dsn) as rows:
        projector.catch_up()
        expected = windows(rows, 0)
        assert {row["kind"] for row in expected} >= {"ended", "waited", "executed", "failed_on_node"}
        until_equal([one, two], expected)

        start.log.append(second[: len(second) // 2])
        one.end(signal.SIGKILL)  # while it reads
        start.log.append(first[-50:])  # said again: dropped by their causes
        start.log.append(FOREIGN)
        start.log.append(second[len(second) // 2 :])
        three = start("three")
        three.until_ready()
        projector.catch_up()
        expected = windows(rows, 0)
        until_equal([two, three], expected)
        both = Workers([f"http://127.0.0.1:{worker.port}" for worker in (two, three)])
        assert msgspec.to_builtins(both.look(start.log)) == {"rows": tuple(expected), "missing": ()}

        assert two.end(signal.SIGTERM) == 0  # its partitions go to the last one
        until_equal([three], expected)
        with pytest.raises(ProbeFailed, match="do not answer"):
            both.look(start.log)
    assert json.loads(three.get("/healthz")) == {"ready": True}
    assert three.told("/readyz").startswith("holds ")
    assert three.told("/healthz") == "alive\n"
    assert "crunch_reuse_ready 1.0" in three.told("/metrics")
    ended = sum(row["count"] for row in expected if row["kind"] == "ended")
    figures = [
        line.split()
        for line in three.get("/metrics").splitlines()
        if line.startswith('crunch_reuse_views_events{kind="ended"')
    ]
    assert sum(float(number) for _, number in figures) == ended
    with pytest.raises(URLError):
        three.get("/nothing")

    claims = start.log.genesis(Place(Topic.CLAIMS, 0)).log_id
    start.log.append([Append(FIRST, "", b'{"v":1,"cause":["%b",1,0],"body":{"type":"invented"}}' % claims.encode())])
    failed = three.farewell()
    assert (failed["part"], failed["level"]) == ("streams.views", "error")
    assert "can't be read" in failed["message"]
    assert three.ended() != 0  # a machine said what it can't read: it must not go on counting


def test_workers_beyond_the_partitions_wait_for_one(start) -> None:
    everybody = [start(str(number)) for number in range(COUNTS[Topic.FACTS] + 1)]
    for worker in everybody:
        worker.until_ready()
    until_equal(everybody, [])
    holder, *_, idle = sorted(everybody, key=lambda worker: -len(worker.views()["partitions"]))
    assert idle.views()["partitions"] == []
    assert holder.end(signal.SIGTERM) == 0
    until_equal([worker for worker in everybody if worker is not holder], [])


def test_one_who_stands_still_ends_and_who_begins_in_its_place_goes_on(start, dsn) -> None:
    start.log.append(facts_of(busy_office(3, events=60), start.log))
    with closing(Projector(start.log, dsn)) as projector, connect(dsn) as rows:
        projector.catch_up()
        expected = windows(rows, 0)
    stuck = start("stuck", "tests.support.stuck_views")
    assert f"{STUCK}: a partition has more to read" in stuck.farewell()["message"]
    assert stuck.ended() != 0
    operator_of(start.log).produce_in_transaction(FIRST, b"no fact", commit=True)
    other = start("other", "tests.support.hasty_views")
    other.until_ready()
    until_equal([other], expected)
    while "facts/0 is read again" not in other.until("warned")["message"]:
        pass
    assert not other.has_ended(within=20.0), "there was nothing but a foreign transaction's end"

    assert other.end(signal.SIGTERM) == 0
    again = start("again", "tests.support.stuck_views")  # now there are rows to read first
    assert f"{STUCK}: partitions change hands" in again.farewell()["message"]
    assert again.ended() != 0


def test_where_a_row_can_not_be_kept_the_worker_ends_and_no_row_is_missing_then(start, dsn) -> None:
    facts = facts_of(busy_office(5, events=120), start.log)
    one, operator, changelog = start("one"), operator_of(start.log), "views-v2-views-changelog"
    one.until_ready()
    with closing(Projector(start.log, dsn)) as projector, connect(dsn) as rows:
        start.log.append(facts[:60])
        projector.catch_up()
        until_equal([one], windows(rows, 0))
        operator.configure(changelog, "max.message.bytes", "100")
        start.log.append(facts[60:])
        projector.catch_up()
        assert "a row could not be kept" in one.farewell()["message"]
        assert one.ended() != 0
        operator.configure(changelog, "max.message.bytes", "1000000")
        two = start("two")
        two.until_ready()
        until_equal([two], windows(rows, 0))
    assert operator.configured(changelog)["message.timestamp.type"] == "LogAppendTime"


def test_without_kafka_they_say_where_the_same_is(tmp_path) -> None:
    command = [sys.executable, "-P", "-m", "gateway.cli", "--data-dir", str(tmp_path / "data"), "views"]
    said = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, timeout=PATIENCE
    )
    assert said.returncode == 3
    assert "views --show" in said.stderr
