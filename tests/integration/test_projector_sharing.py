"""Several projectors share the partitions of the facts: the same rows as from one, also where one is in the way."""

from contextlib import closing
from threading import Event, Thread

import pytest

from consumers.projector import Projector
from readmodel.connection import connect
from readmodel.migrate import drop
from schemas.topics import Topic
from tests.support.dump import dump
from tests.support.office import COUNTS
from tests.support.traffic import busy_office

SEED = 11
PATIENCE = 60.0


@pytest.fixture
def connection(dsn):
    with closing(connect(dsn)) as connection:
        yield connection


@pytest.fixture
def expected(dsn, connection):
    with closing(Projector(busy_office(SEED).log, dsn)) as projector:
        projector.catch_up()
    rows = dump(connection)
    drop(connection)
    return rows


def test_each_projects_its_own_partitions(dsn, connection, expected):
    log = busy_office(SEED).log
    shares = [[number for number in range(COUNTS[Topic.FACTS]) if number % 2 == rest] for rest in (0, 1)]
    with (
        closing(Projector(log.clone(), dsn, partitions=shares[0], batch=5)) as one,
        closing(Projector(log.clone(), dsn, partitions=shares[1], batch=5)) as other,
    ):
        threads = [Thread(target=projector.catch_up) for projector in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert dump(connection) == expected


def test_a_partition_that_changes_hands_is_projected_once(dsn, connection, expected):
    log = busy_office(SEED).log
    for partitions in ([0], [0, 1], [1, 2], None):
        with closing(Projector(log.clone(), dsn, partitions=partitions, batch=7)) as projector:
            projector.step()
            if partitions is None:
                projector.catch_up()
    assert dump(connection) == expected


def test_where_two_wait_for_each_other_one_begins_its_batch_anew(dsn, connection, expected):
    stop = Event()
    with closing(Projector(busy_office(SEED).log, dsn)) as projector, closing(connect(dsn)) as other:
        other.execute("set deadlock_timeout = '10min'")  # so it is the projector that gives way
        thread = Thread(target=projector.run, args=(stop,))
        with other.transaction():
            other.execute("lock table rm.jobs in access exclusive mode")
            thread.start()
            until_it_waits(connection)
            other.execute("select * from rm.applied for update")
        with closing(connect(dsn)) as listener:
            listener.execute("listen rm")
            while dump(connection) != expected and thread.is_alive():
                assert list(listener.notifies(timeout=PATIENCE, stop_after=1)), "it does not go on"
        stop.set()
        thread.join()
    assert dump(connection) == expected


def until_it_waits(connection):
    while not connection.execute("select 1 from pg_locks where not granted").fetchone():
        pass
