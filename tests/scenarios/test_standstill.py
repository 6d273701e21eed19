"""A partition stands still when look after look finds more to read, and nothing read."""

import asyncio

from streams.standstill import Progress, Standstill, progress


def test_a_partition_of_which_nothing_is_read_is_named_after_so_many_looks() -> None:
    standstill = Standstill(3)
    found = [standstill.look({0: Progress(5, 5), 1: Progress(7, 8 + more)}) for more in range(4)]
    assert found == [None, None, None, 1]


def test_whoever_reads_on_does_not_stand_still_however_far_behind() -> None:
    standstill = Standstill(1)
    assert [standstill.look({0: Progress(read, 1_000)}) for read in range(10)] == [None] * 10


def test_at_its_end_nothing_stands_still_however_long() -> None:
    standstill = Standstill(1)
    assert [standstill.look({0: Progress(5, 5)}) for _ in range(10)] == [None] * 10


def test_what_was_given_away_or_read_anew_is_looked_at_afresh() -> None:
    standstill = Standstill(2)
    stuck = {0: Progress(5, 9)}
    assert [standstill.look(found) for found in (stuck, stuck, {}, stuck, stuck)] == [None] * 5
    assert [standstill.look(found) for found in ({0: Progress(3, 9)}, {0: Progress(3, 9)})] == [None] * 2


class Handing:
    """A consumer of two partitions. Where it is told to, they change hands while it answers."""

    def __init__(self, counted: dict[int, int], forgets: bool = False) -> None:
        self.counted = counted
        self.forgets = forgets
        self.asked: list[str] = []

    async def position(self, place: str) -> int:
        self.asked.append(place)
        if self.forgets:
            self.counted.clear()
        return 3

    async def highwaters(self, *places: str) -> dict[str, int]:
        return dict.fromkeys(places, 9)


def test_only_of_what_nothing_was_counted_the_consumer_is_asked_where_it_stands() -> None:
    consumer = Handing({0: 7})
    found = asyncio.run(progress(consumer, {0: "facts/0", 1: "facts/1"}, consumer.counted))
    assert found == {0: Progress(7, 9), 1: Progress(3, 9)}
    assert consumer.asked == ["facts/1"]


def test_what_was_counted_may_be_forgotten_while_the_consumer_answers() -> None:
    consumer = Handing({1: 7}, forgets=True)
    found = asyncio.run(progress(consumer, {0: "facts/0", 1: "facts/1"}, consumer.counted))
    assert found == {0: Progress(3, 9), 1: Progress(7, 9)}
    assert not consumer.counted


def test_without_a_partition_nobody_is_asked() -> None:
    assert asyncio.run(progress(Handing({}), {}, {})) == {}
