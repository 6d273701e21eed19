"""Live views: a Faust app over `facts` that keeps a row for each minute, and shows the rows through its web views.

    GET /views      this worker's partitions, rows of windows, newest first; `since`: ms since 1970
    GET /metrics    sums of the windows that are kept, for Prometheus
    GET /healthz    whether it has its partitions and their rows

Each partition is read from where its rows say that it was counted, as often as it comes here: Faust's own positions
may stand beyond what is in the changelog, and where it has none it drops what it read too early. What comes again is
dropped by its cause. There is one table, with the minute in the key, where a windowed table of Faust's would stand
beside one of open tasks: two changelogs have no order between them, and after a kill one could lack what the other has.
Nor may a row be missing before one that stands: nothing is written after what a broker refused, and the worker ends.
A row is of one partition, on the worker that has it: who wants all asks all workers.

This is the one file that imports faust, which comes with the extra `views`.
"""

# mypy: disable-error-code="import-untyped, import-not-found, unused-ignore"

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import msgspec
from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from prometheus_client import CollectorRegistry, generate_latest

from schemas.codec import Undecodable
from streams.caused import Foreign, fact_of
from streams.standstill import Progress, Standstill
from streams.windows import MINUTE, At, Rows, merged, window_of
from streams.windows_metrics import WindowMetrics

LOGGER = logging.getLogger(__name__)
KEPT = 7 * 24 * 60 * MINUTE  # ms after which a window is forgotten
BEAT = 2.0  # seconds between two signs of life
SESSION = 10.0  # seconds without a sign of life after which a worker's partitions go to others; Faust's default is 60
STANDSTILL = 15  # beats without a record of a partition that has more, before a worker ends; twice that without a row
GRACE = 5.0  # seconds in which a worker that can't go on may end in order


class UnreadableFact(Exception):
    """What a machine said can't be read: counting on without it would make the views wrong for ever."""


class StoodStill(Exception):
    """Faust reads nothing of what it was given, as happens when partitions change hands (faust-streaming/faust#629)."""


class _Producer(driver.Producer):  # type: ignore[misc] # not typed
    """Keeps the order: after a record that did not get through no later one does, once the broker knows who sends."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class _Transport(driver.Transport):  # type: ignore[misc] # not typed
    Producer = _Producer


class _Refusals(faust.Sensor):  # type: ignore[misc] # not typed
    """Faust goes on without what a broker refused, where nothing may follow: not even what it would say at its end."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        LOGGER.error("the live views end: a row could not be kept: %s", exc)
        sys.stdout.flush()
        os._exit(1)


