"""What every adapter of the log promises (streams/log.py), tried on all of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.codec import decode
from schemas.fields import MAX_RECORD_BYTES
from schemas.log import Genesis
from schemas.topics import Topic
from streams.admin import EMBEDDED
from streams.faults import FaultyLog, Gap, LostAck, Partial, Refused
from streams.log import Append, Floor, Log, LogError, LogMismatch, LogUnreachable, Place
from tests.support.logs import CLAIMS, WORK, Logs, records, values

SOON = 20.0  # seconds in which what is due must have come; nothing waits that long unless it is broken


# --- Topics ----------------------------------------------------------------------------------------------------------


def test_a_new_partition_holds_its_genesis_and_nothing_else(logs: Logs) -> None:
    log = logs.new()
    for topic, partitions in EMBEDDED.items():
        assert log.partitions(topic) == partitions
        for partition in range(partitions):
            place = Place(topic, partition)
            [first] = log.read(place, 0, 10)
            genesis = log.genesis(place)
            assert (first.offset, first.key, decode(topic, first.value).body) == (0, "", genesis)
            assert genesis == Genesis(log_id=genesis.log_id, topic=topic, partition=partition, partitions=partitions)
            assert (log.start(place), log.end(place)) == (0, 1)


def test_no_two_partitions_have_the_same_log_id(logs: Logs) -> None:
    log = logs.new()
    places = [Place(topic, partition) for topic, count in EMBEDDED.items() for partition in range(count)]
    assert len({log.genesis(place).log_id for place in places}) == len(places)


def test_topics_are_made_once(logs: Logs) -> None:
    log = logs.new()
    before = [log.genesis(place).log_id for place in CLAIMS]
    logs.new()
    assert [log.genesis(place).log_id for place in CLAIMS] == before
    assert log.end(CLAIMS[0]) == 1


def test_a_topic_may_come_later(logs: Logs) -> None:
    log = logs.again()
    log.create({Topic.WORK: 1})
    with pytest.raises(LogMismatch, match="facts"):
        log.partitions(Topic.FACTS)
    logs.again().create({Topic.WORK: 1, Topic.FACTS: 2})
    assert log.partitions(Topic.FACTS) == 2


def test_another_partition_count_is_refused_and_changes_nothing(logs: Logs) -> None:
    log = logs.again()
    log.create({Topic.CLAIMS: 4})
    with pytest.raises(LogMismatch, match="claims has 4 partitions, not 5"):
        log.create({Topic.FACTS: 3, Topic.CLAIMS: 5})
    assert log.partitions(Topic.CLAIMS) == 4
    with pytest.raises(LogMismatch, match="facts"):
        log.partitions(Topic.FACTS)


# --- Append and read -------------------------------------------------------------------------------------------------


def test_offsets_are_gapless_in_each_partition(logs: Logs) -> None:
    log = logs.new()
    mixed = [Append(CLAIMS[number % 3], f"k{number}", b"v%d" % number) for number in range(12)]
    assert log.append(mixed) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert log.append(mixed[:2]) == [5, 5]
    for number in range(3):
        stored = log.read(CLAIMS[number], 0, 100)
        assert [record.offset for record in stored] == list(range(len(stored)))
        assert [record.value for record in stored[1:5]] == [b"v%d" % n for n in range(number, 12, 3)]


@pytest.mark.parametrize("key", ["", "k", "käse", "\N{OGHAM LETTER BEITH}" * 99, "nul\0nul", "'; drop table x; --"])
@pytest.mark.parametrize("value", [b"", b"{}", bytes(range(256)), b"\0", b"\xff\xfe"])
def test_any_key_and_any_bytes_come_back_as_they_were(logs: Logs, key: str, value: bytes) -> None:
    log = logs.new()
    [offset] = log.append([Append(WORK, key, value)])
    [stored] = log.read(WORK, offset, 1)
    assert (stored.key, stored.value) == (key, value)


def test_appending_nothing_does_nothing(logs: Logs) -> None:
    log = logs.new()
    assert log.append([]) == []
    assert log.end(WORK) == 1


def test_an_append_to_a_partition_that_is_not_there_does_nothing(logs: Logs) -> None:
    log = logs.new()
    with pytest.raises(LogMismatch, match="claims/9"):
        log.append([*records(WORK, b"a"), *records(Place(Topic.CLAIMS, 9), b"b")])
    assert log.end(WORK) == 1


def test_what_was_appended_is_there_for_who_opens_the_log_anew(logs: Logs) -> None:
    logs.new().append(records(WORK, b"a", b"b"))
    assert values(logs.again(), WORK) == [b"a", b"b"]


def test_a_read_takes_up_to_its_limit_from_its_offset(logs: Logs) -> None:
    log = logs.new()
    log.append(records(WORK, b"1", b"2", b"3", b"4"))
    assert [record.value for record in log.read(WORK, 2, 2)] == [b"2", b"3"]
    assert [record.offset for record in log.read(WORK, 4, 100)] == [4]


def test_a_read_at_the_end_is_empty_and_beyond_it_an_error(logs: Logs) -> None:
    log = logs.new()
    log.append(records(WORK, b"1"))
    assert log.read(WORK, 2, 10) == []
    with pytest.raises(LogMismatch, match="work/0 holds offsets 0 to 2, not 3"):
        log.read(WORK, 3, 10)


def test_large_records_come_back_whole_though_not_all_at_once(logs: Logs) -> None:
    log = logs.new()
    large = [bytes([number]) * MAX_RECORD_BYTES for number in range(40)]
    for value in large:
        log.append(records(WORK, value))
    assert values(log, WORK) == large


def test_append_times_never_decrease(logs: Logs) -> None:
    log, other = logs.new(), logs.again()
    before = time.time() * 1000
    for _ in range(20):
        log.append(records(WORK, b"a", b"b"))
        other.append(records(WORK, b"c"))
    times = [record.time for record in log.read(WORK, 1, 1000)]
    assert times == sorted(times)
    assert before - 60_000 < times[0] <= times[-1] < time.time() * 1000 + 60_000


# --- Several at once -------------------------------------------------------------------------------------------------


def write(log: Log, writer: int, rounds: int) -> None:
    for number in range(rounds):
        value = b"%d %d" % (writer, number)
        log.append([Append(CLAIMS[0], "", value), Append(CLAIMS[1 + (writer + number) % 3], "", value)])


def check_writers(log: Log, writers: int, rounds: int) -> None:
    seen = [[int(word) for word in value.split()] for value in values(log, CLAIMS[0])]
    assert len(seen) == writers * rounds
    for writer in range(writers):
        assert [number for who, number in seen if who == writer] == list(range(rounds))
    assert sum(len(values(log, place)) for place in CLAIMS[1:]) == writers * rounds


def test_several_writers_leave_no_gap_and_keep_each_ones_order(logs: Logs) -> None:
    log = logs.new()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, logs.again(), writer, 50) for writer in range(4)]:
            done.result(SOON)
    check_writers(log, 4, 50)


def test_a_reader_never_sees_an_offset_before_all_lower_ones(logs: Logs) -> None:
    log = logs.new()
    reader = logs.again()
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, logs.again(), writer, 50) for writer in range(4)]
        seen = 1
        while seen < 201:
            assert reader.wait({CLAIMS[0]: seen}, SOON)
            for record in reader.read(CLAIMS[0], seen, 7):
                assert record.offset == seen
                seen += 1
        for done in writing:
            done.result(SOON)
    check_writers(log, 4, 50)


def test_topics_made_by_several_at_once_are_made_once(logs: Logs) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(logs.new) for _ in range(4)]
        ids = {done.result(SOON).genesis(WORK).log_id for done in made}
    assert len(ids) == 1
    assert logs.again().end(WORK) == 1


# --- Trim ------------------------------------------------------------------------------------------------------------


def test_a_trimmed_partition_keeps_its_offsets_and_its_identity(logs: Logs) -> None:
    log = logs.new()
    log_id = log.genesis(WORK).log_id
    log.append(records(WORK, b"1", b"2", b"3"))
    log.trim(WORK, 3)
    again = logs.again()
    assert (again.start(WORK), again.end(WORK)) == (3, 4)
    assert again.genesis(WORK).log_id == log_id
    assert values(again, WORK, 3) == [b"3"]
    with pytest.raises(LogMismatch, match="work/0 holds offsets 3 to 4, not 2"):
        again.read(WORK, 2, 10)


def test_offsets_are_never_used_again(logs: Logs) -> None:
    log = logs.new()
    log.append(records(WORK, b"1", b"2"))
    log.trim(WORK, 1_000)
    assert (log.start(WORK), log.end(WORK)) == (3, 3)
    assert log.read(WORK, 3, 10) == []
    assert log.append(records(WORK, b"3")) == [3]


def test_a_trim_never_goes_back(logs: Logs) -> None:
    log = logs.new()
    log.append(records(WORK, b"1", b"2"))
    log.trim(WORK, 2)
    log.trim(WORK, 1)
    assert log.start(WORK) == 2
    assert values(log, WORK, 2) == [b"2"]


# --- Waiting ---------------------------------------------------------------------------------------------------------


def test_who_waits_for_what_is_there_does_not_wait(logs: Logs) -> None:
    log = logs.new()
    assert log.wait({CLAIMS[0]: 1, CLAIMS[1]: 0}, SOON)
    log.append(records(CLAIMS[0], b"a"))
    assert log.wait({CLAIMS[0]: 1, CLAIMS[1]: 1}, SOON)


def test_who_waits_hears_where_there_is_something(logs: Logs) -> None:
    log = logs.new()
    log.append(records(CLAIMS[0], b"a"))
    assert log.wait({CLAIMS[0]: 1, CLAIMS[1]: 1, WORK: 1}, SOON) == {CLAIMS[0]}
    assert log.wait({CLAIMS[0]: 2, CLAIMS[1]: 1, WORK: 1}, 0) == set()


def test_waiting_ends_with_its_time(logs: Logs) -> None:
    log = logs.new()
    assert not log.wait({WORK: 1}, 0.01)
    assert not log.wait({WORK: 1}, 0)
    log.append(records(CLAIMS[0], b"elsewhere"))
    assert not log.wait({WORK: 1}, 0.01)


def test_an_append_wakes_who_waits(logs: Logs) -> None:
    log, waiting = logs.new(), logs.again()
    assert not waiting.wait({CLAIMS[2]: 1, WORK: 1}, 0)
    with ThreadPoolExecutor(1) as pool:
        for offset in range(1, 6):
            woken = pool.submit(waiting.wait, {CLAIMS[2]: 1, WORK: offset}, SOON)
            log.append(records(WORK, b"now"))
            start = time.monotonic()
            assert woken.result(SOON)
            assert time.monotonic() - start < SOON / 2


def test_the_wait_is_over_when_the_record_can_be_read(logs: Logs) -> None:
    log, reader = logs.new(), logs.again()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [log.append(records(WORK, b"%d" % n)) for n in range(100)])
        for offset in range(1, 101):
            assert reader.wait({WORK: offset}, SOON)
            assert reader.read(WORK, offset, 1)[0].value == b"%d" % (offset - 1)
        writing.result(SOON)


def test_closing_wakes_who_waits(logs: Logs) -> None:
    waiting = logs.new().clone()
    about_to = threading.Event()

    def wait() -> set[Place]:
        about_to.set()
        return waiting.wait({WORK: 1}, SOON)

    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(wait)
        assert about_to.wait(SOON)
        waiting.close()
        assert not woken.result(SOON / 2)


def test_who_is_woken_waits_no_more_but_may_wait_again(logs: Logs) -> None:
    log = logs.new()
    log.wake()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            woken = pool.submit(log.wait, {WORK: 1}, SOON)
            log.wake()
            assert not woken.result(SOON / 2)
        log.wait({WORK: 1}, 0)
        log.append(records(WORK, b"a"))
        assert pool.submit(log.wait, {WORK: 1}, SOON).result(SOON / 2)


def test_a_closed_log_appends_nothing_and_leaves_its_clones_alone(logs: Logs) -> None:
    log = logs.new()
    clone = log.clone()
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.append(records(WORK, b"no"))
    assert clone.append(records(WORK, b"yes")) == [1]
    clone.close()


# --- Floors ----------------------------------------------------------------------------------------------------------


def test_a_floor_only_rises(logs: Logs) -> None:
    log = logs.new()
    assert log.floor("reader", WORK) is None
    for offset, expected in [(3, 3), (2, 3), (7, 7), (7, 7), (0, 7)]:
        log.move_floor("reader", WORK, Floor(offset, f"digest {offset}", "id"))
        assert log.floor("reader", WORK) == Floor(expected, f"digest {expected}", "id")
        assert logs.again().floor("reader", WORK) == Floor(expected, f"digest {expected}", "id")


def test_an_equal_floor_changes_nothing(logs: Logs) -> None:
    log = logs.new()
    log.move_floor("reader", WORK, Floor(3, "first", "id"))
    log.move_floor("reader", WORK, Floor(3, "second", "other"))
    assert log.floor("reader", WORK) == Floor(3, "first", "id")


def test_a_floor_that_is_said_again_is_seen_by_others(logs: Logs) -> None:
    log = logs.new()
    for offset in range(1, 5):
        for _ in range(2):
            log.move_floor("reader", WORK, Floor(offset, "d", "id"))
        assert logs.again().floor("reader", WORK) == Floor(offset, "d", "id")


def test_each_reader_has_a_floor_in_each_partition(logs: Logs) -> None:
    log = logs.new()
    log.move_floor("one", CLAIMS[0], Floor(3, "d", "id"))
    assert log.floor("two", CLAIMS[0]) is None
    assert log.floor("one", CLAIMS[1]) is None


# --- Faults: what a caller may find after an append that raised -------------------------------------------------------


def test_a_refused_append_left_nothing(logs: Logs) -> None:
    log = logs.new()
    with pytest.raises(LogUnreachable):
        FaultyLog(log, lambda _: Refused()).append(records(WORK, b"a"))
    assert values(log, WORK) == []


def test_an_append_whose_acknowledgement_was_lost_is_there(logs: Logs) -> None:
    log = logs.new()
    with pytest.raises(LogUnreachable):
        FaultyLog(log, lambda _: LostAck()).append(records(WORK, b"a", b"b"))
    assert values(log, WORK) == [b"a", b"b"]


def test_a_partial_append_left_a_prefix_in_each_partition(logs: Logs) -> None:
    log = logs.new()
    both = [*records(WORK, b"a", b"b"), *records(CLAIMS[0], b"c", b"d")]
    with pytest.raises(LogUnreachable):
        FaultyLog(log, lambda _: Partial({CLAIMS[0]: 1})).append(both)
    assert (values(log, WORK), values(log, CLAIMS[0])) == ([], [b"c"])


def test_a_gap_left_what_came_later(logs: Logs) -> None:
    log = logs.new()
    with pytest.raises(LogUnreachable):
        FaultyLog(log, lambda _: Gap({WORK: 1})).append(records(WORK, b"a", b"b"))
    assert values(log, WORK) == [b"b"]
