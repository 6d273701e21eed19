"""A log that lost its end on the broker's disk, under a machine that had read it: the machine stops, and says so."""

import shutil

import pytest

from bench.log import Answering
from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.checkpoints import MemoryCheckpoints
from streams.kafka import KafkaLog
from streams.log import Append, LogMismatch, LogUnreachable, Place
from streams.loop import Runner
from tests.support.kafkas import NewLog, operator_of
from tests.support.log_world import finish

pytestmark = pytest.mark.needs("kafka")

COUNTS = dict.fromkeys(Topic, 1) | {Topic.CLAIMS: 2}
SHORT, REGROWN = Place(Topic.CLAIMS, 0), Place(Topic.CLAIMS, 1)


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
    runners = {
        place: finish(Runner(log, Answering, place.partition, MemoryCheckpoints())) for place in (SHORT, REGROWN)
    }
    assert [runner.position for runner in runners.values()] == [6, 6]
    kafka_broker.kill()
    for place in runners:
        lose(kafka_broker, log, place)
    kafka_broker.start()
    operator_of(log).produce(REGROWN, *(b"another %d" % number for number in range(9)))
    assert "claims/0 holds offsets 0 to 0, not 6: it was trimmed or truncated" in stopped(runners[SHORT])
    said = stopped(runners[REGROWN])
    assert "claims/1 has another record at 5 than was read there" in said or "claims/1 holds offsets" in said
