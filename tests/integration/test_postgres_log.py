"""The log in Postgres where only Postgres can be tried: commits in flight, servers killed, databases that changed."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from schemas.topics import Topic
from streams.admin import EMBEDDED
from streams.embedded import EmbeddedPostgres
from streams.log import Append, Log, LogMismatch, LogUnreachable, Place
from streams.postgres import PostgresLog
from tests.support.log_server import end_server
from tests.support.logs import WORK, records, values

SOON = 20.0

SEQUENCE_APPEND = """
create schema if not exists simpler;
drop table if exists simpler.records;
drop sequence if exists simpler.offsets;
create sequence simpler.offsets minvalue 1;
create table simpler.records (record_offset bigint primary key, value bytea not null);
create or replace function simpler.append(content bytea) returns bigint language sql as $$
    insert into simpler.records values (nextval('simpler.offsets'), content) returning record_offset
$$
"""

NewLog = Callable[..., PostgresLog]
Rule = tuple[str, str]  # statement that appends one value, statement that lists the offsets there are


@pytest.fixture
def open_log() -> Iterator[NewLog]:
    """Opens logs, which the test need not close."""
    opened: list[PostgresLog] = []

    def open_one(dsn: str, patience: float = SOON) -> PostgresLog:
        opened.append(PostgresLog(dsn, patience=patience))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


@pytest.fixture
def new_log(open_log: NewLog) -> NewLog:
    """Opens logs, and makes their topics."""

    def make(dsn: str, patience: float = SOON) -> PostgresLog:
        log = open_log(dsn, patience)
        log.create(EMBEDDED)
        return log

    return make


def counter_rule(dsn: str) -> Rule:
    log = PostgresLog(dsn)
    log.create({Topic.WORK: 1})
    log.close()
    return (
        "select (log.append(array[1], array[''::bytea], array[%b]))[1]",
        "select record_offset from log.records where record_offset > 0 order by record_offset",
    )


def sequence_rule(dsn: str) -> Rule:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SEQUENCE_APPEND, prepare=False)
    return "select simpler.append(%b)", "select record_offset from simpler.records order by record_offset"


def look_while_one_commits_late(dsn: str, rule: Rule) -> list[list[int]]:
    """What a reader sees while the first of two appends has its offset and no commit yet, and after."""
    append, look = rule
    with (
        psycopg.connect(dsn) as slow,
        psycopg.connect(dsn, autocommit=True) as quick,
        psycopg.connect(dsn, autocommit=True) as reader,
        ThreadPoolExecutor(1) as pool,
    ):

        def seen() -> list[int]:
            return [offset for (offset,) in reader.execute(look).fetchall()]

        def is_blocked() -> bool:
            [[blockers]] = reader.execute("select pg_blocking_pids(%s)", (quick.info.backend_pid,)).fetchall()
            return bool(blockers)

        slow.execute(append, (b"first",))
        second = pool.submit(quick.execute, append, (b"second",))
        while not (second.done() or is_blocked()):
            pass
        looks = [seen()]
        slow.commit()
        second.result(SOON)
        return [*looks, seen()]


def check_no_reader_skips(looks: list[list[int]]) -> None:
    for offsets in looks:
        assert offsets == list(range(1, len(offsets) + 1))


def test_a_slow_committer_is_never_overtaken(log_dsn: str) -> None:
    looks = look_while_one_commits_late(log_dsn, counter_rule(log_dsn))
    check_no_reader_skips(looks)
    assert looks == [[], [1, 2]]


def test_the_simpler_rule_offsets_from_a_sequence_lets_readers_skip_the_slow_committer(log_dsn: str) -> None:
    with pytest.raises(AssertionError):
        check_no_reader_skips(look_while_one_commits_late(log_dsn, sequence_rule(log_dsn)))


def test_a_client_that_freezes_after_sending_holds_nobody_up(log_dsn: str, new_log: NewLog) -> None:
    log = new_log(log_dsn)
    with closing(psycopg.connect(log_dsn, autocommit=True)) as frozen:
        frozen.pgconn.send_query(
            b"select log.append(array[1, 2, 3], array['', '', '']::bytea[], array['', '', '']::bytea[])"
        )
        for _ in range(3):
            log.append([Append(Place(Topic(topic), 0), "", b"x") for topic in EMBEDDED])


# --- Servers that go away ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(tmp_path)


def append_until_it_fails(log: Log, acknowledged: list[int], enough: threading.Event) -> str:
    """Append batches of three that say their number; the error in the end."""
    try:
        for number in range(1_000_000):
            log.append(records(WORK, *[b"%d" % number] * 3))
            acknowledged.append(number)
            if number == 20:
                enough.set()
    except LogUnreachable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_an_acknowledged_append_survives_a_server_killed_under_it(
    server: EmbeddedPostgres, how: signal.Signals, new_log: NewLog
) -> None:
    acknowledged: list[int] = []
    enough = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        log = new_log(server.start(), patience=0.2)
        failed = pool.submit(append_until_it_fails, log, acknowledged, enough)
        assert enough.wait(SOON)
        end_server(server.data, how)
        said = failed.result(SOON)
    assert re.fullmatch(r"(the log's Postgres went away|can't connect to the log's Postgres): [^\n]+", said)
    with server as dsn:
        log = new_log(dsn)
        there = [int(value) for value in values(log, WORK)]
    whole = [number for number in there[::3] for _ in range(3)]
    assert there == whole == sorted(whole)
    assert set(acknowledged) <= set(there) <= {*acknowledged, len(acknowledged)}


def test_a_server_that_was_restarted_is_found_again(server: EmbeddedPostgres, new_log: NewLog) -> None:
    log = new_log(server.start())
    log.append(records(WORK, b"before"))
    server.stop()
    server.start()
    log.append(records(WORK, b"after"))
    server.stop()
    server.start()
    assert values(log, WORK) == [b"before", b"after"]
    server.stop()


def test_who_waits_goes_on_waiting_over_a_restart(server: EmbeddedPostgres, new_log: NewLog) -> None:
    dsn = server.start()
    log = new_log(dsn)
    assert not log.wait({WORK: 1}, 0)
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(log.wait, {WORK: 1}, SOON)
        server.stop()
        server.start()
        other = new_log(dsn)
        other.append(records(WORK, b"now"))
        assert woken.result(SOON)
    server.stop()


def test_a_server_that_does_not_come_back_is_an_error_in_one_line(server: EmbeddedPostgres, new_log: NewLog) -> None:
    log = new_log(server.start(), patience=0.2)
    server.stop()
    asked: list[Callable[[], object]] = [
        lambda: log.read(WORK, 0, 1),
        lambda: log.append(records(WORK, b"a")),
        lambda: log.wait({WORK: 1}, SOON),
        lambda: log.create(EMBEDDED),
    ]
    for ask in asked:
        with pytest.raises(LogUnreachable, match=r"^can't connect to the log's Postgres: [^\n]+$"):
            ask()


def test_a_server_that_was_never_there_is_an_error_at_once(tmp_path: Path, open_log: NewLog) -> None:
    log = open_log(make_conninfo(host=str(tmp_path), user="postgres"), patience=1_000_000)
    with pytest.raises(LogUnreachable, match=r"^can't connect to the log's Postgres: [^\n]+$"):
        log.partitions(Topic.WORK)


# --- Databases that are not what was expected -------------------------------------------------------------------------


def test_a_database_without_a_log_says_so(log_dsn: str, open_log: NewLog) -> None:
    log = open_log(log_dsn)
    with pytest.raises(LogMismatch, match=r"this database holds no log: .*; create its topics first"):
        log.end(WORK)


def test_a_newer_layout_is_refused(log_dsn: str, new_log: NewLog, open_log: NewLog) -> None:
    new_log(log_dsn)
    with psycopg.connect(log_dsn) as connection:
        connection.execute("insert into log.layout values (99)")
    newer = open_log(log_dsn)
    for ask in (lambda: newer.end(WORK), lambda: newer.create(EMBEDDED)):
        with pytest.raises(LogMismatch, match="has layout 99, this code knows 2: upgrade crunch-reuse"):
            ask()


def test_a_log_made_anew_behind_our_back_is_noticed_when_we_come_back(log_dsn: str, new_log: NewLog) -> None:
    log = new_log(log_dsn)
    assert log.end(WORK) == 1
    with psycopg.connect(log_dsn, autocommit=True) as connection:
        connection.execute("drop schema log cascade")
        new_log(log_dsn)
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where application_name = 'crunch-reuse log' and pid <> pg_backend_pid()"
        )
    with pytest.raises(LogMismatch, match="is not the partition it was"):
        log.read(WORK, 1, 1)


def test_a_first_record_that_is_no_genesis_is_noticed(log_dsn: str, new_log: NewLog, open_log: NewLog) -> None:
    new_log(log_dsn)
    with psycopg.connect(log_dsn) as connection:
        connection.execute("update log.records set value = '{}' where record_offset = 0")
    log = open_log(log_dsn)
    with pytest.raises(LogMismatch, match="does not begin with a Genesis record"):
        log.end(WORK)


def test_the_servers_defaults_do_not_matter(log_dsn: str, new_log: NewLog) -> None:
    careless = (
        "-c default_transaction_isolation=serializable -c default_transaction_read_only=on -c synchronous_commit=off"
    )
    dsn = make_conninfo(log_dsn, options=careless)
    one, other = new_log(dsn), new_log(dsn)
    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(lambda log=log: [log.append(records(WORK, b"x")) for _ in range(50)]) for log in (one, other)
        ]
        assert sorted(offset for writer in done for [offset] in writer.result(SOON)) == list(range(1, 101))


def test_an_append_to_very_many_partitions_wakes_who_waits_for_one(log_dsn: str, open_log: NewLog) -> None:
    log, waiting = open_log(log_dsn), open_log(log_dsn)
    log.create({Topic.FACTS: 1500})
    last = Place(Topic.FACTS, 1499)
    assert not waiting.wait({last: 1}, 0)
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(waiting.wait, {last: 1}, SOON)
        log.append([Append(Place(Topic.FACTS, number), "", b"x") for number in range(1500)])
        assert woken.result(SOON)


def test_who_waits_for_one_partition_is_told_of_no_other(log_dsn: str, new_log: NewLog) -> None:
    log = new_log(log_dsn)
    end = log.end(WORK)
    with psycopg.connect(log_dsn, autocommit=True) as listening:
        listening.execute(f"listen log_{log.known[WORK].id}")
        for place in (Place(Topic.CLAIMS, 0), Place(Topic.FACTS, 0), WORK):
            log.append(records(place, b"x"))
        [told] = listening.notifies(timeout=SOON, stop_after=1)
        assert told.payload == str(end + 1)


def test_what_was_appended_before_it_is_waited_for_is_seen(log_dsn: str, new_log: NewLog) -> None:
    log, other = new_log(log_dsn), Place(Topic.CLAIMS, 0)
    assert not log.wait({WORK: 1}, 0)
    log.append(records(other, b"x"))
    assert log.wait({other: 1}, SOON)


def test_a_log_of_the_layout_before_is_brought_to_this_one(log_dsn: str, new_log: NewLog, open_log: NewLog) -> None:
    new_log(log_dsn).append(records(WORK, b"before"))
    with psycopg.connect(log_dsn) as connection:
        connection.execute("delete from log.layout; insert into log.layout values (1)")
        connection.execute("drop function log.append")
    log = open_log(log_dsn)
    log.append(records(WORK, b"after"))
    assert values(log, WORK) == [b"before", b"after"]
