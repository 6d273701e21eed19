"""Log and read model in one Postgres, as on one machine: projected, audited, replayed."""

from contextlib import closing
from threading import Event, Thread

import pytest

from consumers.projector import Projector
from readmodel import queries
from readmodel.connection import connect
from readmodel.watch import Watch
from streams.audit import verify
from streams.kept import kept_in_memory
from streams.past import replay
from streams.postgres import PostgresLog
from tests.support.audits import WITH_STAND_INS
from tests.support.office import COUNTS, Office, machine_types, spec
from tests.support.traffic import Traffic


@pytest.fixture
def log(dsn):
    with closing(PostgresLog(dsn)) as log:
        yield log


def test_what_is_decided_is_told_and_stands_up_to_the_audit(dsn, log):
    office = Office(log, every=25)
    own = log.clone()
    stop = Event()
    with closing(Projector(own, dsn)) as projector, closing(connect(dsn)) as connection:
        thread = Thread(target=projector.run, args=(stop,))
        thread.start()
        traffic = Traffic(office, seed=3)
        traffic.settle_in()
        for _ in range(60):
            traffic.happen()
        traffic.finish()
        last = office.submit("ada", "job-last", spec())
        office.run()
        watch = Watch(connection)
        answer = watch.until(lambda: queries.answer(connection, *last), timeout=60)
        stop.set()
        thread.join()
    own.close()
    assert answer is not None
    assert answer.outcome == "done"
    report = verify(log, machine_types(COUNTS), kept_in_memory(office.checkpoints), checkers=WITH_STAND_INS)
    assert report.differences == []
    assert report.checkpoints > 0
    assert report.decisions > 300
    picture = replay(log, machine_types(COUNTS), 2**52)
    assert picture.jobs["job-last"].state == "assembling"
