"""Processes beside the bench: each is told to end through an event, and one that fails ends the bench."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any, cast

from bench.common.logs import connect
from coordinator.dispatch import Dispatch
from gateway.machines import machines
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.driver import Crew, Driver, Ticker
from streams.loop import MachineType, Runner

SPAWN = multiprocessing.get_context("spawn")
START_SECONDS = 60.0
END_SECONDS = 30.0


class BenchFailed(Exception):
    """What was to be measured did not happen; one line that says what."""


@contextmanager
def process(name: str, target: Callable[..., None], *args: Any) -> Iterator[None]:
    """Runs `target(ready, ending, *args)` in a process of its own: it sets `ready`, and ends when `ending` is set."""
    ready, ending = SPAWN.Event(), SPAWN.Event()
    running = SPAWN.Process(target=target, args=(ready, ending, *args), name=name, daemon=True)
    running.start()
    try:
        if not ready.wait(START_SECONDS):
            raise BenchFailed(f"{name} did not start within {START_SECONDS:.0f} s")
        yield
    finally:
        ending.set()
        running.join(END_SECONDS)
        if running.is_alive():
            running.kill()
    if running.exitcode:
        raise BenchFailed(f"{name} ended with exit code {running.exitcode}")


def coordinate(ready: Event, ending: Event, address: str, topics: Sequence[Topic]) -> None:
    """The machines of these topics, one thread each, as `up` runs them."""
    log = connect(address)
    drivers = [_driver(address, machine) for machine in machines(log) if machine.topic in topics]
    threads = [threading.Thread(target=driver.run, daemon=True) for driver in drivers]
    for thread in threads:
        thread.start()
    ready.set()
    ending.wait()
    for driver in drivers:
        driver.stop()
    for thread in threads:
        thread.join()
    log.close()


def _driver(address: str, machine: MachineType) -> Driver:
    log = connect(address)

    def assemble() -> Crew:
        partitions = range(log.partitions(machine.topic))
        runners = [Runner(log, machine, number, MemoryCheckpoints()) for number in partitions]
        if machine.topic is not Topic.WORK:
            return Crew(runners)
        dispatch = cast(Dispatch, runners[0].machine)
        return Crew(runners, Ticker(log, runners[0], dispatch.deadline_outstanding, dispatch.tick))

    return Driver(log, assemble)
