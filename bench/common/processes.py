"""Processes beside the bench: each is told to end through an event, and one that fails ends the bench."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

from gateway.machines import machines
from gateway.wiring_parts import machine_part
from schemas.topics import Topic
from streams.address import Address
from streams.checkpoints import MemoryCheckpoints
from streams.log import Log
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
        deadline = time.monotonic() + START_SECONDS
        while not ready.wait(0.5):
            if not running.is_alive() or time.monotonic() > deadline:
                raise BenchFailed(f"{name} did not start within {START_SECONDS:.0f} s")
        yield
    finally:
        ending.set()
        running.join(END_SECONDS)
        if running.is_alive():
            running.kill()
    if running.exitcode:
        raise BenchFailed(f"{name} ended with exit code {running.exitcode}")


def coordinate(ready: Event, ending: Event, address: Address, topics: Mapping[Topic, Sequence[int]]) -> None:
    """The machines of these partitions, one thread for each topic, as `coordinator` runs them."""
    log = address.open()
    of_topic = {machine.topic: machine for machine in machines(log)}
    run_machines(ready, ending, log, [(of_topic[topic], numbers) for topic, numbers in topics.items()])
    log.close()


def run_machines(ready: Event, ending: Event, log: Log, which: Sequence[tuple[MachineType, Sequence[int]]]) -> None:
    """A thread for each of these machines, on these partitions, their states in memory; until told to end."""
    parts = [machine_part(log, machine, numbers, _runner) for machine, numbers in which]
    threads = [threading.Thread(target=part.run, name=part.name, daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    ready.set()
    ending.wait()
    for part, thread in zip(parts, threads, strict=True):
        part.stop()
        thread.join(END_SECONDS)


def _runner(log: Log, machine: MachineType, number: int) -> Runner:
    return Runner(log, machine, number, MemoryCheckpoints(), every=10_000_000)
