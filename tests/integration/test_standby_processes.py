"""An owner and its standby as real processes over Postgres and Kafka: killed, frozen, thawed, both at once.

They are in no group, and the broker's settings are its own: nobody but the standby notices that the owner is gone.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from coordinator.claims import Claims
from schemas.claims import Quarantined
from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.topics import Topic
from streams.audit import verify
from streams.kafka import KafkaLog
from streams.kept import kept_in_folder
from streams.log import Append, Log, Place
from streams.postgres import PostgresLog
from tests.support.logs import kafka_settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CLAIMS, FACTS = Place(Topic.CLAIMS, 0), Place(Topic.FACTS, 0)
SOON = 30.0
GROUP = 10.0  # seconds after which a group would have noticed
PROCESS = """
import sys
from pathlib import Path
import msgspec
from coordinator.claims import Claims
from streams.address import Address
from streams.driver import Crew, Driver
from streams.localstore import LocalStore
from streams.loop import Runner
from streams.snapshots import SharedSnapshots
from streams.standby import Patience
address, folder, name, how = sys.argv[1:]
local, shared = LocalStore(Path(folder, name)), SharedSnapshots(Path(folder, "shared"))
log = msgspec.json.decode(address, type=Address).open()
def assemble():
    standby = Patience() if how == "standby" else None
    runner = Runner(log, Claims, 0, shared, local=local, every=20, standby=standby)
    while runner.position < runner.floor:
        runner.poll()
    print("ready", flush=True)
    return Crew([runner])
Driver(log, assemble).run()
"""


class Coordinators:
    """Processes that run one partition of the claims machine, each on a folder of its own."""

    def __init__(self, log: Log, folder: Path) -> None:
        self._address = msgspec.json.encode(log.address()).decode()
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, how: str = "owner") -> "subprocess.Popen[bytes]":
        """One that has come up to the floor."""
        command = [sys.executable, "-c", PROCESS, self._address, str(self._folder), name, how]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
        self._running.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.needs("kafka"))])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    if request.param == "kafka":
        made: Log = KafkaLog(kafka_settings(request.getfixturevalue("kafka_broker")))
    else:
        made = PostgresLog(request.getfixturevalue("log_dsn"))
    with closing(made) as log:
        log.create(dict.fromkeys(Topic, 1))
        yield log


@pytest.fixture
def start(log: Log, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    coordinators = Coordinators(log, tmp_path)
    yield coordinators.start
    coordinators.end()


def ask(log: Log, *numbers: int) -> None:
    """Commands that people may send, each for another fingerprint."""
    bodies = [Quarantined(fingerprint=f"f{n}") for n in numbers]
    log.append([Append(CLAIMS, body.fingerprint, encode(body)) for body in bodies])


def await_decided(log: Log, number: int) -> None:
    """Wait until the command has been answered."""
    seen = 1
    while log.wait({FACTS: seen}, SOON):
        batch = log.read(FACTS, seen, 1_000)
        seen += len(batch)
        bodies = [decode(Topic.FACTS, record.value).body for record in batch]
        if any(isinstance(body, Answered) and body.about == f"f{number}" for body in bodies):
            return
    raise AssertionError(f"f{number} is not decided within {SOON} s")


def await_floor(log: Log) -> None:
    """Wait until all that was asked is known to be answered: the floor follows the last answer."""
    until = time.monotonic() + SOON
    while (floor := log.floor("claims-machine", CLAIMS)) is None or floor.offset < log.end(CLAIMS):
        assert time.monotonic() < until, f"the floor stands at {floor}"
        log.wait({FACTS: log.end(FACTS)}, 0.05)


def check(log: Log, folder: Path) -> None:
    """Everything is said as it follows from the log, and what snapshots were written before a kill hold that state."""
    await_floor(log)
    report = verify(log, [Claims], kept_in_folder(folder / "shared"), checkers={})
    assert (report.differences, report.undecided) == ([], 0)


def test_a_standby_decides_soon_after_its_owner_was_killed(log: Log, start: Callable, tmp_path: Path) -> None:
    owner = start("one")
    ask(log, *range(50))
    await_decided(log, 49)
    start("two", "standby")
    ask(log, *range(50, 60))
    await_decided(log, 59)
    owner.kill()
    began = time.monotonic()
    ask(log, *range(60, 65))
    await_decided(log, 64)
    assert time.monotonic() - began < GROUP
    ask(log, 65)
    await_decided(log, 65)
    check(log, tmp_path)


def test_an_owner_that_was_frozen_and_thaws_does_no_harm(log: Log, start: Callable, tmp_path: Path) -> None:
    owner = start("one")
    ask(log, *range(50))
    await_decided(log, 49)
    start("two", "standby")
    owner.send_signal(signal.SIGSTOP)
    ask(log, *range(50, 60))
    await_decided(log, 59)
    owner.send_signal(signal.SIGCONT)
    for number in range(60, 120):
        ask(log, number)
    await_decided(log, 119)
    start("three", "standby").kill()
    owner.kill()
    ask(log, 120)
    await_decided(log, 120)
    check(log, tmp_path)


def test_a_chain_of_standbys_survives_each_of_them(log: Log, start: Callable, tmp_path: Path) -> None:
    running = [start("one"), start("two", "standby"), start("three", "standby")]
    for turn, process in enumerate(running[:-1]):
        ask(log, *range(turn * 30, turn * 30 + 30))
        await_decided(log, turn * 30 + 29)
        process.kill()
    ask(log, 60)
    await_decided(log, 60)
    running[0].wait()
    start("one")  # it comes back as an owner, to the state that it left on its disk
    ask(log, 61)
    await_decided(log, 61)
    check(log, tmp_path)
