"""The parts of the system, each made from the configuration: what `up` runs all of, and other commands one each."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from consumers import rebuild as rebuilding
from consumers.assembler import Assembler
from consumers.executor.service import Executor, Offer
from consumers.executor.way import Way
from consumers.janitor import Behind, Janitor
from consumers.metrics import ExecutorMetrics as ExecutorMetrics
from consumers.metrics import ProjectorMetrics as ProjectorMetrics
from consumers.projector import Projector
from consumers.retention import Retention
from consumers.runners.relay import Target
from coordinator.dispatch import Dispatch
from gateway import tokens
from gateway.api.assemble import Api
from gateway.api.metrics import RequestMetrics as RequestMetrics
from gateway.api.server import bound
from gateway.api.service import TaskRules
from gateway.config import Config
from gateway.content import store_of
from gateway.folders import Folders
from gateway.parts import Part, until_stopped
from gateway.problems import Refused
from gateway.resolve import ImageResolver
from gateway.taskkey import task_key
from schemas.topics import Topic
from streams.driver import Crew, Driver, Ticker
from streams.kept import kept_in_folder
from streams.localstore import LocalStore
from streams.log import Log, Place
from streams.loop import MachineType, Runner
from streams.snapshots import SharedSnapshots
from streams.standby import Patience

if TYPE_CHECKING:  # for processes that are watched over
    from streams.machine_metrics import MachineMetrics

JANITOR_PAUSE = 60.0  # seconds
RETENTION_PAUSE = 600.0  # seconds: what is counted in days need not go at once
ASSIGNMENTS_KEPT = 100_000  # records of each partition
MINUTE = 60_000  # ms

MakeRunner = Callable[[Log, MachineType, int], Runner]


def runners_of(folders: Folders, local: LocalStore, standby: Patience | None = None) -> MakeRunner:
    """Makes runners that keep their state in `local`, and share snapshots of it."""
    snapshots = SharedSnapshots(folders.checkpoints)

    def make(log: Log, machine: MachineType, number: int) -> Runner:
        return Runner(log, machine, number, snapshots, local=local, standby=standby)

    return make


def machine_part(
    log: Log,
    machine: MachineType,
    numbers: Iterable[int],
    make: MakeRunner,
    metrics: "MachineMetrics | None" = None,
) -> Part:
    """One thread for these partitions of a machine's topic."""
    own = log.clone()
    numbers = sorted(numbers)

    def assemble() -> Crew:
        # After a stop the states may be a successor's, from whom opening them would take them away.
        runners = [make(own, machine, number) for number in numbers if not driver.is_stopping()]
        if not runners or machine.topic is not Topic.WORK:
            return Crew(runners)
        dispatch = cast(Dispatch, runners[0].machine)  # work has one partition
        return Crew(runners, Ticker(own, runners[0], dispatch.deadline_outstanding, dispatch.tick))

    driver = Driver(own, assemble)

    def run() -> None:
        if metrics:
            metrics.watch(driver)
        try:
            driver.run()
        finally:
            if metrics:
                metrics.forget(driver)
            own.close()

    return Part(f"{machine.topic} machine", run, driver.stop)


def executor_of(
    config: Config,
    folders: Folders,
    log: Log,
    node: str,
    root: Path,
    trouble: Callable[[], str | None],
    api: str = "",
) -> Executor:
    """This node's executor, with a folder `root` of its own. `trouble`: see `Executor`. `api`: this process's own."""
    offer = Offer(
        node=node,
        pool=config.executor.pool,
        slots=config.executor.slots,
        verify_slots=config.executor.verify_slots,
        memory=config.executor.memory,
        scratch=config.executor.scratch,
        runner=config.executor.runner,
        drain=config.executor.drain * 1_000,
        logins=config.executor.registry_logins,
        way=way_of(config, api),
        mounted=config.executor.keep_mount,
    )
    return Executor(log, store_of(folders), root, offer, trouble)


def way_of(config: Config, own: str = "") -> Way | None:
    """How tasks reach the API that `executor.api` names, else this process's `own`; None: neither. Raises Refused."""
    if not (config.executor.api or own):
        return None
    api = _target("executor.api", config.executor.api or own)
    keep = _target("executor.keep", config.executor.keep) if config.executor.keep else None
    # Nobody stands between a node and its own loopback, where a certificate is one that nobody else has signed.
    return Way(api=api, keep=keep, key=task_key(config), insecure=api.host in ("127.0.0.1", "localhost"))


def _target(key: str, text: str) -> Target:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Refused(f"{key}: {text[:80]!r} is no host:port")
    return Target(host.strip("[]"), int(port))


def api_of(
    config: Config,
    folders: Folders,
    dsn: str,
    log: Log,
    stack: ExitStack,
    images: ImageResolver,
    metrics: RequestMetrics,
) -> Api:
    """The API, listening, with a token for who runs this. Refused where its port is taken."""
    listening = bound(config.api.listen, config.api.port)
    stack.callback(listening.close)
    tokens.ensure_local(folders, dsn)
    rules = TaskRules(task_key(config), config.api.purity)
    made = Api(log, dsn, folders, listening, images, rules, metrics, config.api.view_urls)
    stack.callback(made.close)
    return made


def projector_part(
    dsn: str, log: Log, stack: ExitStack, numbers: Iterable[int] | None = None, metrics: ProjectorMetrics | None = None
) -> Part:
    """Projects these partitions of the facts (None: all) into the read model at `dsn`."""
    projector = Projector(log.clone(), dsn, partitions=numbers)
    stack.callback(projector.close)
    if metrics:
        metrics.watch(projector)
        stack.callback(metrics.forget, projector)
    return until_stopped("projector", projector.run)


def assembler_part(folders: Folders, dsn: str, log: Log, stack: ExitStack) -> Part:
    """Joins the outputs of jobs."""
    assembler = Assembler(log.clone(), dsn, store_of(folders))
    stack.callback(assembler.close)
    return until_stopped("assembler", assembler.run)


def janitor_part(config: Config, folders: Folders, log: Log) -> Part:
    """Lets entries age, and trims what nobody needs."""
    kept = kept_in_folder(folders.checkpoints)
    own = log.clone()
    assigned = Behind(own, ASSIGNMENTS_KEPT)

    def safe(place: Place) -> int:
        """`work`: up to the oldest state that is kept, and the floor. `assignments`: all but the newest."""
        if place.topic is Topic.ASSIGNMENTS:
            return assigned(place)
        floor, states = own.floor(f"{place.topic}-machine", place), [state.offset for state in kept(place)]
        # A state may be on disk before the move of the floor that it rests on is.
        return min(floor.offset, *states) if floor and states else 0

    janitor = Janitor(own, interval=config.janitor.verified_for * MINUTE, safe=safe)
    return until_stopped("janitor", lambda stop: janitor.run(stop, JANITOR_PAUSE))


def retention_part(dsn: str, log: Log) -> Part:
    """Takes entries out of reuse whose time is over."""
    retention = Retention(log.clone(), dsn)
    return until_stopped("retention", lambda stop: retention.run(stop, RETENTION_PAUSE))


# --- The read model anew ----------------------------------------------------------------------------------------------


def rebuild(log: Log, dsn: str, tell: Callable[[int], None]) -> int:
    """See `consumers.rebuild`."""
    return rebuilding.rebuild(log, dsn, tell)


def drift(log: Log, dsn: str, tell: Callable[[int], None]) -> rebuilding.Drift:
    """See `consumers.rebuild`."""
    return rebuilding.drift(log, dsn, tell)
