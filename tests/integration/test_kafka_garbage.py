"""What anybody with a Kafka client can put into the topics that machines read: answered with a refusal, and no more."""

from contextlib import closing
from queue import SimpleQueue

import pytest

from consumers.executor.feeds import Reader
from consumers.projector import Projector
from gateway.machines import machines
from readmodel import queries
from readmodel.connection import connect
from schemas.assignments import Assigned
from schemas.claims import Requested
from schemas.codec import NewerSchema, decode, encode
from schemas.facts import Answered
from schemas.fields import Record
from schemas.log import Cause
from schemas.partition import partition_of
from schemas.reasons import Outcome, Reason
from schemas.settings import UserSet
from schemas.tasks import JobCancelled
from schemas.topics import Topic, key_of
from schemas.work import Joined
from streams.audit import verify
from streams.checkpoints import MemoryCheckpoints
from streams.kafka import KafkaLog
from streams.log import Append, Place
from streams.loop import MachineStopped, Runner
from streams.routes import Routes
from tests.support.examples import minimal
from tests.support.kafkas import SOON, NewLog, operator_of
from tests.support.log_world import finish
from tests.support.office import machine_types
from tests.support.postgres import dsn, postgres_server

__all__ = ["dsn", "postgres_server"]

pytestmark = pytest.mark.needs("kafka")

COUNTS = dict.fromkeys(Topic, 1) | {Topic.TASKS: 2, Topic.CLAIMS: 2}
GOOD = {Topic.SETTINGS: UserSet, Topic.TASKS: JobCancelled, Topic.CLAIMS: Requested, Topic.WORK: Joined}
NEWER = b'{"v":99,"body":{"type":"of_tomorrow"}}'


GARBAGE = (
    *(b"\xff\xfe\0 no JSON", b'{"v":1,"body":{"type":"answ', b'{"v":1,"body":{"type":"nonsense"}}', None, b""),
    *(b"5" * 5_000_000, b'{"v":1,"cause":' + b"[" * 100_000),
)


def litter(log: KafkaLog, place: Place, key: bytes) -> int:
    """Put everything into a partition that a foreign producer may; how many offsets it takes."""
    operator = operator_of(log)
    operator.produce(place, *GARBAGE, key=key)
    operator.produce(place, b"no key", key=None)
    operator.produce(place, b"a key of no text", key=b"\xff\xfe")
    operator.produce_in_transaction(place, b"in a transaction", commit=True)
    operator.produce_in_transaction(place, b"in an aborted one", commit=False)
    last = len(GARBAGE) + 6
    assert log.wait({place: last}, SOON), "a transaction's end is written after its producer was answered"
    return last


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
    last = litter(log, place, key)
    operator_of(log).produce(place, value, key=key, headers=[("not", b"read")])
    finish(runner(log, place))
    said = answers(log, place)
    refused = dict.fromkeys(range(1, last + 1), (Outcome.REFUSED, Reason.UNDECODABLE)) | {
        6: (Outcome.REFUSED, Reason.TOO_LARGE)
    }
    assert {offset: answer for offset, answer in said.items() if offset <= last} == refused
    assert (last + 1 in said) is (topic is not Topic.WORK)  # work's records are answered by nobody
    assert log.floor(f"{topic}-machine", place).offset == last + 2  # type: ignore[union-attr]
    found = [one.offset for one in verify(log, machine_types(COUNTS)).differences if one.place == str(place)]
    assert [offset for offset in found if offset <= last] == [7], "only what says that a machine wrote it is wrong"


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


def test_a_record_under_another_key_is_refused_in_work_too(new_log: NewLog) -> None:
    log = new_log(counts=COUNTS)
    place, body, key = good(Topic.WORK)
    operator = operator_of(log)
    for wrong in (b"another", key + b" ", b"", None):
        operator.produce(place, encode(body), key=wrong)
    operator.produce(place, encode(body), key=key)
    finish(runner(log, place))
    assert answers(log, place) == dict.fromkeys(range(1, 5), (Outcome.REFUSED, Reason.WRONG_KEY))
    assert log.floor("work-machine", place).offset == 6  # type: ignore[union-attr]


@pytest.mark.parametrize("topic", GOOD)
def test_a_record_of_newer_code_stops_the_machine_which_says_to_upgrade(new_log: NewLog, topic: Topic) -> None:
    log = new_log(counts=COUNTS)
    place, body, key = good(topic)
    log.append([Append(place, key.decode(), encode(body)), Append(place, key.decode(), NEWER)])
    with pytest.raises(MachineStopped, match=rf"{place} stopped at offset 2: .*upgrade"):
        finish(runner(log, place))


# --- The topics that no machine reads ---------------------------------------------------------------------------------


def test_garbage_among_the_facts_counts_for_nothing(
    new_log: NewLog, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = new_log(counts=COUNTS)
    facts = Place(Topic.FACTS, 0)
    last = litter(log, facts, b"k")
    ours = log.genesis(Place(Topic.CLAIMS, 0)).log_id
    log.append([Append(facts, "f", encode(Answered(about="f"), Cause(ours, 1, 0)))])
    with closing(Projector(log.clone(), dsn)) as projector:
        projector.catch_up()
        assert (projector.positions[0], projector.left_out) == (last + 2, last)
    with closing(connect(dsn)) as connection:
        assert queries.answer(connection, ours, 1)
    assert caplog.text.count("is no fact of this log and counts for nothing") == last
    log.append([Append(facts, "f", NEWER)])
    with closing(Projector(log.clone(), dsn)) as projector, pytest.raises(NewerSchema, match=r"topic facts .*upgrade"):
        projector.catch_up()


def test_garbage_among_the_assignments_keeps_no_node_from_its_work(
    new_log: NewLog, caplog: pytest.LogCaptureFixture
) -> None:
    log = new_log(counts=COUNTS)
    heard: SimpleQueue[object] = SimpleQueue()
    reader = Reader(log, Routes(log), "n1", lambda body, _: heard.put(body), heard.put)
    reader.start()
    assignments = Place(Topic.ASSIGNMENTS, 0)
    last = litter(log, assignments, b"n1")
    wanted = minimal(Assigned)
    log.append([Append(assignments, "n1", encode(wanted, Cause("elsewhere", 1, 0)))])
    assert heard.get(timeout=SOON) == wanted
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == last
    log.append([Append(assignments, "n1", NEWER)])
    assert "topic assignments has schema version 99, this code knows 1: upgrade it" in str(heard.get(timeout=SOON))
    reader.close()
