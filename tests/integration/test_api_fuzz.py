"""Whatever is sent to any method of the discovery document is answered in the known ways, and gives nothing away."""

import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.schema import JOB_TASKS, JOBS, RESOURCES, Resource
from tests.support.api import Person, Site
from tests.support.scripts import Scripts

KNOWN = (200, 401, 403, 404, 422)
HOSTILE = ["'; drop table users; --", "x' or '1'='1", "%s", "%(viewer)s", "{}", "..", "../../etc/passwd", "a" * 5000]
HOSTILE += ["\u202e", "2999-99-99", "1e999", "-1", "null", "true", "[]", '["uuid"]', "uuid desc", "uuid; select 1"]
HOSTILE += ["zzzzz-8i9sb-000000000000000", "zzzzz-4zz18-000000000000000", "0" * 32 + "+0", "HEAD", "main", "all"]

words = st.sampled_from(HOSTILE) | st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
operators = st.sampled_from(["=", "!=", "<", ">=", "like", "ilike", "in", "not in", "is_a", "in git", "in docker", "~"])


def names(resource: Resource) -> st.SearchStrategy[str]:
    own = [one.name for one in resource.attributes]
    return st.sampled_from([*own, f"{resource.name}.uuid", "job.state", "parent_job.uuid", "x.y"]) | words


@st.composite
def requests_to(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], Any]:
    """Verb, path, parameters, body."""
    resource = RESOURCES[draw(st.sampled_from(sorted(RESOURCES)))]
    method = draw(st.sampled_from(resource.methods))
    path = f"{resource.name}{method.path}".replace("{uuid}", draw(words).replace("/", "%2F") or "-")
    filters = st.lists(st.tuples(names(resource), operators, values), max_size=3)
    fitting = {"filters": filters, "order": names(resource), "select": st.lists(names(resource), max_size=3)}
    parameters = {name: draw(fitting.get(name, values) | values) for name in method.parameters if draw(st.booleans())}
    body = draw(st.dictionaries(names(resource) | st.sampled_from(["filters", "_method"]), values, max_size=5))
    body = {resource.singular: body} if draw(st.booleans()) else body
    return method.verb, path, parameters, draw(st.sampled_from([body, None]) | values)


@pytest.fixture
def zoe(api_site: Site) -> Person:
    return api_site.person("zoe")


def as_json(body: Any) -> dict[str, Any]:
    """As Python writes it: an infinity, too, which the client's own way to send JSON refuses."""
    return {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=requests_to())
def test_it_is_answered_in_the_known_ways(api_site: Site, zoe: Person, asked: tuple[Any, ...]) -> None:
    verb, path, parameters, body = asked
    sent = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    response = zoe.ask(verb, path, params=sent, **({} if body is None else as_json(body)))
    assert response.status_code in KNOWN, response.text
    for secret in ("Traceback", str(api_site.crunch.home.parent), "psycopg", "select r."):
        assert secret not in response.text


@st.composite
def nearly_right(draw: st.DrawFn) -> tuple[Resource, bool, bool, dict[str, Any]]:
    """A resource, whether an object is made or changed, whether the body is wrapped, some attributes as they come."""
    resource = draw(st.sampled_from((JOBS, JOB_TASKS)))
    attributes = {one.name: one for one in resource.attributes}
    said = {}
    for name in draw(st.lists(st.sampled_from(sorted(attributes)), min_size=1, max_size=3)):
        said[name] = draw(of_kind[attributes[name].kind] | values)
    return resource, draw(st.booleans()), draw(st.booleans()), said


deep = st.integers(0, 70).map(lambda levels: functools.reduce(lambda inner, _: {"x": inner}, range(levels), 0))
of_kind: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("string", "text", "datetime"), words),
    "integer": st.integers(-(2**70), 2**70),
    "float": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "hash": st.dictionaries(words, values, max_size=3) | deep,
    "array": st.lists(values, max_size=3),
}


@pytest.mark.needs("git")
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=nearly_right())
def test_whatever_a_job_or_task_is_said_to_be(
    api_site: Site, zoe: Person, scripts: Scripts, asked: tuple[Resource, bool, bool, dict[str, Any]]
) -> None:
    resource, is_new, is_wrapped, said = asked
    job = scripts.job(zoe, {"n": 1}, submit_id=None)["uuid"]
    needed = {"jobs": scripts.body(), "job_tasks": {"job_uuid": job}}[resource.name] if is_new else {}
    body = {resource.singular: needed | said} if is_wrapped else needed | said
    place = resource.name if is_new else f"{resource.name}/{_of(zoe, resource, job)}"
    response = zoe.ask("POST" if is_new else "PUT", place, **as_json(body))
    assert response.status_code in KNOWN, response.text
    for secret in ("Traceback", str(api_site.crunch.home.parent), "psycopg", "select r."):
        assert secret not in response.text
    for made in {job, response.json().get("uuid", job)}:
        zoe.ask("POST", f"jobs/{made}/cancel")


def _of(person: Person, resource: Resource, job: str) -> str:
    return (
        job if resource is JOBS else str(person.get("job_tasks", filters=[["job_uuid", "=", job]])["items"][0]["uuid"])
    )
