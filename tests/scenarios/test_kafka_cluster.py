"""What a cluster says of its topics while a broker starts: nothing that may be believed."""

from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from gateway.config import Kafka
from gateway.problems import Refused
from streams.kafka_cluster import Cluster
from streams.kafka_settings import FIXED, KafkaSettings, parse_options, translated
from streams.log import LogUnreachable

PLACE = TopicPartition("claims", 0)


class Answer(NamedTuple):
    offset: int


class Starting(Cluster):
    """A cluster whose broker answers with these offsets, one question after the other."""

    def __init__(self, *offsets: int, patience: float) -> None:
        super().__init__(KafkaSettings(servers="nowhere:1", patience=patience))
        self._offsets = list(offsets)
        self.answered = True

    def _ask(self, question: Any) -> Any:
        future: Future[Answer] = Future()
        future.set_result(Answer(self._offsets.pop(0)))
        return {PLACE: future}


def test_how_far_a_partition_goes_is_asked_again_until_it_is_known() -> None:
    assert Starting(-1001, -1001, 0, -1001, 3, 17, patience=60).bounds([PLACE]) == {PLACE: (3, 17)}


def test_a_broker_that_never_knows_is_not_reached() -> None:
    with pytest.raises(LogUnreachable, match="can't say yet how far claims goes"):
        Starting(-1001, -1001, patience=0).bounds([PLACE])


@pytest.mark.parametrize("code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH])
def test_an_epoch_that_one_side_has_not_heard_of_yet_passes(code: int) -> None:
    assert isinstance(translated(KafkaException(KafkaError(code)), "nowhere:1"), LogUnreachable)


def test_options_by_which_records_could_be_lost_are_refused_in_one_line() -> None:
    for name in FIXED:
        with pytest.raises(Refused, match=rf"^kafka\.options: {name} is .*: leave it out$"):
            Kafka(options=f"client.id=us {name}=1").settings(1.0)


def test_what_holds_anyway_may_be_said_and_changes_nothing() -> None:
    said = " ".join(f"{name}={value}" for name, value in FIXED.items())
    assert parse_options(f"{said} linger.ms=5") == {"linger.ms": "5"}
