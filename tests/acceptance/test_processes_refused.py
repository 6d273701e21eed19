"""A process whose Kafka is the wrong one says so in one line before long, and ends with a failure."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.problems import FAILED
from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.kafka_settings import NOTES, KafkaSettings
from tests.support.kafkas import Operator, later
from tests.support.postgres import dsn, postgres_server
from tests.support.procs import LONG, Cluster

__all__ = ["dsn", "postgres_server"]

pytestmark = pytest.mark.needs("kafka")

OLD = "3.9.1"
BEFORE_LONG = 10.0  # seconds in which people hear what is wrong
WRONG = "security.protocol=SASL_PLAINTEXT sasl.mechanism=PLAIN sasl.username=ann sasl.password=not-hers"


@pytest.fixture
def settings(tmp_path: Path, dsn: str) -> dict[str, str]:
    """All that a process needs, but a Kafka."""
    return {
        "CRUNCH_REUSE_POSTGRES_DSN": dsn,
        "CRUNCH_REUSE_STORE_DIRECTORY": str(tmp_path / "store"),
        "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(tmp_path / "snapshots"),
    }


@pytest.fixture(scope="module")
def old_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker of before Kafka 4, with topics that somebody made there."""
    data = tmp_path_factory.mktemp("old-kafka")
    with LocalBroker(data, version=OLD, heap="256m", jvm=["-XX:TieredStopAtLevel=1"]) as broker:
        operator = Operator(KafkaSettings(servers=broker.servers))
        for topic in (*Topic, NOTES):
            operator.make(topic, 1, {})  # type: ignore[arg-type]
        yield broker


def said_at_the_end(folder: Path, command: str, settings: dict[str, str]) -> str:
    """What a process says after that it has started: one line, before long, and it has failed."""
    with closing(Cluster(folder, settings)) as cluster, cluster.begin(command) as process:
        assert process.stderr
        guard = later(6 * BEFORE_LONG, process.kill)
        assert b" started pid=" in process.stderr.readline()
        begin = time.monotonic()
        said = process.stderr.read().decode()
        code, took = process.wait(), time.monotonic() - begin
        guard.cancel()
    assert (code, said.count("\n")) == (FAILED, 1), said
    assert took < BEFORE_LONG, said
    return said.removesuffix("\n")


@pytest.mark.parametrize("command", LONG)
def test_brokers_that_are_not_there(tmp_path: Path, command: str, settings: dict[str, str]) -> None:
    said = said_at_the_end(tmp_path, command, settings | {"CRUNCH_REUSE_KAFKA_SERVERS": "127.0.0.1:1"})
    assert said.startswith("crunch-reuse: can't reach Kafka at 127.0.0.1:1: ")
    assert said.endswith("Connection refused")


@pytest.mark.parametrize("command", LONG)
def test_credentials_that_are_refused(
    tmp_path: Path, command: str, settings: dict[str, str], guarded_kafka: str
) -> None:
    guarded = {"CRUNCH_REUSE_KAFKA_SERVERS": guarded_kafka, "CRUNCH_REUSE_KAFKA_OPTIONS": WRONG}
    said = said_at_the_end(tmp_path, command, settings | guarded)
    assert said.startswith(f"crunch-reuse: Kafka at {guarded_kafka} refuses these credentials")
    assert "not-hers" not in said


@pytest.mark.parametrize("command", LONG)
def test_a_broker_that_is_not_supported(
    tmp_path: Path, command: str, settings: dict[str, str], old_broker: LocalBroker
) -> None:
    said = said_at_the_end(tmp_path, command, settings | {"CRUNCH_REUSE_KAFKA_SERVERS": old_broker.servers})
    which = f"broker 1 of Kafka at {old_broker.servers} is 3.9-IV0"
    assert said == f"crunch-reuse: {which}, which is not supported: Kafka 4.0 or later is needed; upgrade it"
