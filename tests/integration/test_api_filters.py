"""Every operator on every attribute, generated from the table of attributes, next to what Postgres itself answers."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from psycopg.sql import SQL, Composable, Identifier, Literal

from gateway.api import filters
from gateway.api.errors import ApiError
from gateway.api.schema import NESTED, RESOURCES, Attribute, Resource
from gateway.api.times import text_of
from readmodel import listing
from readmodel.connection import Connection, connect
from readmodel.sight import Sight
from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
LISTED = [name for name in RESOURCES if name in listing.SQL]
COMPARED = ("=", "!=", "<", "<=", ">", ">=")
SEEN = Sight(everything=True, owners=[])
VALUES = {**SEEN._asdict(), "viewer": ""}
OTHERS: dict[str, list[Any]] = {
    "string": ["", "it's \\ % _"],
    "text": ["it's \\ % _"],
    "integer": [0, 2**53],
    "float": [0, 0.5],
    "boolean": [True, False, "yes", "F"],
    "datetime": ["2014-10-06T00:00:00.000000000Z", "2999-01-01T01:00:00+02:00"],
}


@pytest.fixture(scope="module")
def connection(api_site: Site, scripts: Scripts) -> Iterator[Connection]:
    """The database, with something of everything in it."""
    ada, ben = api_site.person("ada"), api_site.person("ben")
    _fill(ada, ben, scripts)
    with closing(connect(api_site.dsn)) as rows:
        yield rows


def _fill(ada: Person, ben: Person, scripts: Scripts) -> None:
    group = ada.post("groups", name="filters")["uuid"]
    ada.post("links", link_class="permission", name="can_read", tail_uuid=ben.uuid, head_uuid=group)
    ada.post("collections", name="it's \\ % _", description="x")
    ben.post("collections", owner_uuid=ben.uuid)
    ada.post("logs", event_type="note", object_uuid=group, summary="it's", event_at="2014-10-06T00:00:00Z")
    done = scripts.job(ada, {"queue": [{"write": "x"}]}, description="it's", priority=-1, nondeterministic=True)
    for job in (done, scripts.job(ben, {"success": False}), scripts.job(ben, is_pure=True, priority=7)):
        scripts.ended(ada if job is done else ben, job["uuid"])


def answered(connection: Connection, resource: Resource, given: list[Any]) -> list[str] | None:
    """What the API finds; None where it refuses."""
    try:
        terms = filters.terms(resource, [given], None)
    except ApiError:
        return None
    asked = listing.Asked(terms, [("uuid", False)], 1_000, 0, counted=False)
    return [row["uuid"] for row in listing.page(connection, resource.name, SEEN, "", asked)[0]]


class Way(NamedTuple):
    """How a filter reaches an attribute: the list that is asked for; before the attribute's name, and of what it is.

    `joined`: what Postgres finds the attribute's row by, beside the list's own row `l`.
    """

    listed: Resource
    prefix: str
    holder: Resource
    joined: str


WAYS = [Way(RESOURCES[name], "", RESOURCES[name], "r.uuid = l.uuid") for name in LISTED]
WAYS += [Way(RESOURCES["job_tasks"], "job.", RESOURCES["jobs"], "r.uuid = l.job_uuid")]
WAYS += [Way(RESOURCES["jobs"], "parent_job.", RESOURCES["jobs"], "r.uuid = l.parent_job_uuid")]


def compare(connection: Connection, way: Way, cases: list[tuple[list[Any], Composable | None]]) -> None:
    """Each filter finds what Postgres finds by the condition beside it; where there is none, it is refused."""
    conditions = [condition for _, condition in cases if condition is not None] or [SQL("true")]
    columns = SQL(", ").join([SQL("({}) is true").format(one) for one in conditions]).as_bytes(connection)
    text = b"select l.uuid, " + columns.replace(b"%", b"%%") + b" from (" + listing.SQL[way.listed.name]
    text += b") l left join (" + listing.SQL[way.holder.name] + b") r on " + way.joined.encode() + b" order by 1"
    rows = connection.execute(text, VALUES).fetchall()
    columns_left = iter(range(1, len(conditions) + 1))
    for given, condition in cases:
        number = next(columns_left) if condition is not None else 0
        expected = [row[0] for row in rows if row[number]] if number else None
        asked = [way.prefix + given[0], *given[1:]]
        assert answered(connection, way.listed, asked) == expected, asked


def column(attribute: Attribute) -> Composable:
    """The attribute as Postgres has it: a time as a time."""
    plain = Identifier("r", attribute.name)
    return SQL("to_timestamp({} / 1000.0)").format(plain) if attribute.kind == "datetime" else plain


def literal(attribute: Attribute, value: Any) -> Composable:
    """The operand as Postgres reads it."""
    kinds = {"datetime": "timestamptz", "boolean": "boolean", "integer": "bigint", "float": "float8"}
    return SQL("{}::" + kinds.get(attribute.kind, "text")).format(Literal(str(value)))


def operands(connection: Connection, resource: Resource, attribute: Attribute) -> list[Any]:
    """Some that are there, some that are not."""
    chosen = SQL("select distinct r.{} from (").format(Identifier(attribute.name)).as_bytes(connection)
    rows = connection.execute(chosen + listing.SQL[resource.name] + b") r limit 2", VALUES).fetchall()
    there = [text_of(row[0]) if attribute.kind == "datetime" else row[0] for row in rows if row[0] is not None]
    return there + OTHERS[attribute.kind]


def comparisons(attribute: Attribute, there: list[Any]) -> Iterator[tuple[list[Any], Composable | None]]:
    for operand in there:
        for operator in COMPARED:
            text = "{c} is distinct from {v}" if operator == "!=" else f"{{c}} {operator} {{v}}"
            condition = SQL(text).format(c=column(attribute), v=literal(attribute, operand))  # type: ignore[arg-type]
            refused = attribute.kind == "boolean" and operator not in ("=", "!=")
            yield [attribute.name, operator, operand], None if refused else condition


def nulls_and_lists(attribute: Attribute, there: list[Any]) -> Iterator[tuple[list[Any], Composable | None]]:
    name, c = attribute.name, column(attribute)
    among = SQL("{} in ({})").format(c, SQL(", ").join([literal(attribute, one) for one in there]))
    yield [name, "=", None], SQL("{} is null").format(c)
    yield [name, "!=", None], SQL("{} is not null").format(c)
    yield [name, "in", there], among
    yield [name, "in", [None, *there]], among
    yield [name, "in", []], SQL("false")
    yield [name, "not in", there], SQL("({}) is not true").format(among)
    yield [name, "not in", []], SQL("true")
    yield [name, "not in", [None, *there]], SQL("not ({})").format(among)
    for operator in ("<", "like", "is_a"):
        yield [name, operator, None], None


def patterns(attribute: Attribute) -> Iterator[tuple[list[Any], Composable | None]]:
    for pattern in ("_%", "%-8I9SB-%", "z%", "it's \\\\ \\% \\_", ""):
        for operator in ("like", "ilike"):
            condition = SQL(f"{{}} {operator} {{}}").format(column(attribute), Literal(pattern))  # type: ignore[arg-type]
            yield [attribute.name, operator, pattern], condition if attribute.kind in ("string", "text") else None


def classes(attribute: Attribute) -> Iterator[tuple[list[Any], Composable | None]]:
    for kind, infix in (("arvados#user", "tpzed"), ("arvados#job", "8i9sb"), ("arvados#nothing", "(?!)")):
        condition = SQL("{} ~ {}").format(column(attribute), Literal(f"^.{{5}}-{infix}-.{{15}}$"))
        yield [attribute.name, "is_a", kind], condition if attribute.kind == "string" else None


def attributes_of(way: Way) -> list[Attribute]:
    """All attributes of the list's own; through a parent, where each question is a slower one, one of each type."""
    own = way.holder.attributes
    return list(own) if not way.prefix else list({one.kind: one for one in (*own, own[0])}.values())


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.listed.name}-{way.prefix}")
def test_every_operator_on_every_attribute_finds_what_postgres_finds(connection: Connection, way: Way) -> None:
    for attribute in attributes_of(way):
        if attribute.kind in NESTED:
            compare(connection, way, [([attribute.name, operator, "x"], None) for operator in COMPARED])
            continue
        there = operands(connection, way.holder, attribute)
        cases = [*comparisons(attribute, there), *nulls_and_lists(attribute, there)]
        compare(connection, way, [*cases, *patterns(attribute), *classes(attribute)])


