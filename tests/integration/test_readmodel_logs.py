"""The lines of all jobs as one list: a page of it reads about as much as it shows, however many lines there are."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from readmodel import listing
from readmodel.connection import Connection, connect
from readmodel.listing import Asked, Term
from readmodel.migrate import REGISTRY, migrate
from readmodel.sight import Sight

JOBS, LINES = 100, 10_000  # each job has a hundred lines that stand between others'; every tenth job is `some`'s
BEGAN = 1_700_000_000_000  # ms; three lines in each
MOST_READ = LINES // 4  # rows that a page of a hundred may look at
ALL, SOME = Sight(everything=True, owners=[]), Sight(everything=False, owners=["some"])
SIGHTS = pytest.mark.parametrize("seen", [ALL, SOME], ids=["all", "some"])
JOB = "zzzzz-8i9sb-000000000000050"  # one of `some`'s
FILL = f"""
insert into rm.jobs (root, owner, created_at)
select 'zzzzz-8i9sb-' || lpad(n::text, 15, '0'), case n % 10 when 0 then 'some' else 'others' end, {BEGAN}
from generate_series(0, {JOBS - 1}) n;
insert into rm.job_log (root, position, said_at, kind)
select
    'zzzzz-8i9sb-' || lpad((n % {JOBS})::text, 15, '0'), n, {BEGAN} + n / 3,
    case when n % 50 = 7 then 'redecided' else 'granted' end
from generate_series(0, {LINES - 1}) n;
insert into api.logs (uuid, owner_uuid, created_at, event_at, event_type)
select 'zzzzz-57u5n-' || lpad(n::text, 15, '0'), 'some', {BEGAN} + n * 7, {BEGAN}, 'note'
from generate_series(0, 399) n;
insert into api.notes (uuid, is_deleted, changed_at) values ('zzzzz-8i9sb-000000000000010', true, 0);
analyze;
"""
READ = b"select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relname = 'job_log'"


@pytest.fixture(scope="module")
def rows(postgres_server: str) -> Iterator[Connection]:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("create database many_lines")
        with closing(connect(psycopg.conninfo.make_conninfo(postgres_server, dbname="many_lines"))) as connection:
            migrate(connection)
            migrate(connection, REGISTRY)
            connection.execute(FILL.encode())
            connection.execute("set max_parallel_workers_per_gather = 0")  # what others read is counted elsewhere
            yield connection
        server.execute("drop database many_lines")


def lines(rows: Connection, seen: Sight, **asked: Any) -> list[dict[str, Any]]:
    return listing.page(rows, "logs", seen, "", Asked(counted=False, **asked))[0]


def everything(rows: Connection, seen: Sight) -> list[dict[str, Any]]:
    """All lines that may be seen, as the select itself says."""
    with rows.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(listing.SQL["logs"], seen._asdict()).fetchall()


NEWEST = [("modified_at", True), ("uuid", False)]
BY_ID = [("id", False), ("uuid", False)]
LATE = BEGAN + LINES // 3 - 100
ASKED = {
    "the newest": Asked(order=NEWEST),
    "the second page of them": Asked(order=NEWEST, offset=100),
    "the first by id": Asked(order=BY_ID),
    "what is new since an id": Asked([Term("id", ">", LATE * 1024 + 77, "integer")], BY_ID),
    "what is new since a moment": Asked([Term("created_at", ">=", LATE * 1000, "datetime")], BY_ID),
    "one job's": Asked([Term("object_uuid", "=", JOB, "string")], BY_ID),
}


@SIGHTS
@pytest.mark.parametrize("name", ASKED)
def test_a_page_is_found_in_an_index(rows: Connection, seen: Sight, name: str) -> None:
    found = read_for(rows, seen, ASKED[name])
    assert len(found) > 20


@pytest.mark.parametrize("name", ASKED)
def test_for_who_may_see_none_no_line_is_read(rows: Connection, name: str) -> None:
    assert read_for(rows, Sight(everything=False, owners=["nobody"]), ASKED[name], most=0) == []


@SIGHTS
def test_one_line_is_found_by_its_uuid(rows: Connection, seen: Sight) -> None:
    wanted = lines(rows, seen, order=NEWEST, offset=50, limit=1)
    [uuid] = [one["uuid"] for one in wanted]
    assert read_for(rows, seen, Asked([Term("uuid", "=", uuid, "string")]), most=10) == wanted
    with reading(rows, 1):
        assert listing.one(rows, "logs", seen, "", uuid) == wanted[0]


@contextmanager
def reading(rows: Connection, most: int) -> Iterator[None]:
    """What the context does reads at most so many of the lines, and those by an index."""
    with rows.transaction():
        before = rows.execute(READ).fetchall()[0]
        yield
        after = rows.execute(READ).fetchall()[0]
    assert after[0] == before[0], "the table was read from end to end"
    assert after[1] - before[1] <= most


def read_for(rows: Connection, seen: Sight, asked: Asked, most: int = MOST_READ) -> list[dict[str, Any]]:
    """The page, for which at most so many lines were read."""
    with reading(rows, most):
        return listing.page(rows, "logs", seen, "", asked._replace(counted=False))[0]


@SIGHTS
@pytest.mark.parametrize(
    "order", [NEWEST, BY_ID, [("id", True), ("uuid", False)], [("object_uuid", False), ("uuid", True)]]
)
def test_all_pages_together_are_all_lines_in_their_order(
    rows: Connection, seen: Sight, order: list[tuple[str, bool]]
) -> None:
    wanted = everything(rows, seen)
    for column, descending in reversed(order):
        wanted.sort(key=lambda row: (row[column] is None, row[column] or ""), reverse=descending)
    found = [
        one for at in range(0, len(wanted) + 1, 3_000) for one in lines(rows, seen, order=order, offset=at, limit=3_000)
    ]
    assert [one["uuid"] for one in found] == [one["uuid"] for one in wanted]
    assert found == wanted
    assert listing.page(rows, "logs", seen, "", Asked(limit=1))[1] == len(wanted) > 1_000


@pytest.mark.parametrize("operator", ["=", "<>", "<", "<=", ">", ">="])
def test_what_an_id_or_a_moment_is_compared_with_holds_to_the_last_digit(rows: Connection, operator: str) -> None:
    middle = lines(rows, ALL, order=BY_ID, offset=LINES // 2, limit=1)[0]
    holds = {"=": int.__eq__, "<>": int.__ne__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}
    for off in (-1, 0, 1):
        for name, kind, times in (("id", "integer", 1), ("created_at", "datetime", 1000)):
            operand = middle[name] * times + off
            wanted = sum(holds[operator](row[name] * times, operand) for row in everything(rows, ALL))
            asked = Asked([Term(name, operator, operand, kind)], limit=1)
            assert listing.page(rows, "logs", ALL, "", asked)[1] == wanted, (name, off)
