"""The log in Kafka where only Kafka can be tried: topics that are not what they were, and foreign producers."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import structs

from schemas.fields import MAX_RECORD_BYTES
from schemas.topics import Topic
from streams.kafka import KafkaLog
from streams.kafka_cluster import Cluster
from streams.kafka_settings import NOTES, KafkaSettings, parse_options
from streams.kafka_watch import Watch
from streams.log import Log, LogError, LogMismatch, LogUnreachable, Place
from tests.support.certificates import Authority
from tests.support.kafkas import SOON, NewLog, operator_of
from tests.support.logs import CLAIMS, WORK, kafka_settings, records, values

pytestmark = pytest.mark.needs("kafka")

KEPT = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "8388608"}
FEW = dict.fromkeys(Topic, 1)


def stopped(log: Log, happens: Callable[[], object], place: Place = WORK) -> str:
    """What the log says when it is used while something happens to it that stops it."""
    end = log.end(place)
    assert log.read(place, end, 10) == []
    happens()
    with pytest.raises(LogMismatch) as caught:
        assert not log.wait({place: end}, SOON)
    return str(caught.value)


# --- Topics that are not what they were ------------------------------------------------------------------------------


def test_a_topic_made_anew_under_a_process_stops_it(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    log.append(records(WORK, b"a"))
    operator = operator_of(log)

    def make_anew() -> None:
        operator.delete(Topic.WORK)
        operator.make(Topic.WORK, 1, KEPT)

    assert "topic work was made anew" in stopped(log, make_anew)
    with pytest.raises(LogMismatch, match="made anew"):
        log.append(records(WORK, b"b"))


def test_who_looks_after_topics_leaves_no_question_open(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    cluster, name = Cluster(log.settings), log.settings.name(Topic.WORK)
    watch = Watch(cluster, {Topic.WORK: cluster.describe([name])[name]})
    watch.look()
    deadline = time.monotonic() + SOON
    watch.close()
    while watch.is_asking and time.monotonic() < deadline:
        watch.close()  # each time for as long as who hangs up waits for it
    assert not watch.is_asking
    watch.look()
    assert not watch.is_asking


def test_a_topic_deleted_under_a_process_stops_it(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    assert "topic facts was deleted" in stopped(log, lambda: operator_of(log).delete(Topic.FACTS))


def test_the_topic_of_notes_is_looked_after_like_those_of_the_log(new_log: NewLog) -> None:
    """All floors stand in it: without them everything would be written again, and nothing after a trim."""
    log = new_log(counts=FEW)
    operator = operator_of(log)
    operator.configure(NOTES, "cleanup.policy", "delete")
    name = log.settings.name(NOTES)
    with pytest.raises(LogMismatch, match=f"topic {name} has cleanup.policy=delete: set it to compact"):
        KafkaLog(log.settings).partitions(Topic.WORK)
    assert [topic for topic, found in log.survey().items() if found.problems] == [NOTES]
    operator.configure(NOTES, "cleanup.policy", "compact")
    assert KafkaLog(log.settings).partitions(Topic.WORK) == 1
    assert "topic notes was deleted" in stopped(log, lambda: operator.delete(NOTES))
    with pytest.raises(LogMismatch, match="the log has no topic notes"):
        KafkaLog(log.settings).partitions(Topic.WORK)
    assert new_log(log.settings, FEW).floor("r", WORK) is None


def test_a_partition_added_under_a_process_stops_it(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    said = stopped(log, lambda: operator_of(log).add_partitions(Topic.CLAIMS, 2))
    assert "topic claims has 2 partitions now and had 1" in said


def test_a_partition_added_before_the_start_is_refused(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    operator_of(log).add_partitions(Topic.CLAIMS, 2)
    with pytest.raises(LogMismatch, match="claims has 2 partitions, not 1"):
        new_log(log.settings, FEW)


def test_a_partition_that_was_trimmed_by_others_is_refused(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    log.append(records(WORK, b"a"))
    operator_of(log).delete_records(WORK, 1)
    with pytest.raises(LogMismatch, match="work/0 was trimmed, and its Genesis was not kept"):
        KafkaLog(log.settings).genesis(WORK)


def test_a_trim_under_a_reader_is_said(new_log: NewLog) -> None:
    log, other = new_log(counts=FEW), new_log
    log.append(records(WORK, b"a", b"b", b"c"))
    assert log.read(WORK, 1, 10)[0].value == b"a"
    other(log.settings, FEW).trim(WORK, 4)
    with pytest.raises(LogMismatch, match="work/0 holds offsets 4 to 4, not 2"):
        log.read(WORK, 2, 10)


def test_who_makes_topics_and_dies_before_their_genesis_is_helped_out(new_log: NewLog) -> None:
    log = new_log(counts={topic: 1 for topic in Topic if topic is not Topic.WORK})
    operator_of(log).make(Topic.WORK, 1, KEPT)
    again = new_log(structs.replace(log.settings, patience=1.0), FEW)
    assert again.genesis(WORK).partitions == 1
    assert again.end(WORK) == 1


def test_a_genesis_that_is_not_read_in_time_is_not_written_again(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log(counts=FEW)
    genesis = log.genesis(WORK)
    monkeypatch.setattr("streams.kafka.GENESIS_SECONDS", 0.0)
    again = new_log(log.settings, FEW)
    assert again.genesis(WORK) == genesis
    assert again.end(WORK) == 1


def test_a_topic_that_begins_with_something_else_is_refused(new_log: NewLog) -> None:
    log = new_log(counts={topic: 1 for topic in Topic if topic is not Topic.WORK})
    operator = operator_of(log)
    operator.make(Topic.WORK, 1, KEPT)
    operator.produce(WORK, b"first")
    with pytest.raises(LogMismatch, match="work/0 does not begin with a Genesis record"):
        new_log(log.settings, FEW)


BAD_SETTINGS = [
    ("cleanup.policy", "compact"),
    ("retention.ms", "604800000"),
    ("retention.bytes", "1000000000"),
    ("message.timestamp.type", "CreateTime"),
    ("unclean.leader.election.enable", "true"),
    ("max.message.bytes", str(MAX_RECORD_BYTES)),
    ("min.insync.replicas", "2"),
]


def test_a_topic_that_could_lose_or_refuse_records_is_refused(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    operator = operator_of(log)
    for topic, (option, value) in zip(list(Topic) * 2, BAD_SETTINGS, strict=False):
        good = KEPT | {"cleanup.policy": "delete", "retention.bytes": "-1", "min.insync.replicas": "1"}
        operator.configure(topic, option, value)
        with pytest.raises(LogMismatch, match=re.escape(f"topic {log.settings.name(topic)} has {option}={value}")):
            KafkaLog(log.settings).partitions(topic)
        operator.configure(topic, option, good.get(option, "false"))
    assert KafkaLog(log.settings).partitions(Topic.WORK) == 1


def test_a_writer_whose_clock_is_hours_ahead_of_the_brokers_is_heard(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    ahead = (time.time_ns() // 10**6) + 3 * 3_600_000
    for topic in (*Topic, NOTES):
        operator_of(log).produce(Place(topic, 0), b"{}", key=b"[]", timestamp=ahead)


# --- Foreign producers -----------------------------------------------------------------------------------------------


def test_what_foreign_producers_leave_is_read_as_it_is(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    operator = operator_of(log)
    operator.produce(WORK, None)
    operator.produce(WORK, b"x", key=None)
    operator.produce(WORK, b"y", key=b"\xff\xfe")
    operator.produce(WORK, b"z", headers=[("h", b"1"), ("h", None)])
    operator.produce(WORK, b"late", timestamp=1)
    operator.produce(WORK, b"5" * 5_000_000)
    log.append(records(WORK, b"ours"))
    found = log.read(WORK, 1, 100)
    assert [(record.offset, record.key, record.value[:5]) for record in found] == [
        (1, "k", b""),
        (2, "", b"x"),
        (3, "\ufffd\ufffd", b"y"),
        (4, "k", b"z"),
        (5, "k", b"late"),
        (6, "k", b"55555"),
        (7, "k", b"ours"),
    ]
    assert len(found[5].value) == 5_000_000
    times = [record.time for record in found]
    assert times == sorted(times)


def test_the_end_of_somebodys_transaction_is_an_empty_record(new_log: NewLog) -> None:
    """It has an offset and is never handed out; and what was aborted stands in the log all the same."""
    log = new_log(counts=FEW)
    operator = operator_of(log)
    operator.produce_in_transaction(WORK, b"a", b"b", commit=True)
    assert log.wait({WORK: 3}, SOON)
    assert [record.value for record in log.read(WORK, 1, 100)] == [b"a", b"b", b""]
    operator.produce_in_transaction(WORK, b"c", commit=False)
    assert log.wait({WORK: 5}, SOON)
    log.append(records(WORK, b"d"))
    expected = [b"a", b"b", b"", b"c", b"", b"d"]
    again = KafkaLog(log.settings)
    for reader in (log, again):
        assert values(reader, WORK) == expected
        assert [record.offset for record in reader.read(WORK, 0, 100)] == list(range(7))
    again.close()


def test_a_wait_ends_with_the_end_of_a_transaction_and_what_it_waited_for_can_be_read(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    operator_of(log).produce_in_transaction(WORK, b"a", commit=True)
    assert log.wait({WORK: 2}, SOON)
    assert [record.value for record in log.read(WORK, 2, 10)] == [b""]
    assert log.read(WORK, 3, 10) == []


# --- Who can't be reached --------------------------------------------------------------------------------------------


def nobody(settings: KafkaSettings) -> KafkaSettings:
    return structs.replace(settings, servers="127.0.0.1:1", patience=1.0)


def no_such_host(settings: KafkaSettings) -> KafkaSettings:
    return structs.replace(settings, servers="nobody.invalid:9092", patience=1.0)


def no_such_option(settings: KafkaSettings) -> KafkaSettings:
    return structs.replace(settings, options={"security.protocoll": "SSL"})


def other_language(settings: KafkaSettings) -> KafkaSettings:
    return structs.replace(settings, options={"security.protocol": "SSL"}, patience=1.0)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        (nobody, LogUnreachable, r"can't reach Kafka at 127\.0\.0\.1:1: .*Connection refused"),
        (no_such_host, LogUnreachable, r"can't reach Kafka at nobody\.invalid:9092: .*(resolve|not known)"),
        (no_such_option, LogError, r"Kafka's client refuses these options: .*security\.protocoll"),
        (other_language, LogError, r"Kafka at [0-9.:]+ .*SSL"),
    ],
)
def test_who_can_not_be_reached_is_said_in_one_line_before_long(
    new_log: NewLog, changed: Callable[[KafkaSettings], KafkaSettings], error: type[LogError], said: str
) -> None:
    log = KafkaLog(changed(new_log(counts=FEW).settings))
    with ThreadPoolExecutor(1) as pool, pytest.raises(error, match=said) as caught:
        pool.submit(log.partitions, Topic.WORK).result(10)
    assert "\n" not in str(caught.value)
    log.close()


def signed_in(address: str, password: str) -> KafkaSettings:
    options = f"security.protocol=SASL_PLAINTEXT sasl.mechanism=PLAIN sasl.username=ann sasl.password='{password}'"
    return KafkaSettings(servers=address, prefix="guarded.", options=parse_options(options))


def test_credentials_come_by_options_and_wrong_ones_are_refused_before_long(guarded_kafka: str) -> None:
    log = KafkaLog(signed_in(guarded_kafka, "right"))
    log.create(FEW)
    assert log.append(records(WORK, b"a")) == [1]
    log.close()
    other = KafkaLog(signed_in(guarded_kafka, "wrong"))
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(LogError, match=r"refuses these credentials.*Authentication failed"),
    ):
        pool.submit(other.partitions, Topic.WORK).result(10)
    other.close()


def sealed(address: str, trusted: Path, own: Path | None) -> KafkaSettings:
    options = f"security.protocol=SSL ssl.ca.location={trusted}"
    if own:
        options += f" ssl.certificate.location={own} ssl.key.location={own}"
    return KafkaSettings(servers=address, prefix="sealed.", options=parse_options(options))


def test_a_log_over_tls_shows_certificates_and_looks_at_them(sealed_kafka: str, authority: Authority) -> None:
    log = KafkaLog(sealed(sealed_kafka, authority.certificate, authority.give("ann")))
    log.create(FEW)
    assert log.append(records(WORK, b"a")) == [1]
    assert values(log, WORK) == [b"a"]
    log.close()


def test_a_broker_or_a_client_with_a_wrong_certificate_is_refused_before_long(
    sealed_kafka: str, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "somebody-else")
    for settings, said in (
        (sealed(sealed_kafka, other.certificate, authority.give("ann")), "certificate"),
        (sealed(sealed_kafka, authority.certificate, other.give("eve")), ""),
        (sealed(sealed_kafka, authority.certificate, None), ""),
    ):
        log = KafkaLog(settings)
        with ThreadPoolExecutor(1) as pool, pytest.raises(LogError, match=rf"Kafka at [0-9.:]+.*{said}") as caught:
            pool.submit(log.partitions, Topic.WORK).result(10)
        assert "\n" not in str(caught.value)
        log.close()


def test_a_log_whose_topics_are_missing_says_so(kafka_broker: object) -> None:
    log = KafkaLog(kafka_settings(kafka_broker))  # type: ignore[arg-type]
    with pytest.raises(LogMismatch, match="no topic work: crunch-reuse topics create makes it"):
        log.partitions(Topic.WORK)
    log.close()


# --- Threads ---------------------------------------------------------------------------------------------------------


def test_clones_append_side_by_side(new_log: NewLog) -> None:
    log = new_log(counts=FEW | {Topic.CLAIMS: 4})
    clones = [log.clone() for _ in range(4)]
    together = threading.Barrier(4)

    def write(number: int) -> None:
        together.wait(SOON)
        for round_ in range(25):
            clones[number].append(records(CLAIMS[round_ % 4], b"%d %d" % (number, round_)))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, number) for number in range(4)]:
            done.result(SOON)
    found = [value for place in CLAIMS for value in values(log, place)]
    assert sorted(found) == sorted(b"%d %d" % (number, round_) for number in range(4) for round_ in range(25))
    for clone in clones:
        clone.close()
