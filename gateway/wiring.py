"""The composition root: the modules `wiring*` alone see all. This one puts the parts of `up` together.

Every part runs in a thread of its own, with a connection to the log of its own. When one fails, `up` ends: what was
acknowledged is in the log, and the next `up` goes on from there. Parts are stopped in the order in which work flows,
so that nothing is handed to a part that is no longer there.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from consumers.executor.guard import Guard
from consumers.executor.inputs import remove_tree
from consumers.executor.service import CONTAINERS_NOTE, Executor, Offer
from consumers.executor.site import site_key, socket_folder
from consumers.runners.choose import NAMES, Runners
from consumers.runners.port import CannotRun
from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedImage
from gateway import wiring_parts as parts_of
from gateway.config import Config
from gateway.content import blocks_of
from gateway.folders import Folders
from gateway.instruments import Instruments
from gateway.machines import machines
from gateway.parts import Event, Part, Parts
from gateway.problems import Refused
from gateway.reach import make_topics, open_log, store_identity
from gateway.serverwatch import ServerWatch
from gateway.storewatch import StoreWatch
from gateway.traces import Tracing
from store import identity
from streams.embedded import EmbeddedPostgres, process_on
from streams.localstore import LocalStore
from streams.log import Log

PATIENCE_WITH_OURS = 5.0  # seconds: our own server comes back at once after a crash, or never
PATIENCE_WITH_YOURS = 60.0  # seconds: somebody may be restarting it
LOCAL = "local"  # the node of an `up`


class Works(NamedTuple):
    """What runs: how to reach its database, and where tasks run."""

    dsn: str
    log: Log
    runner: str
    why: str  # this runner
    offer: Offer | None  # what tasks may use; None: nothing is dispatched here
    api: str  # where the API is served, `host:port`; empty: nowhere


@contextmanager
def running(
    config: Config, folders: Folders, events: "SimpleQueue[Event]", instruments: Instruments, *, dispatch: bool
) -> Iterator[Works]:
    """All parts, inside the context; `events` hears of the first that fails, `instruments` watch all."""
    with ExitStack() as stack:
        dsn = config.postgres.dsn or stack.enter_context(_own_postgres(folders))
        log = open_log(config, dsn, PATIENCE_WITH_YOURS if config.postgres.dsn else PATIENCE_WITH_OURS)
        stack.callback(log.close)
        make_topics(log)
        blocks_of(folders)  # which refuses a store that is elsewhere
        if folders.shared_store is None:  # a store in the data folder is this log's from now on
            identity.claim(folders.store, store_identity(log), anew=True)
        instruments.observe_log(log, events, stack)
        log = Tracing(LOCAL, config.traces, stack).follow(log)
        images = partial(resolve_image, config)
        requests = parts_of.RequestMetrics(instruments.registry)
        api = parts_of.api_of(config, folders, dsn, log, stack, images, requests) if config.api.listen else None
        address = api.address if api else ""
        executor = _executor(config, folders, log, stack, address) if dispatch else None
        works = _works(config, dsn, log, executor, address)
        parts = Parts(events)
        made = list(_parts(config, folders, dsn, log, stack, instruments))
        stack.callback(parts.stop)  # first of all: what is closed after it has no thread any more
        if not config.postgres.dsn:
            watch = ServerWatch(dsn)
            parts.start(Part("Postgres", watch.run, watch.stop))
        for part in made:
            parts.start(part)
        if executor:
            parts_of.ExecutorMetrics(instruments.registry, executor)
            parts.start(Part("executor", executor.run, executor.stop))
        if api:
            parts.start(Part("API", api.run, api.stop))
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


def _executor(config: Config, folders: Folders, log: Log, stack: ExitStack, api: str) -> Executor:
    watch = stack.enter_context(StoreWatch.of_folder(folders.store, store_identity(log)))
    node = config.executor.node or LOCAL
    return parts_of.executor_of(config, folders, log, node, folders.work, watch.trouble, api)


def _works(config: Config, dsn: str, log: Log, executor: Executor | None, api: str) -> Works:
    if executor is None:
        return Works(dsn, log, "", "", None, api)
    try:
        choice = executor.choice(image_named=config.executor.runner == "docker")
    except CannotRun as error:
        raise Refused(f"executor.runner: {error}") from error
    return Works(dsn, log, choice.name, choice.why, executor.offer, api)


def _parts(
    config: Config, folders: Folders, dsn: str, log: Log, stack: ExitStack, instruments: Instruments
) -> Iterator[Part]:
    make = parts_of.runners_of(folders, stack.enter_context(closing(LocalStore(folders.state("up")))))
    projected = parts_of.ProjectorMetrics(instruments.registry, instruments.ends)
    yield parts_of.projector_part(dsn, log, stack, metrics=projected)
    metrics = instruments.machines()
    for machine in machines(log, instruments.grants().heard):
        yield parts_of.machine_part(log, machine, range(log.partitions(machine.topic)), make, metrics)
    yield parts_of.assembler_part(folders, dsn, log, stack)
    yield parts_of.janitor_part(config, folders, log)
    yield parts_of.retention_part(dsn, log)


# --- What other commands ask ----------------------------------------------------------------------------------------


def resolve_image(config: Config, name: str) -> ResolvedImage:
    """The content digest of the image that `name` stands for now, here or in its registry. Raises BadTask."""
    from consumers.runners import docker  # needed by few, and heavy

    try:
        digest = docker.resolve_image(name, logins=config.executor.registry_logins)
    except CannotRun as error:
        raise BadTask("image", str(error)) from error
    return ResolvedImage(digest=digest, component={"image": digest})


def runner_troubles(config: Config, folders: Folders) -> dict[str, str | None]:
    """For each runner why it can't be used on this machine; None: it can."""
    runners = _runners(config, folders.work)
    return {name: runners.get(name).trouble() for name in NAMES}


def leftovers(folders: Folders) -> Iterator[str]:
    """What a killed `up` may have left running. For who knows that none runs on the data folder."""
    if (folders.data / "postgres" / "postmaster.pid").exists():
        yield "the Postgres server of a killed `up`"


def remove_leftovers(config: Config, folders: Folders) -> Iterator[str]:
    """End and remove them; one line for each that can't be found out about."""
    if (folders.data / "postgres" / "postmaster.pid").exists():
        EmbeddedPostgres(folders.data).stop()
    for node, root in _executors(config, folders):
        if root.exists():
            key, runners = site_key(node, root), _runners(config, root)
            runners.sweep(key)
            if runners.owing:
                yield f"containers of node {node} may still run: {runners.owing}"
            remove_tree(socket_folder(key))


def _executors(config: Config, folders: Folders) -> Iterator[tuple[str, Path]]:
    """Nodes that worked on this data folder, and the folder of each."""
    yield config.executor.node or LOCAL, folders.work
    yield from ((root.name, root) for root in folders.executors.glob("*"))


def _runners(config: Config, root: Path) -> Runners:
    return Runners(config.executor.runner, "", root / CONTAINERS_NOTE)