class Read:
    """`offsets`: the next that is to be counted, of each partition that is here with its rows.

    `again`: of some, the offset from which on everything was asked for a second time.
    """

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.again: dict[int, int] = {}

    def forget(self, *_: Any, **__: Any) -> None:
        """Partitions have changed hands."""
        self.offsets.clear()
        self.again.clear()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`servers`: brokers, `host:port` with commas between. `facts`: the topic's name in Kafka, and its `partitions`.

    `log_ids`: of all partitions of the log (`caused.log_ids_of`): a record that names another cause counts for nothing.
    `name`: of the app, which its changelog's name begins with. `folder`: for what Faust keeps; of this worker alone.
    `listen`: host and port of the web views. `replication`: of the changelog.
    """

    servers: str
    facts: str
    partitions: int
    log_ids: frozenset[str]
    name: str
    folder: str
    listen: tuple[str, int]
    replication: int = 1


Beat = Callable[[frozenset[int] | None], None]
"""Told every few seconds which partitions this worker has; None: it is being given some, or reads their rows."""


Counting = Callable[[Any], Awaitable[None]]


def app_of(settings: Settings, beat: Beat) -> Any:
    """The app."""
    host, port = settings.listen
    app = faust.App(
        settings.name,
        version=2,  # the first one's changelog could refuse rows
        broker=[f"aiokafka://{server}" for server in settings.servers.split(",")],
        store="memory://",
        datadir=settings.folder,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_session_timeout=SESSION,
        broker_heartbeat_interval=SESSION / 4,
        web_host=host,
        web_bind=host,
        web_port=port,
        web_tables_enabled=False,
        worker_redirect_stdouts=False,
        key_serializer="raw",
        value_serializer="raw",
    )
    app.producer_transport = _Transport(app.conf.broker_producer, app)
    app.sensors.add(_Refusals())
    facts = app.topic(settings.facts, key_serializer="raw", value_serializer="raw")
    table = app.Table(
        "views",
        partitions=settings.partitions,
        key_type=str,
        value_type=bytes,
        extra_topic_configs={"message.timestamp.type": "LogAppendTime"},  # else refused where clocks are an hour apart
    )
    rows, read = Rows(table), Read()
    app.on_partitions_assigned.connect(read.forget, weak=False)
    app.on_rebalance_complete.connect(_going_back(app, rows, read, settings.facts), weak=False)
    app.agent(facts, name="views")(_ending_with(app, _counting(rows, read, settings.log_ids)))
    _show(app, rows, settings.facts)
    _tell_from_the_first_assignment(app, _telling(app, settings.facts, read, beat))
    return app


def _going_back(app: Any, rows: Rows, read: Read, facts: str) -> Callable[..., Awaitable[None]]:
    """When all rows are here. Faust goes to where it committed to be after this, and lets its flow go on after that.

    It would let what it reads meanwhile through, and then drop a part of it.
    """

    async def go_back(*_: Any, **__: Any) -> None:
        app.flow_control.suspend()
        app.consumer.stop_flow()
        here = [place for place in app.assignor.assigned_actives() & app.consumer.assignment() if place.topic == facts]
        positions = {place: max(1, rows.next(place.partition)) for place in here}
        read.offsets.update((place.partition, offset) for place, offset in positions.items())
        if positions and not await app.consumer._commit(positions):  # noqa: SLF001 - there is no public way
            raise IllegalStateError("partitions change hands once more")  # which Faust waits for then

    return go_back


def _tell_from_the_first_assignment(app: Any, tell: Callable[[], Awaitable[None]]) -> None:
    """A timer of Faust's begins only when all rows were read."""

    async def keep_telling() -> None:
        while True:
            await tell()
            await asyncio.sleep(BEAT)

    def begin(*_: Any, **__: Any) -> None:
        app.on_partitions_assigned.disconnect(begin)
        app.add_future(keep_telling())

    app.on_partitions_assigned.connect(begin, weak=False)


def _counting(rows: Rows, read: Read, log_ids: frozenset[str]) -> Counting:
    async def count(stream: Any) -> None:
        newest: dict[int, int] = {}
        async for event in stream.events():
            message = event.message
            at = At(message.partition, message.offset, round(message.timestamp * 1000))
            _take(rows, at, fact_of(event.value, log_ids))
            read.offsets[message.partition] = message.offset + 1
            window = window_of(at.time)
            if newest.setdefault(message.partition, window) < window:
                newest[message.partition] = window
                rows.forget(message.partition, window - KEPT)

    return count


def _take(rows: Rows, at: At, found: Any) -> None:
    where = f"facts/{at.partition} offset {at.offset}"
    if isinstance(found, Undecodable):
        raise UnreadableFact(f"{where} can't be read: {found.detail}")
    if isinstance(found, Foreign):
        LOGGER.error("%s is no fact of this log and counts for nothing: %s", where, found.why)
    elif found is not None:
        rows.take(at, found.body, found.cause)


def _ending_with(app: Any, count: Counting) -> Counting:
    """Faust would begin an agent that failed anew, past what it failed at, and say meanwhile that all is well."""

    async def count_or_end(stream: Any) -> None:
        try:
            await count(stream)
        except Exception as error:
            await _end(app, error)
            raise

    return count_or_end


async def _end(app: Any, error: Exception) -> None:
    LOGGER.error("the live views end: %s", error)
    _end_within(GRACE)
    await app.crash(error)


def _end_within(seconds: float) -> None:
    """A worker of Faust's that crashed may wait for ever for its group (robinhood/faust#684).

    To end in the middle costs nothing: what it had not committed comes again, and is dropped by its cause.
    """
    end = threading.Timer(seconds, os._exit, (1,))
    end.daemon = True
    end.start()


