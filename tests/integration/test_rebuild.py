"""The read model made anew beside the one that serves, and compared with it."""

from contextlib import closing
from threading import Event, Thread

import pytest

from consumers.projector import NotBegun, Projector
from consumers.rebuild import RebuildUnderWay, drift, rebuild
from readmodel import beside, queries
from readmodel.connection import ReadModelError, connect
from schemas.topics import Topic
from streams.log import Place
from tests.support.drip import Drip
from tests.support.dump import dump
from tests.support.office import COUNTS, spec
from tests.support.traffic import busy_office

SEED = 11
FACTS = [Place(Topic.FACTS, number) for number in range(COUNTS[Topic.FACTS])]


def nobody(_read):
    pass


@pytest.fixture
def connection(dsn):
    with closing(connect(dsn)) as connection:
        yield connection


@pytest.fixture
def office(dsn):
    """A busy one, projected."""
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    return office


def schemas(connection):
    found = connection.execute("select nspname from pg_namespace where nspname ~ '^rm' order by 1").fetchall()
    return [name for (name,) in found]


def test_what_was_lost_is_there_again(dsn, connection, office):
    expected = dump(connection)
    connection.execute("delete from rm.jobs")
    assert rebuild(office.log, dsn, nobody) == sum(office.log.end(place) for place in FACTS)
    assert dump(connection) == expected
    assert schemas(connection) == ["rm"]


def test_the_rebuilt_tables_are_whole_and_go_on(dsn, connection, office):
    with closing(Projector(office.log, dsn)) as old:
        old.catch_up()
        rebuild(office.log, dsn, nobody)
        rebuild(office.log, dsn, nobody)  # again, on tables that were made so
        office.submit("ada", "job-new", spec("new", inputs="new"))
        office.run()
        old.catch_up()  # it finds other tables than it left, and goes on there
    assert queries.tree(connection, "ada", "job-new")[0].state == "complete"
    assert drift(office.log, dsn, nobody) == {}


def test_it_serves_and_is_written_while_the_next_one_is_made(dsn, connection, office):
    seen, told = [], []
    slow = Drip(office.log)
    for place in FACTS:
        slow.let(place, 200)
    stop = Event()
    with closing(Projector(office.log, dsn)) as projector:
        writing = Thread(target=projector.run, args=(stop,))
        writing.start()

        def tell(read):
            told.append(read)
            seen.append(len(queries.jobs(connection, "root")))
            if len(told) > 3:
                return
            office.submit("ada", f"job-x{len(told)}", spec(f"x{len(told)}", inputs=f"x{len(told)}"))
            office.run()
            for place in FACTS:
                slow.let(place, 1_000_000)

        try:
            rebuild(slow, dsn, tell)
        finally:
            stop.set()
            writing.join()
        projector.catch_up()
    assert told
    assert min(seen) > 0
    assert drift(office.log, dsn, nobody) == {}


def test_a_rebuild_that_fails_leaves_what_serves(dsn, connection, office, monkeypatch):
    expected = dump(connection)
    monkeypatch.setattr(beside, "take_place", _fails)
    with pytest.raises(ReadModelError, match="on purpose"):
        rebuild(office.log, dsn, nobody)
    assert dump(connection) == expected
    monkeypatch.undo()
    rebuild(office.log, dsn, nobody)
    assert dump(connection) == expected


def _fails(_connection):
    raise ReadModelError("on purpose")


def test_there_is_one_at_a_time(dsn, connection, office):
    assert beside.alone(connection)
    with pytest.raises(RebuildUnderWay):
        rebuild(office.log, dsn, nobody)
    with pytest.raises(RebuildUnderWay):
        drift(office.log, dsn, nobody)


def test_drift_is_told_by_table_and_row(dsn, connection, office):
    assert drift(office.log, dsn, nobody) == {}
    connection.execute("update rm.jobs set name = 'drifted' where root = 'job-0'")
    connection.execute("delete from rm.grants")
    found = drift(office.log, dsn, nobody)
    assert set(found) == {"jobs", "grants"}
    number, rows = found["jobs"]
    assert number == 2
    assert {row[0] for row in rows} == {"+", "-"}
    assert any("drifted" in row for row in rows if row[0] == "-")
    assert schemas(connection) == ["rm"]


def test_a_read_model_that_is_behind_has_not_drifted(dsn, connection, office):
    office.submit("ada", "job-late", spec("late", inputs="late"))
    office.run()
    assert drift(office.log, dsn, nobody) == {}


def test_where_a_partition_was_never_begun_there_is_nothing_to_compare_and_it_says_which(dsn, connection):
    office = busy_office(SEED)
    begun = [place.partition for place in FACTS if place.partition != 1]
    with closing(Projector(office.log, dsn, partitions=begun)) as projector:
        projector.catch_up()
    with pytest.raises(
        NotBegun, match=r"^no projector has begun facts/1 yet: the tables that serve have nothing of it"
    ):
        drift(office.log, dsn, nobody)
    assert schemas(connection) == ["rm"]
