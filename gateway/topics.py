"""`topics create` and `topics check`: the topics of a log in Kafka."""

from collections.abc import Iterable, Mapping
from contextlib import closing

import msgspec

from gateway.problems import FAILED, Refused
from gateway.session import Session
from schemas.topics import Topic
from streams.admin import DISTRIBUTED, create_topics
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.log import LogMismatch
from streams.routes import Routes

PATIENCE = 8.0  # seconds: somebody is looking at it
MOST = 10_000  # partitions
ONE_ORDER = (Topic.SETTINGS, Topic.WORK)  # all that is said there has one order


def create(session: Session, partitions: list[str], replication: int | None) -> None:
    """Make what is missing; what is there has to have these numbers of partitions. Raises LogError, Refused."""
    chosen = parse_partitions(partitions)
    settings = settings_of(session)
    if replication is not None:
        settings = msgspec.structs.replace(settings, replication=replication)
    with closing(KafkaLog(settings)) as log:
        make_missing(log, chosen)
        _tell(session, log)


def make_missing(log: KafkaLog, chosen: Mapping[Topic, int]) -> None:
    """Make the topics that are missing, with so many partitions; what nobody chose is as it is, or as we think best."""
    surveyed = log.survey()
    present = {topic: surveyed[topic].partitions for topic in Topic if surveyed[topic].partitions}
    create_topics(log, {**DISTRIBUTED, **present, **chosen})


def check(session: Session) -> int:
    """Print what is wrong; exit code 1 if anything is."""
    with closing(KafkaLog(settings_of(session))) as log:
        return FAILED if _tell(session, log) else 0


def settings_of(session: Session) -> KafkaSettings:
    """How the Kafka of the configuration is reached. Raises Refused where it names none."""
    if not session.config.kafka.servers:
        raise Refused("kafka.servers: name the brokers: --kafka HOST:PORT, or CRUNCH_REUSE_KAFKA_SERVERS=HOST:PORT")
    return session.config.kafka.settings(PATIENCE)


def parse_partitions(words: Iterable[str]) -> dict[Topic, int]:
    """Numbers of partitions from words like `claims=24`. Raises Refused."""
    counts = {}
    for word in words:
        name, _, number = word.partition("=")
        if name not in list(Topic):
            raise Refused(f"--partitions: {name!r} is no topic: one of {', '.join(Topic)}")
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= MOST):
            raise Refused(f"--partitions: {word}: write {name}=N with N from 1 to {MOST}")
        topic = Topic(name)
        if topic in ONE_ORDER and int(number) != 1:
            raise Refused(f"--partitions: {word}: {name} has one partition, one order for all")
        counts[topic] = int(number)
    return counts


def _tell(session: Session, log: KafkaLog) -> bool:
    """Print what there is; whether anything is wrong."""
    surveyed = log.survey()
    problems = [problem for found in surveyed.values() for problem in found.problems] or _genesis_problems(log)
    if session.as_json:
        topics = {
            str(topic): {"partitions": one.partitions, "replicas": one.replicas} for topic, one in surveyed.items()
        }
        session.result({"topics": topics, "problems": problems})
    for topic, found in surveyed.items():
        session.say(f"{topic:<12}{found.partitions:>6} partitions, {found.replicas} replicas")
    for problem in problems:
        session.say(problem)
    session.say(f"{len(problems)} to be put right" if problems else "all as they have to be")
    return bool(problems)


def _genesis_problems(log: KafkaLog) -> list[str]:
    try:
        Routes(log)
    except LogMismatch as mismatch:
        return [str(mismatch)]
    return []
