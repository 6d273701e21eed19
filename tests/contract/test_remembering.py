"""A log that remembers what was read of it: the same records, asked for once."""

import pytest

from schemas.topics import Topic
from streams.log import Append, LogMismatch, Place
from streams.memory import MemoryLog
from streams.remembering import RememberingLog

PLACE = Place(Topic.CLAIMS, 0)


class Counting(MemoryLog):
    """Counts how often it is read."""

    reads = 0

    def read(self, place, offset, limit):
        self.reads += 1
        return super().read(place, offset, limit)


@pytest.fixture
def log():
    log = Counting()
    log.create(dict.fromkeys(Topic, 1))
    log.append([Append(PLACE, "k", b"%d" % number) for number in range(50)])
    return log


def test_what_was_read_is_not_asked_again(log):
    remembering = RememberingLog(log)
    first = [remembering.read(PLACE, offset, 10) for offset in (0, 10, 20)]
    assert log.reads == 3
    assert [remembering.read(PLACE, offset, 10) for offset in (0, 10, 20)] == first
    assert remembering.read(PLACE, 25, 3) == first[2][5:8]
    assert log.reads == 3
    assert remembering.read(PLACE, 30, 100) == log.read(PLACE, 30, 100)


def test_what_is_kept_outlives_a_trim_and_the_rest_does_not(log):
    whole, part = RememberingLog(log), RememberingLog(log)
    end = whole.end(PLACE)
    everything, some = whole.read(PLACE, 0, end), part.read(PLACE, 0, 10)
    log.trim(PLACE, 20)
    assert (whole.start(PLACE), part.start(PLACE)) == (0, 20)
    assert whole.read(PLACE, 0, end) == everything
    assert part.read(PLACE, 0, 10) == some
    with pytest.raises(LogMismatch):
        part.read(PLACE, 10, 10)


def test_where_somebody_looked_first_is_not_where_it_begins(log):
    remembering = RememberingLog(log)
    end = remembering.end(PLACE)
    remembering.read(PLACE, 25, end)
    assert remembering.start(PLACE) == 0
    log.trim(PLACE, 30)
    assert remembering.start(PLACE) == 25


def test_beyond_its_bounds_it_keeps_nothing_more(log):
    remembering = RememberingLog(log, most=0)
    whole = log.read(PLACE, 1, 100)
    for _ in range(2):
        assert remembering.read(PLACE, 1, 100) == whole
    assert log.reads == 3
