"""The projector: exactly once in effect, whatever order the partitions come in and whatever happens to it."""

import multiprocessing
from contextlib import closing
from threading import Event, Thread

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from consumers.projector import ProjectionStopped, Projector
from consumers.rebuild import rebuild
from readmodel import queries
from readmodel.connection import ReadModelError, ReadModelUnreachable, connect
from readmodel.migrate import drop, migrate
from schemas.codec import encode
from schemas.facts import Answered, ClaimChanged, SettingChanged
from schemas.log import Cause
from schemas.reasons import Outcome
from schemas.topics import Topic
from streams.faults import recreate, truncate
from streams.log import Append, LogMismatch, Place
from tests.support.drip import Drip
from tests.support.dump import dump
from tests.support.office import COUNTS, Office, memory_log, spec
from tests.support.projecting import project
from tests.support.traffic import busy_office

SEED = 11
FACTS = [Place(Topic.FACTS, number) for number in range(COUNTS[Topic.FACTS])]


@pytest.fixture
def connection(dsn):
    with closing(connect(dsn)) as connection:
        yield connection


def rows_of(log, dsn, connection, **options):
    """The rows of a projector that nothing happens to."""
    drop(connection)
    with closing(Projector(log, dsn, **options)) as projector:
        projector.catch_up()
    return dump(connection)


def test_facts_that_were_said_twice_count_once(dsn, connection):
    quiet, haunted = busy_office(SEED), busy_office(SEED)
    for place in (Place(Topic.FACTS, 0), Place(Topic.FACTS, 2)):
        said = haunted.log.read(place, 1, 10_000)
        haunted.log.append([Append(place, record.key, record.value) for record in said])
    tables = (
        "jobs",
        "job_tasks",
        "tasks",
        "answers",
        "users",
        "groups",
        "grants",
        "settings",
        "job_log",
        "hours",
        "marks",
    )
    once, twice = rows_of(quiet.log, dsn, connection), rows_of(haunted.log, dsn, connection)
    assert {name: once[name] for name in tables} == {name: twice[name] for name in tables}
    assert len(once["job_tasks"]) > 50


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 5),
    portions=st.lists(st.tuples(st.sampled_from(FACTS), st.integers(1, 40)), max_size=40),
    batch=st.integers(1, 50),
)
def test_any_interleaving_of_the_partitions_ends_alike(dsn, connection, seed, portions, batch):
    office = busy_office(seed, events=30)
    expected = rows_of(office.log, dsn, connection)
    drop(connection)
    drip = Drip(office.log)
    with closing(Projector(drip, dsn, batch=batch)) as projector:
        for place, count in portions:
            drip.let(place, count)
            projector.step()
        for place in FACTS:
            drip.let(place, 1_000_000)
        projector.catch_up()
    assert dump(connection) == expected


def test_killed_in_the_middle_of_a_batch_it_goes_on_where_it_was(dsn, connection):
    office = busy_office(SEED)
    expected = rows_of(office.log, dsn, connection)
    drop(connection)
    migrate(connection)
    with closing(connect(dsn)) as gate:
        gate.execute("begin")
        gate.execute("lock table rm.job_log in access exclusive mode")
        child = multiprocessing.get_context("spawn").Process(target=project, args=(dsn, SEED, 20))
        child.start()
        while not waits_for_a_lock(connection):
            assert child.is_alive()
        child.kill()
        child.join()
        gate.execute("rollback")
    with closing(Projector(office.log, dsn)) as projector:
        assert projector.catch_up() == sum(office.log.end(place) for place in FACTS)
    assert dump(connection) == expected


def waits_for_a_lock(connection):
    waiting = "select count(*) from pg_locks where not granted and relation = 'rm.job_log'::regclass"
    return connection.execute(waiting).fetchone() == (1,)


