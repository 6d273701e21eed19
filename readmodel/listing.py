"""Pages of what a viewer may see: conditions, order and limits put around one of the named selects of `listing.sql`.

Names of columns come from the API's table of attributes, values are parameters: nothing that a caller sent becomes SQL.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from readmodel import long
from readmodel.connection import Connection, translated
from readmodel.long import Long
from readmodel.sight import Sight
from readmodel.sql import statements

SQL = statements("listing.sql")
PARENTS = {"jobs": b"parent_job_uuid", "job_tasks": b"job_uuid"}  # a resource, and its column with the job's uuid
KEPT = 500  # statements of pages
GROW = {("logs", "id"): ("modified_at", 1024)}  # a column that is so many times another one, and less than that more
Rows = list[dict[str, Any]]
_PARTS = re.compile(rb"^union all$", re.MULTILINE)
_BESIDE = {"=": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}  # of a column in GROW, and then of the other
_ARRAYS = {"integer": "bigint[]", "datetime": "bigint[]", "boolean": "boolean[]", "float": "double precision[]"}


class Term(NamedTuple):
    """One condition: `column` of `table` (`r`: the row's own, `p`: its parent's), an operator of SQL, and the operand.

    `kind`: the attribute's type. Times are compared as microseconds since 1970; columns hold milliseconds.
    Operators: = <> < <= > >= like ilike, `in`, `not in` (operand: a list), and `never`, which nothing meets.
    """

    column: str
    operator: str
    operand: Any
    kind: str
    table: str = "r"


class Asked(NamedTuple):
    """What a page holds. `order`: column, and whether the largest comes first. `counted`: how many there are in all."""

    terms: list[Term] = []  # noqa: RUF012 # never changed
    order: list[tuple[str, bool]] = []  # noqa: RUF012
    limit: int = 100
    offset: int = 0
    counted: bool = True


def page(connection: Connection, source: str, seen: Sight, viewer: str, asked: Asked) -> tuple[Rows, int | None]:
    """Rows of the page, and how many there are in all if that was asked. Raises ReadModelError."""
    terms = [made for term in asked.terms for made in _sought(source, term)]
    chosen = _Chosen(source, seen.everything, tuple(_shape(term) for term in terms))
    order = tuple(one for given in asked.order or [("uuid", False)] for one in _ordered_by(source, *given))
    values = {**seen._asdict(), "viewer": viewer, **{f"v{n}": _operand(term) for n, term in enumerate(terms)}}
    rows = long.fetch(connection, _page(chosen, order, asked.limit, asked.offset), values)
    if not asked.counted:
        return rows, None
    [total] = long.fetch(connection, _count(chosen), values)
    return rows, total["total"]


def one(connection: Connection, source: str, seen: Sight, viewer: str, uuid: str) -> dict[str, Any] | None:
    """The row of this uuid that the viewer may see, or None. Raises ReadModelError."""
    found = long.fetch(connection, _one(source, seen.everything), {**seen._asdict(), "viewer": viewer, "uuid": uuid})
    return found[0] if found else None


def is_content_seen(connection: Connection, seen: Sight, hashes: list[str]) -> bool:
    """Whether anything that may be shown has one of these as its content. An admin may read all. ReadModelError."""
    with translated():
        row = connection.execute(SQL["is_content_seen"], {**seen._asdict(), "hashes": hashes}).fetchone()
    return bool(row and row[0])


def task_counts(connection: Connection, roots: list[str]) -> dict[str, dict[str, int]]:
    """For each of these primary jobs the number of its tasks: todo, running, done, failed."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(SQL["task_counts"], {"roots": roots}).fetchall()
    return {row.pop("root"): row for row in found}


def is_used(connection: Connection, uuid: str) -> bool:
    """Whether there is, or was, a primary job of this uuid."""
    with translated():
        return connection.execute(SQL["is_used"], {"uuid": uuid}).fetchone() is not None


def images_named(connection: Connection, seen: Sight, name: str) -> list[str]:
    """Digests of images that jobs in sight were asked for by this name; by a name without a tag, with any tag."""
    with translated():
        found = connection.execute(SQL["images_named"], {**seen._asdict(), "name": name}).fetchall()
    return [row[0] for row in found]


def queue_size(connection: Connection, seen: Sight) -> int:
    """Number of queued primary jobs that may be read: how many others queue would tell of them."""
    with translated():
        row = connection.execute(SQL["queue_size"], seen._asdict()).fetchone()
    return int(row[0]) if row else 0


# --- What an index can find -------------------------------------------------------------------------------------------


