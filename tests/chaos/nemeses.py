"""What befalls the town. Each strikes, holds on for a while, and lets go; the order is drawn from the seed.

Topics that are made anew or truncated are not among them: after those nothing may go on (tests/chaos/ruin.py).
"""

import threading
import time
from typing import NamedTuple

from tests.chaos import strikes, strikes_broker, strikes_engine, strikes_node
from tests.chaos.field import Field
from tests.chaos.strikes import LEASE, SESSION, freeze, kill
from tests.chaos.town import KINDS

HANDS = 3  # strikes at one time


class Struck(NamedTuple):
    """One thing that happened: which, to whom, from when to when (seconds since 1970)."""

    nemesis: str
    target: str
    begin: float
    end: float


NEMESES: dict[str, strikes.Strike] = {
    **{f"kill {kind}": kill(kind) for kind in KINDS},
    "kill watchdog": strikes.kill_watchdog,
    "freeze executor": freeze("executor", LEASE + 3),
    "freeze node": strikes.freeze_node,
    "deaf node": strikes_node.deaf,
    "freeze coordinator": freeze("coordinator", SESSION + 3),
    "freeze standby": freeze("standby", SESSION + 3),
    "freeze projector": freeze("projector", SESSION + 1),
    "replace coordinator": strikes.replace_coordinator,
    "broker killed": strikes_broker.killed,
    "broker frozen": strikes_broker.frozen,
    "broker unreachable": strikes_broker.unreachable,
    "broker's clock jumps": strikes_broker.clock_jumps,
    "broker's disk full": strikes_broker.disk_full,
    "answers lost": strikes_broker.lost_answers,
    "answers late": strikes_broker.late_answers,
    "requests late": strikes_broker.late_requests,
    "disk full": strikes.disk_full,
    "rebalance storm": strikes.rebalance,
    "two versions": strikes.two_versions,
    "clock jumps": strikes.clock_jumps,
    "postgres restarted": strikes.postgres_restarted,
}
ON_CONTAINERS: dict[str, strikes.Strike] = {
    "engine killed": strikes_engine.killed,
    "engine restarted": strikes_engine.restarted,
    "engine frozen": strikes_engine.frozen,
}


def names(runner: str) -> list[str]:
    """Those that can strike where tasks run so."""
    return [*NEMESES, *(ON_CONTAINERS if runner == "docker" else ())]


class Nemeses:
    """Strikes in rounds: each round has every nemesis once. `struck`: what happened so far."""

    def __init__(self, field: Field, pause: float, names: list[str]) -> None:
        self._field = field
        self._pause = pause
        self.names = names
        self._round: list[str] = []
        self._lock = threading.Lock()
        hands = range(HANDS if names else 0)
        self._threads = [threading.Thread(target=self._run, name=f"nemesis-{n}", daemon=True) for n in hands]
        self.struck: list[Struck] = []
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let go of everything. Raises AssertionError for what a strike failed with."""
        self._field.ending.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise AssertionError(f"a hand failed: {self.failure!r}") from self.failure

    def _run(self) -> None:
        try:
            while not self._field.ending.is_set():
                self._strike(self._next())
                self._field.hold(self._pause)
        except BaseException as error:  # noqa: BLE001 # handed to who stops us
            self.failure = error

    def _strike(self, name: str) -> None:
        begin = time.time()
        target = (NEMESES | ON_CONTAINERS)[name](self._field)
        if target and not self._field.ending.is_set():  # else it may have been cut short
            self.struck.append(Struck(name, target, begin, time.time()))

    def _next(self) -> str:
        with self._lock:
            if not self._round:
                self._round = list(self.names)
                self._field.random.shuffle(self._round)
            return self._round.pop()
