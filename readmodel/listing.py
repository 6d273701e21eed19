"""Pages of what a viewer may see: conditions, order and limits put around one of the named selects of `listing.sql`.

Names of columns come from the API's table of attributes, values are parameters: nothing that a caller sent becomes SQL.
"""

from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from readmodel.connection import Connection, translated
from readmodel.sight import Sight
from readmodel.sql import statements

SQL = statements("listing.sql")
PARENTS = {"jobs": b"parent_job_uuid", "job_tasks": b"job_uuid"}  # a resource, and its column with the job's uuid
Rows = list[dict[str, Any]]
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
    """Rows of the page, and how many there are in all if that was asked. Raises ReadModelError.

    What a row shows is made for those of the page alone: it is chosen by uuid first.
    """
    values: dict[str, Any] = {**seen._asdict(), "viewer": viewer}
    where = sql.SQL(" and ").join([sql.SQL("true"), *(_condition(term, values) for term in asked.terms)])
    columns = sql.SQL(", ").join([_direction(*one) for one in asked.order or [("uuid", False)]])
    order = sql.SQL(" order by {}").format(columns).as_bytes(connection)
    limits = sql.SQL(" limit {} offset {}").format(asked.limit, asked.offset).as_bytes(connection)
    rows_of = b" from (" + SQL[source] + b") r "
    chosen = rows_of + _parent(source, asked.terms) + b" where " + where.as_bytes(connection)
    page_of = b"where r.uuid = any (array(select r.uuid" + chosen + order + limits + b"))"
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(b"select r.*" + rows_of + page_of + order, values).fetchall()
        if not asked.counted:
            return rows, None
        [total] = cursor.execute(b"select count(*) as total" + chosen, values).fetchall()
    return rows, total["total"]


def _parent(source: str, terms: list[Term]) -> bytes:
    """The row's job beside it, where a term asks about that."""
    if source not in PARENTS or all(term.table == "r" for term in terms):
        return b""
    return b"left join (" + SQL["jobs"] + b") p on p.uuid = r." + PARENTS[source]


def one(connection: Connection, source: str, seen: Sight, viewer: str, uuid: str) -> dict[str, Any] | None:
    """The row of this uuid that the viewer may see, or None. Raises ReadModelError."""
    text = b"select r.* from (" + SQL[source] + b") r where r.uuid = %(uuid)s limit 1"
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, {**seen._asdict(), "viewer": viewer, "uuid": uuid}).fetchone()


def is_content_seen(connection: Connection, seen: Sight, pdh: str) -> bool:
    """Whether anything that may be shown has this content. An admin may read all. Raises ReadModelError."""
    with translated():
        row = connection.execute(SQL["is_content_seen"], {**seen._asdict(), "pdh": pdh}).fetchone()
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


def _direction(column: str, descending: bool) -> sql.Composed:
    return sql.Identifier("r", column) + sql.SQL(" desc" if descending else " asc")


def _condition(term: Term, values: dict[str, Any]) -> sql.Composable:
    if term.operator == "never":
        return sql.SQL("false")
    column: sql.Composable = sql.Identifier(term.table, term.column)
    if term.operand is None:
        return sql.SQL("({} is null)" if term.operator == "=" else "({} is not null)").format(column)
    if term.kind == "datetime":
        column = sql.SQL("({} * 1000)").format(column)
    name = f"v{len(values)}"
    if term.operator in ("in", "not in"):
        return _among(term, column, name, values)
    values[name] = term.operand
    text = "({} {} {} or {} is null)" if term.operator == "<>" else "({} {} {})"
    return sql.SQL(text).format(column, _OPERATORS[term.operator], sql.Placeholder(name), column)


_OPERATORS = {
    "=": sql.SQL("="),
    "<>": sql.SQL("<>"),
    "<": sql.SQL("<"),
    "<=": sql.SQL("<="),
    ">": sql.SQL(">"),
    ">=": sql.SQL(">="),
    "like": sql.SQL("like"),
    "ilike": sql.SQL("ilike"),
}


def _among(term: Term, column: sql.Composable, name: str, values: dict[str, Any]) -> sql.Composable:
    """`in` finds no null; `not in` finds null unless the list names it, as Arvados."""
    values[name] = [value for value in term.operand if value is not None]
    listed = sql.SQL("{}::" + _ARRAYS.get(term.kind, "text[]")).format(sql.Placeholder(name))
    if term.operator == "in":
        return sql.SQL("({} = any({}))").format(column, listed)
    text = "({c} <> all({l}) and {c} is not null)" if None in term.operand else "({c} <> all({l}) or {c} is null)"
    return sql.SQL(text).format(c=column, l=listed)
