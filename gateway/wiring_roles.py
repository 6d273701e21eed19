"""The composition root of the processes that share the work: coordinator, executor, projector."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from gateway import wiring
from gateway import wiring_parts as parts_of
from gateway.config import Config
from gateway.duties import Duties, Duty
from gateway.folders import Folders
from gateway.health import Standing
from gateway.machines import machines
from gateway.parts import STOP_SECONDS, Part, Parts
from gateway.problems import Problem, Refused
from gateway.process import CHANGED, Role, Stage, Stands
from gateway.reach import PATIENCE, find, make_topics, open_log, store_identity
from gateway.session import Session
from gateway.storewatch import StoreWatch
from schemas.topics import Topic
from streams.localstore import LocalStore
from streams.log import Log, LogMismatch, Place
from streams.loop import MachineType
from streams.machine_metrics import MachineMetrics
from streams.membership import Everything, Membership, OneOfMany
from streams.standby import Patience

LONGEST_NODE = 64  # characters
FIRST_FACTS = Place(Topic.FACTS, 0)


def coordinator(config: Config, name: str, *, standby: bool) -> Role:
    """All four machines, on the partitions that the group gives this process; a standby follows all of them."""
    name = name or ("standby" if standby else "coordinator")

    @contextmanager
    def begin(stage: Stage) -> Iterator[Stands]:
        folders = config.folders
        with ExitStack() as stack:
            log = _opened(config, stack, stage)
            types = machines(log, stage.instruments.grants().heard)
            places = _places(log, *(machine.topic for machine in types))
            membership = Everything(places) if standby else _membership(config, "coordinator", places)
            local = stack.enter_context(closing(LocalStore(folders.state(name))))
            make = parts_of.runners_of(folders, local, Patience() if standby else None)
            plan = _machines_plan(log, types, make, stage.instruments.machines())
            yield stack.enter_context(_member(membership, stage, plan))

    return Role(name, begin)


def projector(config: Config, name: str) -> Role:
    """The projector of the partitions of `facts` that the group gives this process; with the first, two others too."""

    @contextmanager
    def begin(stage: Stage) -> Iterator[Stands]:
        dsn = _dsn(config)
        with ExitStack() as stack:
            log = _opened(config, stack, stage, ends_here=True)
            membership = _membership(config, "projector", _places(log, Topic.FACTS))
            metrics = parts_of.ProjectorMetrics(stage.instruments.registry, stage.instruments.ends)
            yield stack.enter_context(_member(membership, stage, _projector_plan(config, dsn, log, metrics)))

    return Role(name or "projector", begin)


def executor(config: Config) -> Role:
    """The executor of one node."""
    node = config.executor.node or socket.gethostname()[:LONGEST_NODE]

    @contextmanager
    def begin(stage: Stage) -> Iterator[Stands]:
        folders = config.folders
        with ExitStack() as stack:
            log = _opened(config, stack, stage)
            watch = stack.enter_context(_store_watch(folders, log))
            made = parts_of.executor_of(config, folders, log, node, folders.executors / node, watch.trouble)
            parts_of.ExecutorMetrics(stage.instruments.registry, made)
            parts = Parts(stage.events)
            stack.callback(parts.stop)
            parts.start(Part("executor", made.run, made.drain, config.executor.drain + STOP_SECONDS))
            offer = made.offer

            def stands() -> Standing:
                trouble = watch.trouble()
                return Standing(not trouble, trouble or f"node {node}, {offer.slots} slots, {offer.memory} MiB")

            yield stands

    return Role(f"executor-{node}", begin)


def api(session: Session, name: str) -> Role:
    """The API alone, on the log and read model that the session leads to."""

    @contextmanager
    def begin(stage: Stage) -> Iterator[Stands]:
        config, found = session.config, find(session)
        if not config.api.listen:
            raise Refused("api.listen: name the address to listen at")
        with ExitStack() as stack:
            log = open_log(config, found.dsn)
            stack.callback(log.close)
            stage.instruments.observe_log(log, stage.events, stack)
            images = partial(wiring.resolve_image, config)
            followed = stage.tracing.follow(log)
            requests = parts_of.RequestMetrics(stage.instruments.registry)
            made = parts_of.api_of(config, config.folders, found.dsn, followed, stack, images, requests)
            parts = Parts(stage.events)
            stack.callback(parts.stop)
            parts.start(Part("API", made.run, made.stop))
            yield lambda: Standing(is_ready=True, detail=f"https://{made.address}")

    return Role(name, begin)


def _store_watch(folders: Folders, log: Log) -> StoreWatch:
    if folders.remote_store:
        from store.keep import KeepBlocks

        remote = KeepBlocks(folders.remote_store.cluster())
        return StoreWatch(folders.remote_store.url, remote.trouble)
    if folders.shared_store is None:
        where = "CRUNCH_REUSE_STORE_DIRECTORY=... or CRUNCH_REUSE_STORE_URL=..."
        raise Refused(f"store.directory: name the folder that all machines share, or a Keep: {where}")
    return StoreWatch.of_folder(folders.shared_store, store_identity(log))


# --- Membership -----------------------------------------------------------------------------------------------------


def _membership(config: Config, group: str, places: list[Place]) -> Membership:
    if not config.kafka.servers:
        return OneOfMany(_dsn(config), group, places)
    from streams.kafkagroup import KafkaGroup

    return KafkaGroup(config.kafka.settings(PATIENCE), group, {place.topic for place in places})


@contextmanager
def _member(
    membership: Membership, stage: Stage, plan: Callable[[frozenset[Place]], Iterator[Duty]]
) -> Iterator[Stands]:
    """Take part in a group, and do what is due for the places that it gives us."""
    duties = Duties(stage.events, plan)
    held: frozenset[Place] | None = None

    def changed(places: frozenset[Place]) -> None:
        nonlocal held
        taken, given = places - (held or frozenset()), (held or frozenset()) - places
        duties.hold(places)
        held = places
        if taken or given:
            stage.journal.say("partitions", taken=taken, given=given, held=len(places))
        stage.events.put(CHANGED)

    def stands() -> Standing:
        if held is None:
            return Standing(is_ready=False, detail="waits for its part of the work")
        return Standing(is_ready=True, detail=f"holds {len(held)} partitions" if held else "stands by")

    parts = Parts(stage.events)
    parts.start(Part("membership", lambda: membership.run(changed), membership.stop))
    try:
        yield stands
    finally:
        parts.stop()


def _machines_plan(
    log: Log, types: tuple[MachineType, ...], make: parts_of.MakeRunner, metrics: MachineMetrics
) -> Callable[[frozenset[Place]], Iterator[Duty]]:
    def duty(machine: MachineType, numbers: frozenset[int]) -> Duty:
        return Duty((machine.topic, numbers), lambda _: parts_of.machine_part(log, machine, numbers, make, metrics))

    def plan(places: frozenset[Place]) -> Iterator[Duty]:
        for machine in types:
            numbers = frozenset(place.partition for place in places if place.topic is machine.topic)
            if numbers:
                yield duty(machine, numbers)

    return plan


def _projector_plan(
    config: Config, dsn: str, log: Log, metrics: parts_of.ProjectorMetrics
) -> Callable[[frozenset[Place]], Iterator[Duty]]:
    folders = config.folders

    def plan(places: frozenset[Place]) -> Iterator[Duty]:
        numbers = frozenset(place.partition for place in places)
        if numbers:
            yield Duty(("projector", numbers), lambda stack: parts_of.projector_part(dsn, log, stack, numbers, metrics))
        if FIRST_FACTS in places:
            yield Duty("assembler", lambda stack: parts_of.assembler_part(folders, dsn, log, stack))
            yield Duty("janitor", lambda _: parts_of.janitor_part(config, folders, log))
            yield Duty("retention", lambda _: parts_of.retention_part(dsn, log))

    return plan


# --- The log --------------------------------------------------------------------------------------------------------


def _opened(config: Config, stack: ExitStack, stage: Stage, *, ends_here: bool = False) -> Log:
    """The log, with its topics. Problem where they are missing."""
    log = open_log(config, config.postgres.dsn if config.kafka.servers else _dsn(config))
    stack.callback(log.close)
    if not config.kafka.servers:  # nothing is to be chosen there
        make_topics(log)
    try:
        machines(log)
    except LogMismatch as error:
        raise Problem(str(error)) from error
    stage.instruments.observe_log(log, stage.events, stack)
    return stage.tracing.follow(log, ends_here=ends_here)


def _dsn(config: Config) -> str:
    if not config.postgres.dsn:
        raise Refused("postgres.dsn: name the database with --postgres DSN (and the log with --kafka SERVERS)")
    return config.postgres.dsn


def _places(log: Log, *topics: Topic) -> list[Place]:
    return [Place(topic, number) for topic in topics for number in range(log.partitions(topic))]