def _sought(source: str, term: Term) -> list[Term]:
    """The same condition, of columns as they are kept; for one in GROW a second, which all meet that meet the first."""
    if term.kind == "datetime" and term.operator in ("<", "<=", ">", ">="):
        up = 999 if term.operator in ("<", ">=") else 0
        return [term._replace(operand=(term.operand + up) // 1000, kind="integer")]
    if (source, term.column) not in GROW or term.operator not in _BESIDE or term.operand is None:
        return [term]
    beside, times = GROW[source, term.column]
    return [term, Term(beside, _BESIDE[term.operator], term.operand // times, "integer")]


def _ordered_by(source: str, column: str, descending: bool) -> list[tuple[str, bool]]:
    first = GROW.get((source, column))
    return [*([(first[0], descending)] if first else []), (column, descending)]


# --- Statements -------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """What the SQL of a condition depends on: all but the operand's value."""

    column: str
    operator: str
    kind: str
    table: str
    is_null: bool
    names_null: bool


def _shape(term: Term) -> _Shape:
    is_list = isinstance(term.operand, list)
    return _Shape(*term[:2], term.kind, term.table, term.operand is None, is_list and None in term.operand)


def _operand(term: Term) -> Any:
    is_list = isinstance(term.operand, list)
    return [value for value in term.operand if value is not None] if is_list else term.operand


class _Chosen(NamedTuple):
    """What the SQL of a page's rows depends on. `everything`: whether the viewer may see all."""

    source: str
    everything: bool
    shapes: tuple[_Shape, ...]


@lru_cache(KEPT)
def _page(chosen: _Chosen, order: tuple[tuple[str, bool], ...], limit: int, offset: int) -> Long:
    """What a row shows is made for those of the page alone: it is chosen by uuid first."""
    ordered = sql.SQL(" order by {}").format(sql.SQL(", ").join(_direction(*one) for one in order)).as_bytes()
    limited = sql.SQL(" limit {} offset {}").format(limit, offset).as_bytes()
    first = ordered + sql.SQL(" limit {}").format(limit + offset).as_bytes()
    page_of = b"where r.uuid = any (array(select r.uuid" + _candidates(chosen, order, first) + ordered + limited + b"))"
    return Long.of(b"select r.*" + _source(chosen.source, chosen.everything) + page_of + ordered)


def _candidates(chosen: _Chosen, order: tuple[tuple[str, bool], ...], first: bytes) -> bytes:
    """All rows that meet the conditions; of a select that has parts, those that are the first in each."""
    parts = _PARTS.split(_in_sight(chosen.source, chosen.everything))
    if len(parts) == 1:
        return _rows(chosen)
    columns = dict.fromkeys(["uuid", *(column for column, _ in order)])
    select = sql.SQL("(select {}").format(sql.SQL(", ").join(sql.Identifier("r", one) for one in columns)).as_bytes()
    where = _where(chosen)
    return b" from (" + b" union all ".join(select + _from(part) + where + first + b")" for part in parts) + b") r"


@lru_cache(KEPT)
def _count(chosen: _Chosen) -> Long:
    return Long.of(b"select count(*) as total" + _rows(chosen))


@lru_cache(KEPT)
def _one(source: str, everything: bool) -> Long:
    return Long.of(b"select r.*" + _source(source, everything) + b"where r.uuid = %(uuid)s limit 1")


def _rows(chosen: _Chosen) -> bytes:
    return _source(chosen.source, chosen.everything) + _parent(*chosen) + _where(chosen)


def _where(chosen: _Chosen) -> bytes:
    conditions = (_condition(one, f"v{n}") for n, one in enumerate(chosen.shapes))
    return b" where " + sql.SQL(" and ").join([sql.SQL("true"), *conditions]).as_bytes()


def _source(source: str, everything: bool) -> bytes:
    return _from(_in_sight(source, everything))


def _from(select: bytes) -> bytes:
    return b" from (" + select + b") r "


def _in_sight(source: str, everything: bool) -> bytes:
    """The select of a resource. Whether all is in sight is said in its text: as a parameter it would keep Postgres from
    looking up owners in a plan that it makes once."""
    return SQL[source].replace(b"%(everything)s", b"true" if everything else b"false")


def _parent(source: str, everything: bool, shapes: tuple[_Shape, ...]) -> bytes:
    """The row's job beside it, where a term asks about that."""
    if source not in PARENTS or all(shape.table == "r" for shape in shapes):
        return b""
    return b"left join (" + _in_sight("jobs", everything) + b") p on p.uuid = r." + PARENTS[source]


def _direction(column: str, descending: bool) -> sql.Composed:
    return sql.Identifier("r", column) + sql.SQL(" desc" if descending else " asc")


def _condition(shape: _Shape, name: str) -> sql.Composable:
    if shape.operator == "never":
        return sql.SQL("false")
    column: sql.Composable = sql.Identifier(shape.table, shape.column)
    if shape.is_null:
        return sql.SQL("({} is null)" if shape.operator == "=" else "({} is not null)").format(column)
    if shape.kind == "datetime":
        column = sql.SQL("({} * 1000)").format(column)
    if shape.operator in ("in", "not in"):
        return _among(shape, column, name)
    text = "({} {} {} or {} is null)" if shape.operator == "<>" else "({} {} {})"
    return sql.SQL(text).format(column, _OPERATORS[shape.operator], sql.Placeholder(name), column)


_OPERATORS = {name: sql.SQL(name) for name in ("=", "<>", "<", "<=", ">", ">=", "like", "ilike")}


def _among(shape: _Shape, column: sql.Composable, name: str) -> sql.Composable:
    """`in` finds no null; `not in` finds null unless the list names it, as Arvados."""
    listed = sql.SQL("{}::" + _ARRAYS.get(shape.kind, "text[]")).format(sql.Placeholder(name))
    if shape.operator == "in":
        return sql.SQL("({} = any({}))").format(column, listed)
    text = "({c} <> all({l}) and {c} is not null)" if shape.names_null else "({c} <> all({l}) or {c} is null)"
    return sql.SQL(text).format(c=column, l=listed)
