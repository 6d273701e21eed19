"""`views`: the live views as a process beside a log in Kafka, or what they would show, from the read model."""

import logging
import os
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from gateway import reach
from gateway.client import Client
from gateway.config import Config
from gateway.exposition import Condition
from gateway.health import Health, Standing
from gateway.instruments import Instruments
from gateway.journal import Journal, JournalHandler
from gateway.parts import Event, raise_failure
from gateway.pictures import safe
from gateway.problems import Problem, Refused
from gateway.session import Session
from readmodel.windows import windows
from schemas.topics import Topic
from streams.caused import log_ids_of

if TYPE_CHECKING:
    from streams.views import Settings

MINUTE = 60_000  # ms
EXTRA = "the live views come with an extra: pip install 'crunch-reuse[views]'"


def run(session: Session, listen: str, name: str) -> int:
    """Run a worker of the live views until a signal. Refused where the log is not in Kafka."""
    config = session.config
    if not config.kafka.servers:
        raise Refused("views: they read a log in Kafka (--kafka); views --show has the same from Postgres")
    if config.kafka.options:
        raise Refused("kafka.options: the live views' own client reads none of librdkafka's options")
    try:
        from streams import views
    except ModuleNotFoundError as error:
        raise Problem(f"{EXTRA} ({error.name} is missing)") from error
    folders = session.folders
    folders.create()
    journal, health = Journal(name, as_json=session.as_json), Health(folders.processes, name)
    instruments = Instruments(name, config.metrics)
    logging.basicConfig(handlers=[JournalHandler(journal, instruments.said)], level=logging.WARNING)
    events: SimpleQueue[Event] = SimpleQueue()
    with health.sole(), ExitStack() as stack:
        health.say(Standing(is_ready=False, detail="starting"))
        metrics = instruments.serve(events, stack)
        journal.say("started", pid=os.getpid(), data=folders.data, views=f"http://{listen}/views", metrics=metrics)
        settings = _settings(config, listen, str(folders.data / "views" / name), views.Settings)
        code = views.run(settings, Telling(journal, health, instruments.condition).hear)
        journal.say("stopped", code=code)
    with suppress(Empty):
        raise_failure(events.get_nowait())
    return code


class Telling:
    """What a worker has, told as it changes: in its journal, and to who asks how it is."""

    def __init__(self, journal: Journal, health: Health, condition: Condition) -> None:
        self._journal = journal
        self._health = health
        self._condition = condition
        self._held: frozenset[int] = frozenset()
        self._was_ready = False

    def hear(self, partitions: frozenset[int] | None) -> None:
        """The partitions that it has now; None: it is being given some, or reads their rows."""
        is_ready = partitions is not None
        if partitions is not None and partitions != self._held:
            taken, given = partitions - self._held, self._held - partitions
            self._journal.say("partitions", taken=_places(taken), given=_places(given), held=len(partitions))
            self._held = partitions
        detail = f"holds {len(self._held)} partitions" if is_ready else "reads its rows"
        if is_ready != self._was_ready:
            self._journal.say("ready" if is_ready else "waiting", detail=detail)
            self._was_ready = is_ready
        standing = Standing(is_ready=is_ready, detail=detail)
        self._health.say(standing)
        self._condition.say(standing)


def _places(numbers: frozenset[int]) -> list[str]:
    return [f"{Topic.FACTS}/{number}" for number in sorted(numbers)]


def _settings(config: Config, listen: str, folder: str, make: "type[Settings]") -> "Settings":
    kafka = config.kafka.settings(reach.PATIENCE)
    log = reach.open_log(config, "")
    try:
        partitions, log_ids = log.partitions(Topic.FACTS), log_ids_of(log)
    finally:
        log.close()
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise Refused(f"listen: {listen!r} is no host:port")
    return make(
        servers=kafka.servers,
        facts=kafka.name(Topic.FACTS),
        partitions=partitions,
        log_ids=log_ids,
        name=kafka.name("views"),
        folder=folder,
        listen=(host, int(port)),
        replication=kafka.replication or 1,
    )


def show(session: Session, minutes: int) -> None:
    """Print the windows of the last minutes, from the read model."""
    since = time.time_ns() // 1_000_000 - minutes * MINUTE
    with Client(session) as client:
        rows = windows(client.rows, since - since % MINUTE)
    if session.as_json:
        session.result({"window_ms": MINUTE, "rows": rows})
    for row in rows:
        minute = datetime.fromtimestamp(row["window"] / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
        more = f", {row['amount'] / 1000:.1f} s" if row["amount"] else ""
        session.say(f"{minute}  {row['kind']} {safe(row['label'])}: {row['count']}{more}")
