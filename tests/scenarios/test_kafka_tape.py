"""What a reader has in hand of a partition in Kafka: no gaps, one record back, and nothing remembered over a change."""

from typing import NamedTuple

from streams.kafka_tape import READ_BYTES, Tape


class Message(NamedTuple):
    """As a consumer hands it out."""

    at: int
    content: bytes | None = b"v"
    epoch: int = 0

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000 + self.at

    def key(self) -> bytes | None:
        return b"k"

    def value(self) -> bytes | None:
        return self.content

    def leader_epoch(self) -> int:
        return self.epoch


def tape(*offsets: int, begin: int = 0, epoch: int = 0) -> Tape:
    made = Tape(begin)
    for offset in offsets:
        made.add(Message(offset, epoch=epoch))
    return made


def offsets(found: Tape, limit: int = 100) -> list[int]:
    return [record.offset for record in found.take(limit)]


def test_offsets_that_nobody_is_handed_come_as_empty_records() -> None:
    found = tape(0, 1)
    found.ask_again()
    found.add(Message(4))
    found.ask_again()
    found.stop(6)
    assert [(record.offset, record.value) for record in found.take(100)] == [
        (0, b"v"), (1, b"v"), (2, b""), (3, b""), (4, b"v"), (5, b"")
    ]  # fmt: skip
    assert found.position == found.next == 6


def test_offsets_that_were_left_out_are_asked_for_again() -> None:
    found = tape(10, begin=10)
    for lost in (14, 15):
        found.add(Message(lost))
    found.stop(16)
    assert found.has_gap
    assert found.next == 11
    found.ask_again()
    for offset in range(11, 16):
        found.add(Message(offset))
    found.stop(16)
    assert not found.has_gap
    assert {record.value for record in found.take(100)} == {b"v"}
    assert found.position == 16


def test_the_end_of_a_partition_stands_for_nothing_that_was_left_out() -> None:
    found = tape(10, begin=10)
    found.stop(12)
    assert found.has_gap
    assert found.next == 11


def test_a_read_takes_what_was_asked_for_and_not_too_much_at_once() -> None:
    found = tape(0, 1, 2)
    assert offsets(found, 2) == [0, 1]
    assert found.position == 2
    found.add(Message(3, b"x" * READ_BYTES))
    assert offsets(found) == [2]
    assert offsets(found) == [3]
    assert found.bytes == 0


def test_it_can_go_one_record_back_and_forwards() -> None:
    found = tape(0, 1, 2, 3)
    offsets(found, 2)
    assert found.wind_to(1)
    assert offsets(found, 2) == [1, 2]
    assert not found.wind_to(0)
    assert found.wind_to(4)
    assert found.wind_to(3)
    assert offsets(found) == [3]
    assert not found.wind_to(5)


def test_it_does_not_go_back_after_another_leader_took_over() -> None:
    found = tape(0, 1)
    offsets(found)
    found.add(Message(2, epoch=1))
    assert not found.wind_to(1)
    assert found.wind_to(2)


def test_a_torn_one_goes_nowhere() -> None:
    found = tape(0, 1)
    offsets(found, 1)
    found.tear()
    assert not any(found.wind_to(offset) for offset in range(3))
    found.add(Message(2))
    assert offsets(found) == [1]
