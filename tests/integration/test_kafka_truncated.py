"""A log that lost its end on the broker's disk, under a machine that had read it: the machine stops, and says so."""

import re
import shutil
from contextlib import closing

import pytest

from consumers.projector import Projector
from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.checkpoints import MemoryCheckpoints
from streams.kafka import KafkaLog
from streams.log import Append, LogMismatch, LogUnreachable, Place
from streams.loop import Runner
from tests.support.kafkas import NewLog, operator_of
from tests.support.log_world import finish
from tests.support.logtoy import Toy
from tests.support.postgres import dsn, postgres_server

__all__ = ["dsn", "postgres_server"]

pytestmark = pytest.mark.needs("kafka")

COUNTS = dict.fromkeys(Topic, 1) | {Topic.CLAIMS: 2}
SHORT, REGROWN = Place(Topic.CLAIMS, 0), Place(Topic.CLAIMS, 1)
# Whichever is noticed first: an offset that is not there, a client that is told so, a record that is another.
WHY = re.compile(
    r"claims/0 holds offsets 0 to 0, not [56]: it was trimmed or truncated"
    r"|claims/[01] was truncated below 6, which was read: restore the log .*"
    r"|claims/1 has another record at 5 than was read there: .*"
)


@pytest.fixture
def kafka_broker(mortal_broker: LocalBroker) -> LocalBroker:
    """In place of the one that all tests share."""
    return mortal_broker


def lose(broker: LocalBroker, log: KafkaLog, place: Place) -> None:
    """All records of a partition are gone from the disk; the broker does not run meanwhile."""
    folder = broker.log_file.parent / "log" / f"{log.settings.name(place.topic)}-{place.partition}"
    for path in folder.iterdir():
        if path.name != "partition.metadata":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def stopped(runner: Runner) -> str:
    """What a runner says that had read all, once there is something to say."""
    while True:
        try:
            while not runner.poll():
                pass
        except LogMismatch as mismatch:
            return str(mismatch)
        except LogUnreachable:  # the broker has just started
            continue


def test_a_log_truncated_under_a_machine_stops_it(new_log: NewLog, kafka_broker: LocalBroker) -> None:
    log = new_log(counts=COUNTS)
    for place in (SHORT, REGROWN):
        log.append([Append(place, "k", b"%d" % number) for number in range(5)])
    logs = {SHORT: log, REGROWN: new_log(log.settings, COUNTS)}
    runners = {place: finish(Runner(logs[place], Toy, place.partition, MemoryCheckpoints())) for place in logs}
    assert [runner.position for runner in runners.values()] == [6, 6]
    kafka_broker.kill()
    for place in runners:
        lose(kafka_broker, log, place)
    kafka_broker.start()
    operator_of(log).produce(REGROWN, *(b"another %d" % number for number in range(9)))
    for place, runner in runners.items():
        assert WHY.fullmatch(stopped(runner)), place


def why_no_projector_begins(log: KafkaLog, dsn: str) -> str:
    """What a process says that begins to project, once the broker, which has just started, answers."""
    while True:
        try:
            with closing(KafkaLog(log.settings)) as fresh, closing(Projector(fresh, dsn)):
                return ""
        except LogMismatch as mismatch:
            return str(mismatch)
        except LogUnreachable:
            continue


def test_facts_that_were_lost_and_have_grown_again_stop_a_projector(
    new_log: NewLog, kafka_broker: LocalBroker, dsn: str
) -> None:
    log, facts = new_log(counts=COUNTS), Place(Topic.FACTS, 0)
    operator = operator_of(log)
    genesis = log.read(facts, 0, 1)[0].value
    operator.produce(facts, *(b"%d" % number for number in range(5)))
    with closing(Projector(log.clone(), dsn)) as projector:
        while projector.positions[0] < 6:
            projector.step()
    assert why_no_projector_begins(log, dsn) == ""
    kafka_broker.kill()
    lose(kafka_broker, log, facts)
    kafka_broker.start()
    operator.produce(facts, genesis, *(b"another %d" % number for number in range(9)))
    assert why_no_projector_begins(log, dsn).startswith("facts/0 has another record at 5 than was projected: ")
