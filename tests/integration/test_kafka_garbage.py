"""What anybody with a Kafka client can put into the topics that machines read: answered with a refusal, and no more."""

import pytest

from gateway.machines import machines
from schemas.claims import Requested
from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.fields import Record
from schemas.partition import partition_of
from schemas.reasons import Outcome, Reason
from schemas.settings import UserSet
from schemas.tasks import JobCancelled
from schemas.topics import Topic, key_of
from schemas.work import Joined
from streams.checkpoints import MemoryCheckpoints
from streams.kafka import KafkaLog
from streams.log import Append, Place
from streams.loop import MachineStopped, Runner
from tests.support.examples import minimal
from tests.support.kafkas import SOON, NewLog, operator_of
from tests.support.log_world import finish

pytestmark = pytest.mark.needs("kafka")

COUNTS = dict.fromkeys(Topic, 1) | {Topic.TASKS: 2, Topic.CLAIMS: 2}
GOOD = {Topic.SETTINGS: UserSet, Topic.TASKS: JobCancelled, Topic.CLAIMS: Requested, Topic.WORK: Joined}
NEWER = b'{"v":99,"body":{"type":"of_tomorrow"}}'


def good(topic: Topic) -> tuple[Place, Record, bytes]:
    """Where a record of the topic belongs, the record, its key."""
    body = minimal(GOOD[topic])
    key = key_of(topic, body)
    return Place(topic, partition_of(key, COUNTS[topic])), body, key.encode()


def runner(log: KafkaLog, place: Place) -> Runner:
    [machine] = [machine for machine in machines(log) if machine.topic is place.topic]
    return Runner(log, machine, place.partition, MemoryCheckpoints())


def answers(log: KafkaLog, place: Place) -> dict[int, tuple[Outcome, Reason]]:
    """By offset, how each record of a partition was answered; none was twice."""
    log_id = log.genesis(place).log_id
    envelopes = [decode(Topic.FACTS, record.value) for record in log.read(Place(Topic.FACTS, 0), 1, 1_000)]
    said = [
        (envelope.cause.offset, (envelope.body.outcome, envelope.body.reason))
        for envelope in envelopes
        if isinstance(envelope.body, Answered) and envelope.cause.log_id == log_id
    ]
    assert len(dict(said)) == len(said)
    return dict(said)


@pytest.mark.parametrize("topic", GOOD)
def test_garbage_is_refused_and_what_comes_after_it_is_decided(new_log: NewLog, topic: Topic) -> None:
    log = new_log(counts=COUNTS)
    place, body, key = good(topic)
    value = encode(body)
    operator = operator_of(log)
    for bytes_ in (b"\xff\xfe\0 no JSON", value[:-10], b'{"v":1,"body":{"type":"nonsense"}}', None, b""):
        operator.produce(place, bytes_, key=key)
    operator.produce(place, b"5" * 5_000_000, key=key)
    operator.produce(place, b"no key", key=None)
    operator.produce(place, b"a key of no text", key=b"\xff\xfe")
    operator.produce_in_transaction(place, b"in a transaction", commit=True)
    operator.produce_in_transaction(place, b"in an aborted one", commit=False)
    assert log.wait({place: 12}, SOON)
    operator.produce(place, value, key=key, headers=[("not", b"read")])
    finish(runner(log, place))
    said = answers(log, place)
    refused = dict.fromkeys(range(1, 13), (Outcome.REFUSED, Reason.UNDECODABLE)) | {
        6: (Outcome.REFUSED, Reason.TOO_LARGE)
    }
    assert {offset: answer for offset, answer in said.items() if offset < 13} == refused
    assert (13 in said) is (topic is not Topic.WORK)  # work's records are answered by nobody
    assert log.floor(f"{topic}-machine", place).offset == 14  # type: ignore[union-attr]


@pytest.mark.parametrize("topic", [Topic.TASKS, Topic.CLAIMS])
def test_a_record_where_it_does_not_belong_is_refused(new_log: NewLog, topic: Topic) -> None:
    log = new_log(counts=COUNTS)
    place, body, key = good(topic)
    elsewhere = Place(topic, 1 - place.partition)
    operator = operator_of(log)
    operator.produce(elsewhere, encode(body), key=key)
    operator.produce(elsewhere, encode(body), key=b"another")
    operator.produce(elsewhere, encode(body), key=None)
    finish(runner(log, elsewhere))
    reasons = [reason for _, reason in answers(log, elsewhere).values()]
    assert reasons == [Reason.WRONG_PARTITION, Reason.WRONG_KEY, Reason.WRONG_KEY]


@pytest.mark.parametrize("topic", GOOD)
def test_a_record_of_newer_code_stops_the_machine_which_says_to_upgrade(new_log: NewLog, topic: Topic) -> None:
    log = new_log(counts=COUNTS)
    place, body, key = good(topic)
    log.append([Append(place, key.decode(), encode(body)), Append(place, key.decode(), NEWER)])
    with pytest.raises(MachineStopped, match=rf"{place} stopped at offset 2: .*upgrade"):
        finish(runner(log, place))
