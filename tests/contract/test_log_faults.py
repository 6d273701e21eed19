"""The faults that contract tests on all adapters leave out: batches in flight, repeats, disasters of the whole log."""

import pytest

from streams.faults import Delayed, Duplicated, FaultyLog, recreate, truncate
from streams.log import Floor, LogMismatch, LogUnreachable
from streams.memory import MemoryLog
from tests.support.log_world import COUNTS
from tests.support.logs import CLAIMS, WORK, records, values


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create(COUNTS)
    return made


def test_a_delayed_batch_lands_when_it_is_let(log: MemoryLog) -> None:
    zombie = FaultyLog(log, lambda _: Delayed())
    for value in (b"late 1", b"late 2"):
        with pytest.raises(LogUnreachable):
            zombie.append(records(WORK, value))
    log.append(records(WORK, b"between"))
    assert values(log, WORK) == [b"between"]
    assert zombie.land(1) == [2]
    assert zombie.land() == [3]
    assert values(log, WORK) == [b"between", b"late 2", b"late 1"]
    assert zombie.in_flight == []


def test_a_delayed_batch_is_what_it_was_when_it_was_sent(log: MemoryLog) -> None:
    zombie = FaultyLog(log, lambda _: Delayed())
    batch = records(WORK, b"sent")
    with pytest.raises(LogUnreachable):
        zombie.append(batch)
    batch.clear()
    zombie.land()
    assert values(log, WORK) == [b"sent"]


def test_a_duplicated_append_is_acknowledged_once_and_there_twice(log: MemoryLog) -> None:
    assert FaultyLog(log, lambda _: Duplicated()).append(records(WORK, b"a", b"b")) == [1, 2]
    assert values(log, WORK) == [b"a", b"b", b"a", b"b"]


def test_the_plan_is_asked_each_time_and_told_what_is_appended(log: MemoryLog) -> None:
    asked = []
    faulty = FaultyLog(log, lambda batch: asked.append([record.value for record in batch]))
    faulty.append(records(WORK, b"a"))
    faulty.append(records(WORK, b"b", b"c"))
    assert asked == [[b"a"], [b"b", b"c"]]


def test_a_truncated_log_hands_out_offsets_again(log: MemoryLog) -> None:
    log.append(records(WORK, b"1", b"2", b"3"))
    truncate(log, WORK, 2)
    assert log.end(WORK) == 2
    with pytest.raises(LogMismatch):
        log.read(WORK, 4, 1)
    assert log.append(records(WORK, b"other")) == [2]
    assert values(log, WORK) == [b"1", b"other"]


def test_a_recreated_topic_is_empty_has_new_ids_and_keeps_its_floors(log: MemoryLog) -> None:
    log.append(records(CLAIMS[0], b"1"))
    floor = Floor(2, "d", log.genesis(CLAIMS[0]).log_id)
    log.move_floor("reader", CLAIMS[0], floor)
    recreate(log, CLAIMS[0].topic)
    assert values(log, CLAIMS[0]) == []
    assert log.genesis(CLAIMS[0]).log_id != floor.log_id
    assert log.floor("reader", CLAIMS[0]) == floor


def test_append_times_are_the_clocks_even_when_it_jumps() -> None:
    times = iter([5, 1_000, 10, 20])
    log = MemoryLog(now=lambda: next(times))
    log.create({WORK.topic: 1})
    for value in (b"a", b"b", b"c"):
        log.append(records(WORK, value))
    assert [record.time for record in log.read(WORK, 0, 10)] == [5, 1_000, 10, 20]
