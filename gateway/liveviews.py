"""`views`: the live views as a process beside a log in Kafka, or what they would show, from the read model."""

import time
from datetime import datetime
from typing import TYPE_CHECKING

from gateway import reach
from gateway.client import Client
from gateway.config import Config
from gateway.health import Health, Standing
from gateway.journal import Journal
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
    held: frozenset[int] | None = None

    def beat(partitions: frozenset[int] | None) -> None:
        nonlocal held
        if partitions is not None and held != partitions:
            journal.say("ready", views=f"http://{listen}/views", partitions=sorted(partitions))
        held = partitions
        told = f"holds {len(held)} partitions, http://{listen}/views" if held is not None else "reads its rows"
        health.say(Standing(is_ready=held is not None, detail=told))

    with health.sole():
        health.say(Standing(is_ready=False, detail="starting"))
        journal.say("started", data=folders.data)
        code = views.run(_settings(config, listen, str(folders.data / "views" / name), views.Settings), beat)
        journal.say("stopped")
    return code


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
