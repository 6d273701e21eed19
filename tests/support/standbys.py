"""Standbys whose time passes as a test says."""

from typing import Any

from schemas.topics import Topic
from streams.log import Place
from streams.loop import Runner
from streams.standby import Patience
from tests.support.log_world import (
    TARGETS,
    World,
    request,
)

PLACE = Place(Topic.CLAIMS, 0)
READER = "claims-machine"
REQUESTS = [request(number, children=number % 4, same=3) for number in range(6)]
UNDISTURBED = World(REQUESTS).run().accepted()


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def patience(clock: Clock, **fields: Any) -> Patience:
    return Patience(clock=clock, **fields)


def standby_of(world: World, clock: Clock, partition: int = 0, **fields: Any) -> Runner:
    return world.runner(partition, standby=patience(clock), **fields)


def look(runner: Runner, clock: Clock, seconds: float = 0.2) -> Runner:
    """Let some time pass, and let it do what it would do then."""
    clock.now += seconds
    while runner.poll():
        pass
    return runner


def wait_out(runner: Runner, clock: Clock) -> Runner:
    """Let it lose its patience."""
    for _ in range(7):
        look(runner, clock)
    return runner


def said(world: World) -> int:
    """How many records all targets hold."""
    return sum(world.log.end(place) for place in TARGETS)
