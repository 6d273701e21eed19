"""Windows are what SQL says of the same facts, also when the last changes were lost and facts are read again."""

from contextlib import closing
from random import Random

import pytest

from consumers.projector import Projector
from readmodel.connection import connect
from readmodel.windows import windows
from schemas.codec import decode
from schemas.log import Genesis
from schemas.topics import Topic
from streams.log import Place
from streams.windows import At, Rows, merged
from tests.support.office import COUNTS
from tests.support.traffic import busy_office

EVERYONE = frozenset(range(COUNTS[Topic.FACTS]))


class Table(dict):
    """A table whose changes are noted in their order, so that any number of the last ones can be lost."""

    def __init__(self):
        super().__init__()
        self.changes = []

    def __setitem__(self, key, value):
        self.changes.append((key, value))
        super().__setitem__(key, value)

    def __delitem__(self, key):
        self.changes.append((key, None))
        super().__delitem__(key)

    def as_of(self, changes):
        """The table as its first changes left it."""
        made = Table()
        for key, value in self.changes[:changes]:
            made[key] = value
            if value is None:
                dict.pop(made, key)
        return made


def facts(log):
    """Each fact with its place, in an order that keeps each partition's."""
    found = []
    for number in EVERYONE:
        for record in log.read(Place(Topic.FACTS, number), 0, 1_000_000):
            envelope = decode(Topic.FACTS, record.value)
            if not isinstance(envelope.body, Genesis):
                found.append((record.time, number, record.offset, envelope))
    in_order = sorted(found, key=lambda one: one[:3])
    return [(At(number, offset, time), envelope) for time, number, offset, envelope in in_order]


def shown(rows):
    return merged(rows.windows(EVERYONE, 0))


@pytest.fixture(scope="module")
def office():
    return busy_office(11, events=250)


@pytest.fixture
def expected(office, dsn):
    with closing(Projector(office.log, dsn)) as projector, connect(dsn) as rows:
        projector.catch_up()
        return windows(rows, 0)


def test_they_are_what_sql_says(office, expected):
    rows = Rows(Table())
    for at, envelope in facts(office.log):
        rows.take(at, envelope.body, envelope.cause)
    assert {row["kind"] for row in expected} >= {"ended", "waited", "executed", "failed_on_node"}
    assert shown(rows) == expected


def test_a_worker_that_dies_anywhere_and_reads_again_comes_to_the_same(office, expected):
    told = facts(office.log)
    random = Random(5)
    for _ in range(20):
        table, changes = Table(), []
        rows = Rows(table)
        killed = random.randrange(1, len(told))
        for at, envelope in told[:killed]:
            changes.append(len(table.changes))
            rows.take(at, envelope.body, envelope.cause)
        committed = random.randrange(killed)  # what is before it is in the changelog, and perhaps some of what is not
        kept = random.randint(changes[committed], len(table.changes))
        rows = Rows(table.as_of(kept))
        for at, envelope in told[committed:]:
            rows.take(at, envelope.body, envelope.cause)
        assert shown(rows) == expected


def test_a_worker_that_goes_on_where_the_rows_say_misses_nothing_whatever_was_lost(office, expected):
    told = facts(office.log)
    table = Table()
    for at, envelope in told:
        Rows(table).take(at, envelope.body, envelope.cause)
    furthest = 0
    for kept in Random(6).sample(range(len(table.changes)), 20):
        rows = Rows(table.as_of(kept))
        next_ones = {number: rows.next(number) for number in EVERYONE}
        furthest = max(furthest, *next_ones.values())
        for at, envelope in told:
            if at.offset >= next_ones[at.partition]:
                rows.take(at, envelope.body, envelope.cause)
        assert shown(rows) == expected
    assert furthest > len(told) // 4, "they say from where on, and not from the beginning"


def test_facts_that_a_machine_said_again_later_count_once(office, expected):
    rows = Rows(Table())
    told = facts(office.log)
    for at, envelope in told:
        rows.take(at, envelope.body, envelope.cause)
    for at, envelope in told[-200:]:
        rows.take(at._replace(time=at.time + 3_600_000), envelope.body, envelope.cause)
    assert shown(rows) == expected


def test_old_windows_are_forgotten(office):
    rows = Rows(Table())
    for at, envelope in facts(office.log):
        rows.take(at, envelope.body, envelope.cause)
    for number in EVERYONE:
        rows.forget(number, 2**50)
    assert shown(rows) == []
