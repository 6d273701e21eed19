"""Whatever is sent to any method of the discovery document is answered in the known ways, and gives nothing away."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.schema import RESOURCES, Resource
from tests.support.api import Person, Site

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


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=requests_to())
def test_it_is_answered_in_the_known_ways(api_site: Site, zoe: Person, asked: tuple[Any, ...]) -> None:
    verb, path, parameters, body = asked
    sent = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    response = zoe.ask(verb, path, params=sent, **({} if body is None else {"json": body}))
    assert response.status_code in KNOWN, response.text
    for secret in ("Traceback", str(api_site.crunch.home.parent), "psycopg", "select r."):
        assert secret not in response.text