def test_two_at_once_do_no_harm(dsn, connection):
    office = busy_office(SEED)
    expected = rows_of(office.log, dsn, connection)
    drop(connection)
    projectors = [Projector(office.log, dsn, batch=7) for _ in range(2)]
    threads = [Thread(target=projector.catch_up) for projector in projectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for projector in projectors:
        projector.close()
    assert dump(connection) == expected


def test_postgres_hangs_up_and_the_next_projector_goes_on(dsn, connection):
    office = busy_office(SEED)
    expected = rows_of(office.log, dsn, connection)
    drop(connection)
    with closing(Projector(office.log, dsn, batch=20)) as projector:
        projector.step()
        ours = "select pg_terminate_backend(pid) from pg_stat_activity"
        connection.execute(f"{ours} where datname = current_database() and pid <> pg_backend_pid()")
        with pytest.raises(ReadModelUnreachable, match="Postgres does not answer"):
            projector.catch_up()
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    assert dump(connection) == expected


def test_postgres_hangs_up_while_it_runs_and_it_connects_again(dsn, connection):
    office = busy_office(SEED)
    expected = rows_of(office.log, dsn, connection)
    drop(connection)
    stop = Event()
    drip = Drip(office.log)
    with closing(Projector(drip, dsn, batch=20)) as projector, closing(connect(dsn)) as listener:
        listener.execute("listen rm")
        thread = Thread(target=projector.run, args=(stop,))
        thread.start()
        for _ in range(3):
            ours = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            connection.execute(f"{ours} and pid not in (pg_backend_pid(), {listener.info.backend_pid})")
            for place in FACTS:
                drip.let(place, 150)
            next(listener.notifies())
        for place in FACTS:
            drip.let(place, 1_000_000)
        ends = [(office.log.end(place),) for place in FACTS]
        for _ in listener.notifies():
            if connection.execute("select next_offset from rm.applied order by partition").fetchall() == ends:
                break
        stop.set()
        thread.join()
    assert dump(connection) == expected


def test_who_listens_is_woken_after_the_rows_are_there(dsn, connection):
    office = Office()
    stop = Event()
    with closing(Projector(office.log, dsn)) as projector, closing(connect(dsn)) as listener:
        projector.catch_up()
        listener.execute("listen rm")
        thread = Thread(target=projector.run, args=(stop,))
        thread.start()
        office.submit("ada", "job-1", spec())
        office.settle()
        for _ in listener.notifies():
            if queries.job(connection, "ada", "job-1"):
                break
        stop.set()
        office.submit("ada", "job-2", spec())
        thread.join()


def test_answers_are_forgotten_in_time_and_not_before(dsn, connection):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn, answers_kept=50)) as projector:
        projector.catch_up()
    kept = connection.execute("select partition, min(position), max(position) from rm.answers group by 1").fetchall()
    assert {number for number, _, _ in kept} == {0, 1, 2}
    assert all(least >= office.log.end(Place(Topic.FACTS, number)) - 50 for number, least, _ in kept)


# --- What stops it ----------------------------------------------------------------------------------------------------


def with_fact(value: bytes):
    """A log whose second fact is these bytes."""
    log = memory_log()
    log.create(COUNTS)
    log.append([Append(FACTS[1], "", value)])
    return log


CLAIMS_ID = with_fact(b"").genesis(Place(Topic.CLAIMS, 0)).log_id
CAUSE = Cause(CLAIMS_ID, 1, 0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"v":1,"cause":["LOG",1,0],"body":{"type":"invented"}}', "facts/1 offset 2 is no fact"),
        (encode(SettingChanged(change=Raw(b'{"type":"invented"}')), CAUSE), "facts/1 offset 2 can't be projected"),
    ],
)
def test_a_fact_that_cannot_be_projected_stops_it(dsn, value, said):
    log = with_fact(b"")
    value = value.replace(b"LOG", log.genesis(Place(Topic.CLAIMS, 0)).log_id.encode())
    log.append([Append(FACTS[1], "", value)])
    with (
        closing(Projector(log, dsn)) as projector,
        pytest.raises(ProjectionStopped, match=f"{said}.*: rebuild the read model from the log"),
    ):
        projector.catch_up()


def test_what_is_made_ready_ahead_neither_stops_nor_skips_what_is_before_it(dsn, connection):
    log = with_fact(encode(Answered(outcome=Outcome.DONE, about="f"), CAUSE))
    log.append([Append(FACTS[1], "", b'{"v":1,"cause":["%b",9,0],"body":{"type":"invented"}}' % CLAIMS_ID.encode())])
    for _ in range(2):  # the second one goes on where the first one was stopped
        with closing(Projector(log, dsn, batch=1)) as projector:
            with pytest.raises(ProjectionStopped, match="facts/1 offset 2 is no fact"):
                projector.catch_up()
            assert projector.positions[1] == 2
    assert connection.execute("select count(*) from rm.answers").fetchone() == (1,)
    marks = connection.execute("select cause_offset from rm.marks where partition = 1").fetchall()
    assert marks == [(CAUSE.offset,)]  # as far as is written: not as far as was looked ahead


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe\0 no JSON",
        b'{"v":1,"body":{"type":"inven',
        b'{"v":1,"cause":["elsewhere",1,0],"body":{"type":"invented"}}',
        b"5" * 5_000_000,
        encode(ClaimChanged(fingerprint="f", quarantined=True)),
        encode(ClaimChanged(fingerprint="f", quarantined=True), Cause("elsewhere", 1, 0)),
    ],
)
def test_what_no_machine_of_this_log_wrote_counts_for_nothing_and_is_said(dsn, connection, caplog, value):
    log = with_fact(value)
    log.append([Append(FACTS[1], "", encode(Answered(outcome=Outcome.DONE, about="f"), CAUSE))])
    with closing(Projector(log, dsn)) as projector:
        projector.catch_up()
        assert (projector.positions[1], projector.left_out) == (3, 1)
    assert connection.execute("select count(*) from rm.answers").fetchone() == (1,)
    assert connection.execute("select count(*) from rm.claims").fetchone() == (0,)
    assert "facts/1 offset 1 is no fact of this log and counts for nothing: " in caplog.text