def _partitions(app: Any, facts: str) -> frozenset[int] | None:
    """Those whose rows are here, all of them; None while they change hands."""
    if app.rebalancing or not app.tables.recovery.completed.is_set():
        return None
    return frozenset(place.partition for place in app.assignor.assigned_actives() if place.topic == facts)


def _telling(app: Any, facts: str, read: Read, beat: Beat) -> Callable[[], Awaitable[None]]:
    reading, settling = Standstill(STANDSTILL), Standstill(2 * STANDSTILL)

    async def tell_them() -> None:
        here = _partitions(app, facts)
        beat(here)
        try:
            found = await _facts_read(app, facts, here or frozenset(), read)
            stuck = reading.look(found)
            if stuck is not None and not await _reads_again(app, TP(facts, stuck), found[stuck], read):
                await _end(app, StoodStill("they stand still: a partition has more to read, of which nothing comes"))
            if settling.look(await _rows_read(app, facts) if here is None else {}) is not None:
                await _end(app, StoodStill("they stand still: partitions change hands, and no rows of them come"))
        except (KafkaError, ConsumerNotStarted) as error:  # nobody can look while the broker is away
            LOGGER.debug("where the live views stand can't be seen: %s", error)

    return tell_them


async def _facts_read(app: Any, facts: str, here: frozenset[int], read: Read) -> dict[int, Progress]:
    """By what came of it, and not by where Faust stands: it may have read what it then dropped."""
    if not here:
        return {}
    ends = await app.consumer.highwaters(*(TP(facts, number) for number in here))
    return {place.partition: Progress(read.offsets.get(place.partition, 0), end) for place, end in ends.items()}


async def _reads_again(app: Any, place: Any, found: Progress, read: Read) -> bool:
    """Whether it helped, or may help, to read what nothing came of again. Not where nothing is being read at all.

    If nothing comes of it then, nothing was lost: it is the ends of a foreign producer's transactions.
    """
    if (await app.consumer.position(place) or 0) < found.end:
        return False
    if read.again.get(place.partition) == found.read:
        read.offsets[place.partition] = found.end
    else:
        LOGGER.warning("facts/%d is read again from offset %d on: nothing came of it", place.partition, found.read)
        read.again[place.partition] = found.read
        await app.consumer.seek_wait({place: found.read})
    return True


async def _rows_read(app: Any, facts: str) -> dict[int, Progress]:
    """Of the changelog, all partitions together; there is always more to come, or they would be here."""
    await app.consumer.highwaters(TP(facts, 0))
    return {0: Progress(sum(offset or 0 for offset in app.tables.recovery.active_offsets.values()), sys.maxsize)}


def _show(app: Any, rows: Rows, facts: str) -> None:
    async def views(web: Any, request: Any) -> Any:
        since = request.query.get("since", "0")
        here = _partitions(app, facts) or frozenset()
        found = merged(rows.windows(here, int(since) if since.isdecimal() else 0))
        return web.json({"partitions": sorted(here), "window_ms": MINUTE, "rows": found})

    figures = CollectorRegistry()
    WindowMetrics(figures, lambda: rows.windows(_partitions(app, facts) or frozenset(), 0))

    async def metrics(web: Any, _request: Any) -> Any:
        return web.text(generate_latest(figures).decode(), content_type="text/plain; version=0.0.4")

    async def health(web: Any, _request: Any) -> Any:
        is_ready = _partitions(app, facts) is not None
        return web.json({"ready": is_ready}, status=200 if is_ready else 503)

    app.page("/views")(views)
    app.page("/metrics")(metrics)
    app.page("/healthz")(health)


def run(settings: Settings, beat: Beat) -> int:
    """Run a worker until it is told to end; its exit code. Faust itself takes SIGINT and SIGTERM.

    What it has to say goes where the process's `logging` goes.
    """
    os.makedirs(settings.folder, mode=0o700, exist_ok=True)
    with open(os.devnull, "w") as nothing:  # a turning wheel, and words at a signal, where our journal has its lines
        worker = faust.Worker(app_of(settings, beat), override_logging=False, stdout=nothing, stderr=nothing)
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            return int(end.code or 0)
    return 0