def test_there_was_something_to_find(connection: Connection) -> None:
    for name in LISTED:
        assert answered(connection, RESOURCES[name], ["uuid", "!=", None]), name


@pytest.mark.parametrize(
    ("resource", "given"),
    [
        ("users", ["no_such", "=", "x"]),
        ("users", ["prefs", "=", "x"]),
        ("users", ["job.script", "=", "x"]),
        ("jobs", ["script_parameters", "=", {}]),
        ("jobs", ["job.script", "=", "x"]),
        ("jobs", ["priority", "=", "1"]),
        ("jobs", ["priority", "=", True]),
        ("jobs", ["priority", "=", 2**60]),
        ("jobs", ["running", "=", "perhaps"]),
        ("jobs", ["created_at", "=", "2014-13-01"]),
        ("jobs", ["created_at", "=", 17]),
        ("jobs", ["state", "=", "a\0b"]),
        ("jobs", ["state", "matches", "x"]),
        ("jobs", ["state", "=", ["x"]]),
    ],
)
def test_what_can_not_be_asked(connection: Connection, resource: str, given: list[Any]) -> None:
    assert answered(connection, RESOURCES[resource], given) is None


def test_a_task_is_found_by_its_jobs_attributes(connection: Connection, scripts: Scripts) -> None:
    tasks, jobs = RESOURCES["job_tasks"], RESOURCES["jobs"]
    before = answered(connection, tasks, ["uuid", "like", "%"])
    ours = answered(connection, tasks, ["job.script_version", "=", scripts.commit])
    others = answered(connection, tasks, ["job.script_version", "!=", scripts.commit])
    failed = answered(connection, tasks, ["job.state", "=", "Failed"])
    after = answered(connection, tasks, ["uuid", "like", "%"])
    assert ours
    assert failed
    assert set(ours).isdisjoint(others)
    assert set(before) <= {*ours, *others} <= set(after)
    assert set(failed) < set(after)
    assert answered(connection, tasks, ["job.script_version", "=", "0" * 40]) == []
    below = answered(connection, jobs, ["parent_job.state", "=", "Failed"])
    assert below == failed
