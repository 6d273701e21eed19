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
from consumers.executor.guard import Guard
from consumers.executor.inputs import remove_tree
from consumers.executor.service import CONTAINERS_NOTE, Executor, Offer
from consumers.executor.site import site_key, socket_folder
from consumers.janitor import Behind, Janitor
from consumers.projector import Projector
from consumers.runners.choose import NAMES, Runners
from consumers.runners.port import CannotRun
from coordinator.canonical import BadTask
from coordinator.dispatch import Dispatch
from coordinator.resolver import ResolvedImage
from gateway.config import Config
from gateway.content import store_of
from gateway.folders import Folders
from gateway.machines import machines
from gateway.parts import Event, Part, Parts
from gateway.problems import Refused
from gateway.serverwatch import ServerWatch
from schemas.topics import Topic
from streams.admin import create_topics
from streams.checkpoints import CheckpointReader, DirectoryCheckpoints
from streams.driver import Crew, Driver, Ticker
from streams.embedded import EmbeddedPostgres, process_on
from streams.log import Log, Place
from streams.loop import MachineType, Runner
from streams.postgres import PostgresLog

PATIENCE_WITH_OURS = 5.0  # seconds: our own server comes back at once after a crash, or never
PATIENCE_WITH_YOURS = 60.0  # seconds: somebody may be restarting it
JANITOR_PAUSE = 60.0  # seconds
ASSIGNMENTS_KEPT = 60  # of the janitor's looks
MINUTE = 60_000  # ms


class Works(NamedTuple):
    """What runs: how to reach its database, and where tasks run."""

    dsn: str
    log: Log
    runner: str
    why: str  # this runner
    offer: Offer | None  # what tasks may use; None: nothing is dispatched here


@contextmanager
def running(config: Config, folders: Folders, events: "SimpleQueue[Event]", *, dispatch: bool) -> Iterator[Works]:
    """All parts, inside the context; `events` hears of the first that fails."""
    with ExitStack() as stack:
        dsn = config.postgres.dsn or stack.enter_context(_own_postgres(folders))
        log = PostgresLog(dsn, patience=PATIENCE_WITH_YOURS if config.postgres.dsn else PATIENCE_WITH_OURS)
        stack.callback(log.close)
        create_topics(log)
        executor = _executor(config, folders, log) if dispatch else None
        works = _works(config, dsn, log, executor)
        parts = Parts(events)
        made = list(_parts(config, folders, dsn, log, stack))
        stack.callback(parts.stop)  # first of all: what is closed after it has no thread any more
        if not config.postgres.dsn:
            watch = ServerWatch(dsn)
            parts.start(Part("Postgres", watch.run, watch.stop))
        for part in made:
            parts.start(part)
        if executor:
            parts.start(Part("executor", executor.run, executor.stop))
        yield works


@contextmanager
def _own_postgres(folders: Folders) -> Iterator[str]:
    """The DSN of our Postgres, which does not outlive us, however we end."""
    guard = Guard()
    try:
        with EmbeddedPostgres(folders.data) as dsn:
            guard.serve(process_on(folders.data), folders.data)
            yield dsn
        guard.serve(0, folders.data)
    finally:
        guard.close()


def _works(config: Config, dsn: str, log: Log, executor: Executor | None) -> Works:
    if executor is None:
        return Works(dsn, log, "", "", None)
    try:
        choice = executor.choice(image_named=config.executor.runner == "docker")
    except CannotRun as error:
        raise Refused(f"executor.runner: {error}") from error
    return Works(dsn, log, choice.name, choice.why, executor.offer)


def _parts(config: Config, folders: Folders, dsn: str, log: Log, stack: ExitStack) -> Iterator[Part]:
    checkpoints = DirectoryCheckpoints(folders.checkpoints)
    yield _projector(dsn, log, stack)
    for machine in machines(log):
        yield _machines(log, machine, checkpoints)
    yield _assembler(folders, dsn, log, stack)
    yield _janitor(config, folders, log)


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


def _executor(config: Config, folders: Folders, log: Log) -> Executor:
    offer = Offer(
        node=config.executor.node,
        pool=config.executor.pool,
        slots=config.executor.slots,
        verify_slots=config.executor.verify_slots,
        memory=config.executor.memory,
        scratch=config.executor.scratch,
        runner=config.executor.runner,
    )
    return Executor(log, store_of(folders), folders.work, offer)


def _projector(dsn: str, log: Log, stack: ExitStack) -> Part:
    projector = Projector(log.clone(), dsn)
    stack.callback(projector.close)
    return _until_stopped("projector", projector.run)


def _assembler(folders: Folders, dsn: str, log: Log, stack: ExitStack) -> Part:
    assembler = Assembler(log.clone(), dsn, store_of(folders))
    stack.callback(assembler.close)
    return _until_stopped("assembler", assembler.run)


def _janitor(config: Config, folders: Folders, log: Log) -> Part:
    checkpoints = CheckpointReader(folders.checkpoints)
    own = log.clone()
    assigned = Behind(own, Topic.ASSIGNMENTS, ASSIGNMENTS_KEPT)

    def safe(place: Place) -> int:
        """`work`: up to the oldest state that is kept. `assignments`: what was there an hour ago."""
        if place.topic is Topic.ASSIGNMENTS:
            return assigned(place)
        return min((kept.offset for kept in checkpoints.load(place)), default=0)

    janitor = Janitor(own, interval=config.janitor.verified_for * MINUTE, safe=safe)
    return _until_stopped("janitor", lambda stop: janitor.run(stop, JANITOR_PAUSE))


# --- What other commands ask ----------------------------------------------------------------------------------------


def resolve_image(name: str) -> ResolvedImage:
    """The content digest of the image that `name` stands for now on this machine's engine. Raises BadTask."""
    from consumers.runners import docker  # needed by few, and heavy

    try:
        digest = docker.resolve_image(name)
    except CannotRun as error:
        raise BadTask("image", str(error)) from error
    return ResolvedImage(digest=digest, component={"image": digest})


def runner_troubles(config: Config, folders: Folders) -> dict[str, str | None]:
    """For each runner why it can't be used on this machine; None: it can."""
    runners = _runners(config, folders)
    return {name: runners.get(name).trouble() for name in NAMES}


def leftovers(folders: Folders) -> Iterator[str]:
    """What a killed `up` may have left running. For who knows that none runs on the data folder."""
    if (folders.data / "postgres" / "postmaster.pid").exists():
        yield "the Postgres server of a killed `up`"


def remove_leftovers(config: Config, folders: Folders) -> None:
    """End and remove them."""
    if (folders.data / "postgres" / "postmaster.pid").exists():
        EmbeddedPostgres(folders.data).stop()
    if folders.work.exists():
        key = site_key(config.executor.node, folders.work)
        _runners(config, folders).sweep(key)
        remove_tree(socket_folder(key))


def _runners(config: Config, folders: Folders) -> Runners:
    return Runners(config.executor.runner, "", folders.work / CONTAINERS_NOTE)
