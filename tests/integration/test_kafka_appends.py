"""Appends to Kafka never skip: brokers and producers frozen past every time limit, brokers killed."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pytest

from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.log import Floor, LogError, LogUnreachable
from tests.support.kafkas import HASTY, SOON, NewLog, later, operator_of
from tests.support.logs import WORK, records, values

pytestmark = pytest.mark.needs("kafka")

FEW = dict.fromkeys(Topic, 1)
BEYOND = 2.5  # seconds: longer than every limit in HASTY


@pytest.fixture
def kafka_broker(mortal_broker: LocalBroker) -> LocalBroker:
    """In place of the one that all tests share."""
    return mortal_broker


@pytest.fixture
def thawed(kafka_broker: LocalBroker) -> Iterator[LocalBroker]:
    """The broker, which runs again in the end, whatever happened."""
    yield kafka_broker
    kafka_broker.thaw()


def impatient(log: KafkaLog) -> KafkaSettings:
    return msgspec.structs.replace(log.settings, options=HASTY, patience=1.5)


def check_no_gap(found: Sequence[bytes], acknowledged: int) -> None:
    """Values are numbers, appended in order and again after each failure: none is missing before one that is there."""
    firsts = list(dict.fromkeys(int(value) for value in found))
    assert firsts == list(range(len(firsts)))
    assert acknowledged <= len(firsts)


def append_on(log: KafkaLog, count: int) -> tuple[int, list[str]]:
    """Append numbers, three at a time; again what failed, as a runner does. How many were acknowledged, what failed."""
    done, failures = 0, []
    while done < count:
        try:
            log.append(records(WORK, *(b"%d" % number for number in range(done, done + 3))))
            done += 3
        except LogUnreachable as error:
            failures.append(str(error))
    return done, failures


def again_while_out_of_reach(action: Callable[[], None]) -> None:
    """What is done with a broker that has just started, which may not know its partitions yet."""
    for _ in range(30):
        with suppress(LogUnreachable):
            return action()
    raise AssertionError("the broker is out of reach for good")


def failures_of(log: KafkaLog, times: int) -> list[str]:
    """Append so many times, whatever becomes of it: what failed."""
    failures = []
    for _ in range(times):
        try:
            log.append(records(WORK, b"x"))
        except LogUnreachable as error:
            failures.append(str(error))
    return failures


def test_a_broker_frozen_past_every_limit_of_the_client_loses_and_repeats_nothing(
    new_log: NewLog, thawed: LocalBroker
) -> None:
    log = new_log(counts=FEW, options=HASTY, patience=SOON)
    append_on(log, 30)
    thawed.freeze()
    later(BEYOND, thawed.thaw)
    done, failures = append_on(log, 300)
    assert (done, failures) == (300, [])
    assert [int(value) for value in values(log, WORK)[30:]] == list(range(300))


def test_a_broker_frozen_past_our_patience_leaves_no_gap(new_log: NewLog, thawed: LocalBroker) -> None:
    log = new_log(impatient(new_log(counts=FEW)), FEW)
    append_on(log, 30)
    thawed.freeze()
    later(BEYOND, thawed.thaw)
    done, failures = append_on(log, 300)
    assert done == 300
    assert failures
    assert all(re.fullmatch(r"can't reach Kafka at [^\n]+", failure) for failure in failures)
    check_no_gap(values(log, WORK)[30:], done)


def test_whatever_is_in_flight_when_our_patience_ends_it_is_one_error_of_ours(
    new_log: NewLog, thawed: LocalBroker
) -> None:
    log = new_log(counts=FEW)
    hasty = new_log(msgspec.structs.replace(log.settings, patience=0.3), FEW)
    failures: list[str] = []
    for _ in range(5):
        append_on(log, 3)
        thawed.freeze()
        later(1.0, thawed.thaw)
        failures += failures_of(hasty, 5)
    assert failures
    assert all(failure.startswith("can't reach Kafka at") for failure in failures)


def test_what_the_broker_refuses_for_good_is_one_error_of_ours(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    log.append(records(WORK, b"a"))
    operator_of(log).configure(Topic.WORK, "max.message.bytes", "1000")
    with pytest.raises(LogError, match=r"Kafka at .* refuses: "):
        log.append(records(WORK, *[b"b" * 900] * 9))


def test_the_simpler_producer_that_is_only_idempotent_leaves_a_gap(new_log: NewLog, thawed: LocalBroker) -> None:
    log = new_log(counts=FEW)
    limits = {name.replace(".", "_"): value for name, value in HASTY.items()}
    few = {"max_in_flight": 1, "batch_num_messages": 1}  # what was never sent is lost for sure
    producer = operator_of(log).producer(
        enable_idempotence=True, message_timeout_ms=1_000, linger_ms=0, **few, **limits
    )
    name = log.settings.name(Topic.WORK)
    producer.produce(name, b"0", b"k", 0)
    assert producer.flush(SOON) == 0
    thawed.freeze()
    for number in range(1, 20):
        producer.produce(name, b"%d" % number, b"k", 0)
    assert producer.flush(BEYOND * 2) == 0  # all have failed by now
    thawed.thaw()
    refused: list[object] = [True]
    for number in range(20, 60):  # a broker that has just thawed may not answer the first of these in time
        producer.produce(name, b"%d" % number, b"k", 0, on_delivery=lambda error, _: refused.append(error))
        assert producer.flush(SOON) == 0
        if refused[-1] is None:
            break
    with pytest.raises(AssertionError):
        check_no_gap(values(log, WORK), 0)


WRITER = """
import sys
import msgspec
from streams.kafka import open_kafka
from tests.integration.test_kafka_appends import append_on
log = open_kafka(**msgspec.json.decode(sys.argv[1]))
append_on(log, 30)
print("begun", flush=True)
done, failures = append_on(log, int(sys.argv[2]))
print(done, len(failures), flush=True)
"""


def test_a_producer_frozen_past_every_limit_leaves_no_gap(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    settings = msgspec.json.encode(impatient(log)).decode()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, settings, "3000"], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "begun\n"
        writer.send_signal(signal.SIGSTOP)
        there = len(values(log, WORK))
        later(BEYOND, lambda: writer.send_signal(signal.SIGCONT))
        done, _failures = map(int, writer.stdout.readline().split())
    assert there < 3_030
    check_no_gap(values(log, WORK)[30:], done)


def test_what_was_acknowledged_survives_a_broker_that_is_killed_and_started_again(
    new_log: NewLog, kafka_broker: LocalBroker
) -> None:
    log = new_log(counts=FEW, patience=60.0)
    append_on(log, 30)
    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(append_on, log, 3_000)
        kafka_broker.kill()
        kafka_broker.start()
        done, _failures = appending.result(60)
    check_no_gap(values(log, WORK)[30:], done)
    assert log.wait({WORK: 3_000}, SOON)


def test_a_floor_that_did_not_land_is_written_again(new_log: NewLog, kafka_broker: LocalBroker) -> None:
    log = new_log(counts=FEW, patience=2.0)
    log.move_floor("reader", WORK, Floor(1, "x", "log"))
    log.append(records(WORK, b"a"))
    kafka_broker.kill()
    log.move_floor("reader", WORK, Floor(2, "y", "log"))
    with pytest.raises(LogUnreachable):
        log.append(records(WORK, b"b"))
    kafka_broker.start()
    again_while_out_of_reach(lambda: log.move_floor("reader", WORK, Floor(2, "y", "log")))
    assert log.floor("reader", WORK) == Floor(2, "y", "log")


def test_a_floor_that_is_said_again_is_waited_for(new_log: NewLog, kafka_broker: LocalBroker) -> None:
    log = new_log(counts=FEW, patience=2.0)
    log.move_floor("reader", WORK, Floor(1, "x", "log"))
    log.move_floor("reader", WORK, Floor(1, "x", "log"))
    kafka_broker.kill()
    log.move_floor("reader", WORK, Floor(2, "y", "log"))
    with pytest.raises(LogUnreachable):
        log.move_floor("reader", WORK, Floor(2, "y", "log"))
    kafka_broker.start()
