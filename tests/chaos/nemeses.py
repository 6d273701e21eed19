"""What befalls the town. Each strikes, holds on for a while, and lets go; the order is drawn from the seed.

Not here: truncated and recreated topics, after which nothing may go on (tests/integration/test_kafka_truncated.py);
a jump of the broker's own clock, as the order in which the judge puts partitions together rests on it; Docker's engine,
as the tasks run in bubblewrap.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from streams.embedded import process_on
from tests.chaos.resident import Resident
from tests.chaos.town import KINDS, SESSION_MS, Town

LEASE = 15.0  # seconds, as coordinator/config.py has it
HANDS = 3  # strikes at one time


class Strike(NamedTuple):
    """One thing that happened: which, to whom, from when to when (seconds since 1970)."""

    nemesis: str
    target: str
    begin: float
    end: float


class Field:
    """Where nemeses strike. `ending`: set when the storm is over: who holds on lets go."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town = town
        self.random = Random(seed)
        self.ending = threading.Event()
        self.locks = {name: threading.Lock() for name in ("broker", "postgres", "disk", "visitors", "clock")}

    def hold(self, seconds: float) -> None:
        """Hold on for so long, or until it is over."""
        self.ending.wait(seconds)

    def one(self, kind: str) -> Resident:
        """A resident of the kind, drawn."""
        return self.random.choice(self.town.of_kind(kind))


# --- Processes --------------------------------------------------------------------------------------------------------


def kill(kind: str) -> Callable[[Field], str]:
    """kill -9, with the start of another one by who looks after it."""

    def strike(field: Field) -> str:
        resident = field.one(kind)
        with resident.lock:
            return resident.name if resident.kill() else ""

    return strike


def freeze(kind: str, seconds: float) -> Callable[[Field], str]:
    """SIGSTOP for longer than its lease or its session lasts, then SIGCONT."""

    def strike(field: Field) -> str:
        resident = field.one(kind)
        with resident.lock:
            if not resident.freeze():
                return ""
            try:
                field.hold(seconds)
            finally:
                resident.thaw()
        return resident.name

    return strike


def rebalance(field: Field) -> str:
    """Coordinators come and go, faster than the group settles."""
    with field.locks["visitors"]:
        visitors = [field.town.coordinator(f"visitor-{n}-{time.monotonic_ns()}") for n in range(2)]
        for visitor in visitors:
            visitor.start()
            field.hold(3.0)
        for visitor in visitors:
            visitor.leave()
    return "coordinators"


def two_versions(field: Field) -> str:
    """A coordinator of the next version beside those of this one."""
    with field.locks["visitors"]:
        name = f"newer-{time.monotonic_ns()}"
        newer = field.town.coordinator(name)
        newer.run_by("tests.chaos.newer")
        newer.start()
        field.hold(8.0)
        newer.leave()
    return "coordinators"


def clock_jumps(field: Field) -> str:
    """A node's wall clock goes an hour ahead, then two hours back."""
    with field.locks["clock"]:
        for seconds in (3600, -7200, 0):
            field.town.set_clock("executor-b", seconds)
            field.hold(3.0 if seconds else 0.0)
    return "executor-b"


def disk_full(field: Field) -> str:
    """No room where an executor and a coordinator keep what they have in hand."""
    ballast = field.town.folder / "disk" / "ballast"
    with field.locks["disk"]:
        try:
            _fill(ballast)
            field.hold(6.0)
        finally:
            ballast.unlink(missing_ok=True)
    return "executor-c, coordinator-2"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 65536)


# --- The broker, and the way to it ------------------------------------------------------------------------------------


def broker_killed(field: Field) -> str:
    """kill -9 of the broker, and a new start."""
    with field.locks["broker"]:
        field.town.broker.kill()
        field.town.start_broker()
    return "broker"


def broker_frozen(field: Field) -> str:
    """The broker holds all connections and answers nobody."""
    with field.locks["broker"]:
        field.town.broker.freeze()
        try:
            field.hold(SESSION_MS / 1000 + 2)
        finally:
            field.town.broker.thaw()
    return "broker"


def unreachable(field: Field) -> str:
    """Nobody gets through to the broker."""
    with field.locks["broker"]:
        field.town.proxy.cut()
        try:
            field.hold(4.0)
        finally:
            field.town.proxy.mend()
    return "broker"


def lost_answers(field: Field) -> str:
    """Requests arrive, their answers don't: what was appended is sent again."""
    proxy = field.town.proxy
    with field.locks["broker"]:
        before = proxy.lost()
        for _ in range(6):
            proxy.lose(4)
            field.hold(0.4)
        proxy.lose(0)
        lost = proxy.lost() - before
    return f"{lost} answers" if lost else ""


def late_answers(field: Field) -> str:
    """Everything takes a third of a second longer, in which a writer may take it for lost."""
    with field.locks["broker"]:
        field.town.proxy.delay(0.35)
        try:
            field.hold(4.0)
        finally:
            field.town.proxy.delay(0.0)
    return "broker"


def postgres_restarted(field: Field) -> str:
    """kill -9 of Postgres's first process, and a new start."""
    with field.locks["postgres"]:
        os.kill(process_on(field.town.folder), signal.SIGKILL)
        assert field.town.postgres.start() == field.town.dsn
    return "postgres"


NEMESES: dict[str, Callable[[Field], str]] = {
    **{f"kill {kind}": kill(kind) for kind in KINDS},
    "freeze executor": freeze("executor", LEASE + 3),
    "freeze coordinator": freeze("coordinator", SESSION_MS / 1000 + 3),
    "freeze projector": freeze("projector", SESSION_MS / 1000 + 1),
    "broker killed": broker_killed,
    "broker frozen": broker_frozen,
    "broker unreachable": unreachable,
    "answers lost": lost_answers,
    "answers late": late_answers,
    "disk full": disk_full,
    "rebalance storm": rebalance,
    "two versions": two_versions,
    "clock jumps": clock_jumps,
    "postgres restarted": postgres_restarted,
}


class Nemeses:
    """Strikes in rounds: each round has every nemesis once. `strikes`: what happened so far."""

    def __init__(self, field: Field, pause: float, names: list[str] | None = None) -> None:
        self._field = field
        self._pause = pause
        self.names = names or list(NEMESES)
        self._round: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"nemesis-{n}", daemon=True) for n in range(HANDS)]
        self.strikes: list[Strike] = []
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let go of everything; raises what a strike failed with."""
        self._field.ending.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._field.ending.is_set():
                name, begin = self._next(), time.time()
                target = NEMESES[name](self._field)
                if target:
                    self.strikes.append(Strike(name, target, begin, time.time()))
                self._field.hold(self._pause)
        except BaseException as error:  # noqa: BLE001 # handed to who stops us
            self.failure = error

    def _next(self) -> str:
        with self._lock:
            if not self._round:
                self._round = list(self.names)
                self._field.random.shuffle(self._round)
            return self._round.pop()
