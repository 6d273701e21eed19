"""Three copies of each record on three brokers: one of them may be killed at any moment, and nothing is lost."""

import threading
from collections.abc import Iterator

import pytest

from gateway.cli import run
from schemas.topics import Topic
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.log import LogMismatch, LogUnreachable
from tests.support.kafka_cluster import Node, three_brokers
from tests.support.kafkas import SOON, operator_of
from tests.support.logs import WORK, records, values
from tests.support.procs import commands

pytestmark = pytest.mark.needs("kafka")

PREFIX = "replicas."
BEFORE, AFTER = 20, 40  # appends before the broker is killed, and until it is enough


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with three_brokers(tmp_path_factory.mktemp("brokers")) as nodes:
        yield nodes


def opened(brokers: list[Node], patience: float = 60.0) -> KafkaLog:
    servers = ",".join(node.servers for node in brokers)
    return KafkaLog(KafkaSettings(servers=servers, prefix=PREFIX, patience=patience))


def leader_of_work(log: KafkaLog, brokers: list[Node]) -> Node:
    metadata = operator_of(log).admin.list_topics(log.settings.name(Topic.WORK), timeout=SOON)
    leader = metadata.topics[log.settings.name(Topic.WORK)].partitions[0].leader
    return next(node for node in brokers if node.number == leader)


def test_nothing_is_lost_with_a_broker_and_nothing_is_acknowledged_by_one_alone(brokers: list[Node]) -> None:
    log = opened(brokers)
    log.create(dict.fromkeys(Topic, 1))
    found = log.survey()[Topic.WORK]
    assert (found.replicas, found.problems) == (3, ())
    acknowledged: list[bytes] = []
    enough, some = threading.Event(), threading.Event()

    def write() -> None:
        while len(acknowledged) < AFTER or not enough.is_set():
            value = b"%d" % len(acknowledged)
            log.append(records(WORK, value))
            acknowledged.append(value)
            if len(acknowledged) == BEFORE:
                some.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert some.wait(SOON)
    killed = leader_of_work(log, brokers)
    killed.kill()
    enough.set()
    writer.join(60)
    assert not writer.is_alive()
    again = opened(brokers)
    assert values(again, WORK) == acknowledged, "in order, once, none missing"
    again.close()

    second = next(node for node in brokers if node is not killed)
    hasty = opened(brokers, patience=3.0)
    hasty.partitions(Topic.WORK)
    second.kill()
    with pytest.raises(LogUnreachable):
        hasty.append(records(WORK, b"by one alone"))
    hasty.close()
    for node in (killed, second):
        node.start()
    assert values(log, WORK)[: len(acknowledged)] == acknowledged
    assert log.append(records(WORK, b"again"))
    log.close()


def test_with_one_broker_of_three_all_topics_are_as_they_should_be(
    brokers: list[Node], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = opened(brokers)
    log.create(dict.fromkeys(Topic, 1))
    monkeypatch.setenv("CRUNCH_REUSE_KAFKA_SERVERS", log.settings.servers)
    monkeypatch.setenv("CRUNCH_REUSE_KAFKA_PREFIX", PREFIX)
    [words] = commands("A broker", "docs/operations.md")
    lost = leader_of_work(log, brokers)
    lost.kill()
    try:
        log.append(records(WORK, b"meanwhile"))  # which waits until another leads
        assert run(words) == 0, capfd.readouterr()
    finally:
        lost.start()
    assert run(words) == 0, capfd.readouterr()
    log.close()


def test_a_topic_that_one_broker_alone_may_acknowledge_is_refused(brokers: list[Node]) -> None:
    log = opened(brokers)
    log.create(dict.fromkeys(Topic, 1))
    operator_of(log).configure(Topic.WORK, "min.insync.replicas", "1")
    other = opened(brokers)
    with pytest.raises(LogMismatch, match=r"replicas\.work has min\.insync\.replicas=1 with 3 replicas: set it to 2"):
        other.partitions(Topic.WORK)
    operator_of(log).configure(Topic.WORK, "min.insync.replicas", "2")
    for one in (log, other):
        one.close()
