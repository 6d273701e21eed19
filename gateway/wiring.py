"""The composition root: the one module that sees all, and puts the parts of one machine together.

Every part runs in a thread of its own, with a connection to the log of its own. When one fails, `up` ends: what was
acknowledged is in the log, and the next `up` goes on from there. Parts are stopped in the order in which work flows,
so that nothing is handed to a part that is no longer there.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import NamedTuple, cast

from consumers.assembler import Assembler
from consumers.janitor import Janitor
from consumers.projector import Projector
from coordinator.claims import Claims
from coordinator.dispatch import Dispatch
from coordinator.jobs import Jobs
from coordinator.machine import Machine
from coordinator.settings import FORWARDED_TO, Settings
from gateway.config import Config
from gateway.folders import Folders
from gateway.parts import Event, Part, Parts
from schemas.topics import Topic
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.admin import create_topics
from streams.checkpoints import DirectoryCheckpoints
from streams.driver import Crew, Driver, Ticker
from streams.embedded import EmbeddedPostgres
from streams.log import Log, Place
from streams.loop import MachineType, Runner
from streams.postgres import PostgresLog

JANITOR_PAUSE = 60.0  # seconds
MINUTE = 60_000  # ms


class Works(NamedTuple):
    """What runs: how to reach its database, and where tasks run."""

    dsn: str
    log: Log
    runner: str
    slots: int


@contextmanager
def running(config: Config, folders: Folders, events: "SimpleQueue[Event]", *, dispatch: bool) -> Iterator[Works]:
    """All parts, inside the context; `events` hears of the first that fails."""
    with ExitStack() as stack:
        dsn = config.postgres.dsn or stack.enter_context(EmbeddedPostgres(folders.data))
        log = PostgresLog(dsn)
        stack.callback(log.close)
        create_topics(log)
        parts = Parts(events)
        stack.callback(parts.stop)
        for part in _parts(config, folders, dsn, log, stack):
            parts.start(part)
        yield Works(dsn, log, "process", 0)


def _parts(config: Config, folders: Folders, dsn: str, log: Log, stack: ExitStack) -> Iterator[Part]:
    checkpoints = DirectoryCheckpoints(folders.checkpoints)
    yield _projector(dsn, log, stack)
    for machine in (_SettingsMachines(log), Jobs, Claims, Dispatch):
        yield _machines(log, machine, checkpoints)
    yield _assembler(folders, dsn, log, stack)
    yield _janitor(config, log, checkpoints)


class _SettingsMachines:
    """Makes the settings machine, which has to know how many partitions there are to forward to."""

    topic = Topic.SETTINGS

    def __init__(self, log: Log) -> None:
        self._partitions = {topic: log.partitions(topic) for topic in FORWARDED_TO}

    def __call__(self) -> Machine:
        return Settings(self._partitions)

    def restore(self, snapshot: bytes) -> Machine:
        return Settings.restore(snapshot)


def _machines(log: Log, machine: MachineType, checkpoints: DirectoryCheckpoints) -> Part:
    """One thread for all partitions of a machine's topic."""
    own = log.clone()

    def assemble() -> Crew:
        runners = [Runner(own, machine, number, checkpoints) for number in range(own.partitions(machine.topic))]
        if machine.topic is not Topic.WORK:
            return Crew(runners)
        dispatch = cast(Dispatch, runners[0].machine)  # work has one partition
        return Crew(runners, Ticker(own, runners[0], dispatch.deadline_outstanding, dispatch.tick))

    driver = Driver(own, assemble)
    return Part(f"{machine.topic} machine", driver.run, driver.stop)


def _until_stopped(name: str, run: Callable[[threading.Event], object]) -> Part:
    stop = threading.Event()
    return Part(name, lambda: run(stop), stop.set)


def _projector(dsn: str, log: Log, stack: ExitStack) -> Part:
    projector = Projector(log.clone(), dsn)
    stack.callback(projector.close)
    return _until_stopped("projector", projector.run)


def _assembler(folders: Folders, dsn: str, log: Log, stack: ExitStack) -> Part:
    assembler = Assembler(log.clone(), dsn, CollectionStore(BlockStore.create(folders.store)))
    stack.callback(assembler.close)
    return _until_stopped("assembler", assembler.run)


def _janitor(config: Config, log: Log, checkpoints: DirectoryCheckpoints) -> Part:
    started_at = {Place(Topic.ASSIGNMENTS, 0): log.end(Place(Topic.ASSIGNMENTS, 0))}

    def safe(place: Place) -> int:
        """`work`: up to the oldest state that is kept. `assignments`: what was there when this process began."""
        if place.topic is Topic.ASSIGNMENTS:
            return started_at[place]
        return min((kept.offset for kept in checkpoints.load(place)), default=0)

    janitor = Janitor(log.clone(), interval=config.janitor.verified_for * MINUTE, safe=safe)
    return _until_stopped("janitor", lambda stop: janitor.run(stop, JANITOR_PAUSE))
