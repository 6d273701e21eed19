"""A partition stands still when look after look finds more to read, and nothing read."""

from streams.standstill import Progress, Standstill


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


def test_one_that_was_named_is_given_as_much_time_again() -> None:
    standstill = Standstill(2)
    found = [standstill.look({0: Progress(5, 9)}) for _ in range(6)]
    assert found == [None, None, 0, None, None, 0]
