"""`topics create` and `topics check`, and how the command line says what is wrong with a Kafka."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import orjson
import pytest

from gateway.cli import run
from gateway.problems import FAILED, REFUSED
from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.kafka_settings import NOTES, KafkaSettings
from tests.support.kafkas import Operator
from tests.support.procs import commands

pytestmark = pytest.mark.needs("kafka")

SIGNED_IN = "security.protocol=SASL_PLAINTEXT sasl.mechanism=PLAIN sasl.username=ann sasl.password=wrong"
SOON = 10.0  # seconds in which people hear what is wrong
_numbers = count(1)

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(kafka_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Of a log without topics, which the command line's environment names."""
    found = KafkaSettings(servers=kafka_broker.servers, prefix=f"cli{next(_numbers)}.")
    monkeypatch.setenv("CRUNCH_REUSE_KAFKA_SERVERS", found.servers)
    monkeypatch.setenv("CRUNCH_REUSE_KAFKA_PREFIX", found.prefix)
    return found


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command: its exit code, what it printed, and what it said on standard error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return command


def test_topics_are_made_once_and_checked(settings: KafkaSettings, cli: Cli) -> None:
    code, out, _ = cli("topics", "check", "--json")
    assert code == FAILED
    assert orjson.loads(out)["problems"] == [
        f"topic {settings.name(topic)} is missing: make it with `crunch-reuse topics create`"
        for topic in (*Topic, NOTES)
    ]
    code, out, _ = cli("topics", "create", "--partitions", "claims=3", "--partitions", "facts=2", "--replication", "1")
    assert code == 0
    assert "claims           3 partitions, 1 replicas" in out
    assert "all as they have to be" in out
    assert cli("topics", "create")[0] == 0
    code, out, _ = cli("topics", "check", "--json")
    assert code == 0
    assert orjson.loads(out)["topics"]["claims"] == {"partitions": 3, "replicas": 1}
    code, _, err = cli("topics", "create", "--partitions", "claims=4")
    assert (code, err) == (FAILED, "crunch-reuse: topic claims has 3 partitions, not 4: they never change\n")


def test_partitions_are_chosen_once_as_the_page_of_operations_says(settings: KafkaSettings, cli: Cli) -> None:
    for words in commands("Partitions", "docs/operations.md"):
        code, out, err = cli(*words, "--json")
        assert code == 0, err
    assert orjson.loads(out)["topics"]["claims"]["partitions"] == 24
    assert cli("topics", "create", "--partitions", "tasks=12")[0] == FAILED


def test_a_check_lists_all_that_is_wrong(settings: KafkaSettings, cli: Cli) -> None:
    assert cli("topics", "create")[0] == 0
    operator = Operator(settings)
    operator.configure(Topic.CLAIMS, "retention.ms", "1000000000")
    operator.configure(Topic.FACTS, "cleanup.policy", "compact")
    code, out, _ = cli("topics", "check", "--json")
    assert code == FAILED
    assert orjson.loads(out)["problems"] == [
        f"topic {settings.name(Topic.CLAIMS)} has retention.ms=1000000000: set it to -1",
        f"topic {settings.name(Topic.FACTS)} has cleanup.policy=compact: set it to delete",
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("claim=3", "'claim' is no topic: one of settings, tasks, claims, work, assignments, facts"),
        ("claims=none", "claims=none: write claims=N with N from 1 to 10000"),
        ("claims=0", "claims=0: write claims=N with N from 1 to 10000"),
        ("settings=2", "settings=2: settings has one partition, one order for all"),
    ],
)
def test_numbers_of_partitions_that_can_not_be_are_refused(cli: Cli, word: str, said: str) -> None:
    assert cli("topics", "create", "--kafka", "127.0.0.1:1", "--partitions", word) == (
        REFUSED,
        "",
        f"crunch-reuse: --partitions: {said}\n",
    )


def test_no_kafka_at_all_is_refused(cli: Cli) -> None:
    code, _, err = cli("topics", "check")
    assert (code, err.count("\n")) == (REFUSED, 1)
    assert "kafka.servers: name the brokers: --kafka HOST:PORT" in err


def test_who_can_not_be_reached_and_who_refuses_is_one_line_before_long(
    guarded_kafka: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()
    code, _, err = cli("topics", "check", "--kafka", "127.0.0.1:1")
    assert (code, err.count("\n")) == (FAILED, 1)
    assert "can't reach Kafka at 127.0.0.1:1: " in err
    assert "Connection refused" in err
    assert time.monotonic() - begin < SOON
    monkeypatch.setenv("CRUNCH_REUSE_KAFKA_OPTIONS", SIGNED_IN)
    code, _, err = cli("topics", "check", "--kafka", guarded_kafka)
    assert (code, err.count("\n")) == (FAILED, 1)
    assert "refuses these credentials" in err
    assert "wrong" not in err
    assert time.monotonic() - begin < 2 * SOON


def test_a_process_whose_topics_are_missing_says_how_to_make_them(
    settings: KafkaSettings, cli: Cli, tmp_path: Path
) -> None:
    begin = time.monotonic()
    code, _, err = cli("--data-dir", str(tmp_path), "coordinator")
    assert code == FAILED
    said = "crunch-reuse: the log has no topic tasks: crunch-reuse topics create makes it"
    assert err.splitlines()[-1] == said
    assert time.monotonic() - begin < SOON