def test_a_row_that_postgres_refuses_stops_it_and_is_named(dsn, connection):
    log = with_fact(encode(Answered(outcome=Outcome.DONE, about="f"), CAUSE))
    log.append([Append(FACTS[1], "", encode(Answered(outcome=Outcome.DONE, about="f"), Cause(CLAIMS_ID, 2, 0)))])
    with closing(Projector(log, dsn)) as projector:
        connection.execute("alter table rm.answers add check (command_offset <> 2)")
        with pytest.raises(ProjectionStopped, match=r"facts/1 offset 2 can't be projected \(new row for relation"):
            projector.catch_up()
    assert connection.execute("select count(*) from rm.answers").fetchone() == (0,)


def test_text_that_postgres_cannot_hold_is_projected_all_the_same(dsn, connection):
    log = with_fact(encode(Answered(outcome=Outcome.DONE, about="f", detail="a\0b"), CAUSE))
    with closing(Projector(log, dsn)) as projector:
        projector.catch_up()
    answer = queries.answer(connection, CLAIMS_ID, 1)
    assert answer is not None
    assert answer.detail == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda log: recreate(log, Topic.FACTS), "the read model was made from another log than this one"),
        (lambda log: truncate(log, FACTS[0], 5), "ends before offset .*: it was truncated; rebuild the read model"),
    ],
)
def test_another_log_than_before_stops_it(dsn, harm, said):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    harm(office.log)
    with pytest.raises(LogMismatch, match=said):
        Projector(office.log, dsn)


def cut_and_grown(log, place, last):
    """The partition has lost its last record, and another one stands there."""
    truncate(log, place, log.end(place) - 1)
    log.append([Append(place, "", last)])


def test_a_log_that_was_cut_and_has_grown_again_stops_it(dsn):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    last = office.log.end(FACTS[1]) - 1
    cut_and_grown(office.log, FACTS[1], b"another")
    office.log.append([Append(FACTS[1], "", b"and more")])
    said = f"facts/1 has another record at {last} than was projected: the log was truncated and has grown again"
    with pytest.raises(LogMismatch, match=f"^{said}; rebuild the read model from the log: crunch-reuse "):
        Projector(office.log, dsn)
    rebuild(office.log, dsn, lambda _: None)
    Projector(office.log, dsn).close()


def test_tables_that_do_not_say_what_was_projected_last_are_accepted_once(dsn, connection):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    connection.execute("update rm.applied set digest = '', digest_before = 0")
    cut_and_grown(office.log, FACTS[1], b"another")
    Projector(office.log, dsn).close()
    cut_and_grown(office.log, FACTS[1], b"yet another")
    with pytest.raises(LogMismatch, match="facts/1 has another record"):
        Projector(office.log, dsn)


def test_what_was_projected_last_counts_for_nothing_where_earlier_code_has_moved_on(dsn, connection):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn, batch=5)) as projector:
        projector.step()
    connection.execute("update rm.applied set next_offset = next_offset + 1")
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()


def test_a_log_that_is_trimmed_up_to_what_was_projected_has_nothing_to_compare(dsn):
    office = busy_office(SEED)
    with closing(Projector(office.log, dsn)) as projector:
        projector.catch_up()
    office.log.trim(FACTS[1], office.log.end(FACTS[1]))
    office.log.append([Append(FACTS[1], "", encode(Answered(about="f")))])
    with closing(Projector(office.log, dsn)) as projector:
        assert projector.catch_up() == 1


def test_tables_of_newer_code_stop_it(dsn, connection):
    migrate(connection)
    connection.execute("insert into rm.migrations (version) values (99)")
    with pytest.raises(ReadModelError, match=r"of version 99, this code knows \d+: upgrade crunch-reuse"):
        Projector(busy_office(SEED, events=1).log, dsn)


def test_a_postgres_that_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(ReadModelUnreachable, match=r"Postgres does not answer: .*; start it, or correct its DSN"):
        Projector(memory_log(), psycopg.conninfo.make_conninfo(host=str(tmp_path)))
