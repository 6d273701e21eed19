"""Processes beside the bench: each is told to end through an event, and one that fails ends the bench."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from gateway.machines import machines
from gateway.wiring_parts import MakeRunner, machine_part
from schemas.topics import Topic
from streams.address import Address
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import Log
from streams.loop import MachineType, Runner
from streams.snapshots import SharedSnapshots

SPAWN = multiprocessing.get_context("spawn")
START_SECONDS = 60.0
END_SECONDS = 30.0


class BenchFailed(Exception):
    """What was to be measured did not happen; one line that says what."""


class Start(NamedTuple):
    """A process to be: `target(ready, ending, *args)` sets `ready`, and ends when `ending` is set."""

    name: str
    target: Callable[..., None]
    args: tuple[Any, ...]


@contextmanager
def processes(starts: Sequence[Start]) -> Iterator[list[int]]:
    """All of them at once, from when they are ready until the context ends; their ids."""
    ending = SPAWN.Event()
    made = [(SPAWN.Event(), start) for start in starts]
    running = [
        SPAWN.Process(target=start.target, args=(ready, ending, *start.args), name=start.name, daemon=True)
        for ready, start in made
    ]
    for one in running:
        one.start()
    try:
        for (ready, _), one in zip(made, running, strict=True):
            _await(ready, one)
        yield [one.pid for one in running if one.pid is not None]
    finally:
        ending.set()
        for one in running:
            one.join(END_SECONDS)
            if one.is_alive():
                one.kill()
                one.join()
    if bad := [one.name for one in running if one.exitcode]:
        raise BenchFailed(f"{', '.join(bad)} ended with an error")


def _await(ready: Event, running: SpawnProcess) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.wait(0.5):
        if not running.is_alive() or time.monotonic() > deadline:
            raise BenchFailed(f"{running.name} did not start within {START_SECONDS:.0f} s")


def coordinate(
    ready: Event, ending: Event, address: Address, topics: Mapping[Topic, Sequence[int]], folder: Path | None = None
) -> None:
    """The machines of these partitions, one thread for each topic, as `coordinator` runs them.

    `folder`: for their states, kept as there, and for snapshots; None: in memory.
    """
    log = address.open()
    of_topic = {machine.topic: machine for machine in machines(log)}
    which = [(of_topic[topic], numbers) for topic, numbers in topics.items()]
    with ExitStack() as stack:
        make: MakeRunner = in_memory
        if folder is not None:
            local = stack.enter_context(closing(LocalStore(folder / "state")))
            snapshots = SharedSnapshots(folder / "snapshots")
            make = partial(_on_disk, snapshots, local)
        run_machines(ready, ending, log, which, make)
    log.close()


def run_machines(
    ready: Event, ending: Event, log: Log, which: Sequence[tuple[MachineType, Sequence[int]]], make: MakeRunner
) -> None:
    """A thread for each of these machines, on these partitions; until told to end."""
    parts = [machine_part(log, machine, numbers, make) for machine, numbers in which]
    threads = [threading.Thread(target=part.run, name=part.name, daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    ready.set()
    ending.wait()
    for part, thread in zip(parts, threads, strict=True):
        part.stop()
        thread.join(END_SECONDS)


def in_memory(log: Log, machine: MachineType, number: int) -> Runner:
    """A runner whose state is kept nowhere."""
    return Runner(log, machine, number, MemoryCheckpoints(), every=10_000_000)


def _on_disk(snapshots: SharedSnapshots, local: LocalStore, log: Log, machine: MachineType, number: int) -> Runner:
    return Runner(log, machine, number, snapshots, local=local)
