"""Records that can't be had are never made up, and what was not written is not taken for written."""

from pathlib import Path

import pytest

from schemas.topics import Topic
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_reader import AHEAD
from streams.kafka_settings import NOTES
from streams.log import Floor, LogError, Place
from tests.support.kafkas import SOON, NewLog, operator_of
from tests.support.logs import records, values

pytestmark = pytest.mark.needs("kafka")

BROKEN, WHOLE = Place(Topic.CLAIMS, 0), Place(Topic.CLAIMS, 1)
COUNTS = dict.fromkeys(Topic, 1) | {Topic.CLAIMS: 2}
WRONG = b"to be broken"


def damage(broker: LocalBroker, log: KafkaLog, name: Topic | str, wrong: bytes) -> None:
    """One value in partition 0 is not any more what was written: its checksum says so to who reads it."""
    path: Path = broker.log_file.parent / "log" / f"{log.settings.name(name)}-0" / f"{0:020}.log"
    content = path.read_bytes()
    assert content.count(wrong) == 1
    with path.open("r+b") as file:
        file.seek(content.index(wrong))
        file.write(wrong.swapcase())


def read_on(log: KafkaLog, place: Place, count: int) -> tuple[list[bytes], int]:
    """What a partition holds from offset 1 on, however often that fails; how often it did."""
    found: list[bytes] = []
    failures = 0
    while len(found) < count:
        try:
            found += [record.value for record in log.read(place, 1 + len(found), 1_000)]
        except LogError:
            failures += 1
    return found, failures


def test_a_record_that_is_broken_is_an_error_every_time_and_costs_other_partitions_nothing(
    new_log: NewLog, kafka_broker: LocalBroker
) -> None:
    log = new_log(counts=COUNTS)
    wanted = [b"%d" % number for number in range(200)]
    for value in (b"a", WRONG, b"b"):
        log.append(records(BROKEN, value))
    damage(kafka_broker, log, Topic.CLAIMS, WRONG)
    assert log.read(WHOLE, 0, 2)
    for _ in range(2):
        with pytest.raises(LogError, match="CRC"):
            log.read(BROKEN, 1, 1_000)
    for value in wanted:  # one by one, and what is said of the other partition comes in between
        log.append(records(WHOLE, value))
    found, failures = read_on(log, WHOLE, len(wanted))
    assert found == wanted
    assert failures <= 1
    with pytest.raises(LogError, match="CRC"):
        log.read(BROKEN, 1, 1_000)


def test_garbage_among_the_notes_costs_none_of_them(new_log: NewLog) -> None:
    log = new_log(counts=COUNTS)
    producer = operator_of(log).producer()
    for key in (b"no JSON", b"{}"):
        producer.produce(log.settings.name(NOTES), b"", key, 0)
    assert producer.flush(SOON) == 0
    log.move_floor("reader", WHOLE, Floor(1, "x", "log"))
    assert log.floor("reader", WHOLE) == Floor(1, "x", "log")


def test_a_note_that_is_broken_is_an_error_every_time(new_log: NewLog, kafka_broker: LocalBroker) -> None:
    log = new_log(counts=COUNTS)
    for offset in (1, 2):
        log.move_floor("reader", WHOLE, Floor(offset, WRONG.decode() if offset == 1 else "good", "log"))
        log.floor("reader", WHOLE)
    damage(kafka_broker, log, NOTES, WRONG)
    other = KafkaLog(log.settings)
    for _ in range(2):
        with pytest.raises(LogError, match="CRC"):
            other.floor("reader", WHOLE)
    other.close()


def test_end_marks_of_transactions_are_no_holes(new_log: NewLog) -> None:
    log = new_log(counts=COUNTS)
    operator = operator_of(log)
    log.append(records(WHOLE, b"a"))
    operator.produce_in_transaction(WHOLE, b"b", commit=True)
    assert log.wait({WHOLE: 3}, SOON)
    log.append(records(WHOLE, b"c"))
    operator.produce_in_transaction(WHOLE, b"d", commit=False)
    assert log.wait({WHOLE: 6}, SOON)
    assert values(log, WHOLE) == [b"a", b"b", b"", b"c", b"d", b""]


def test_a_partition_that_was_fetched_far_ahead_can_be_read_from_its_beginning(new_log: NewLog) -> None:
    log = new_log(counts=COUNTS, patience=5.0)
    wanted = [b"%d" % number for number in range(AHEAD + 5_000)]
    log.append(records(WHOLE, *wanted))
    assert len(log.read(WHOLE, 0, AHEAD + 1)) == AHEAD + 1
    assert values(log, WHOLE) == wanted
