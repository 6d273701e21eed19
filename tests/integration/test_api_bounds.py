"""Values at the edge of what can be kept and given back: refused when they are sent, shown if they are there."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from gateway.api.errors import ApiError, translated
from gateway.api.numbers import readable
from gateway.api.request import LONGEST_STRING, Call, call
from gateway.api.times import microseconds_of, text_of
from gateway.git import _Dulwich, open_repository
from gateway.problems import Refused
from readmodel.connection import ReadModelConflict
from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
BEYOND = 2**64  # the first integer that JSON's fast writers do not write
LONG = "x" * 200_000


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def refused(person: Person, verb: str, path: str, named: str, text: str = "", **options: Any) -> None:
    """A request is told what is wrong. `text`: a body as it is sent."""
    if text:
        options |= {"data": text, "headers": {"Content-Type": "application/json"}}
    response = person.ask(verb, path, **options)
    assert response.status_code == 422, response.text
    assert named in response.text


# --- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [str(BEYOND), "9007199254740993", "-1e20", "1e400", "-1e400", "1" + "0" * 400])
def test_a_number_that_readers_do_not_agree_on_is_refused_by_its_place(ada: Person, number: str) -> None:
    said = f'{{"n": {number}}}'
    refused(ada, "POST", "collections", "properties.a[1].n: ", f'{{"properties": {{"a": [1, {said}]}}}}')
    refused(ada, "POST", "collections", "collection.properties.n: ", f'{{"collection": {{"properties": {said}}}}}')
    refused(ada, "POST", "collections", "properties.n: ", data={"properties": said})
    refused(ada, "POST", "logs", "properties.n: ", f'{{"event_type": "x", "properties": {said}}}')
    assert ada.ask("GET", "collections").status_code == 200


@pytest.mark.parametrize("name", ["components", "runtime_constraints"])
def test_of_jobs_too(ada: Person, scripts: Scripts, name: str) -> None:
    refused(ada, "POST", "jobs", f"{name}.x: ", json=scripts.body(**{name: {"x": BEYOND}}))
    assert ada.ask("GET", "jobs").status_code == 200


def test_numbers_that_all_agree_on_come_back_as_they_were(ada: Person, scripts: Scripts) -> None:
    good = {"x": 1e25, "y": -1e300, "z": 2**53, "a": [-(2**53), 0.1, 1e-300, 1.5]}
    job = scripts.job(ada, components=good)
    assert scripts.ended(ada, job["uuid"])["components"] == good
    changed = ada.put(f"jobs/{job['uuid']}", components=good | {"more": 1e22})["components"]
    assert changed == good | {"more": 1e22}
    assert isinstance(changed["x"], float)
    assert ada.put(f"jobs/{job['uuid']}", job=ada.get(f"jobs/{job['uuid']}"))["components"] == changed
    made = ada.post("collections", properties=good)
    assert ada.get(f"collections/{made['uuid']}")["properties"] == good


@pytest.mark.parametrize("limit", ["1e400", "-1e400", str(BEYOND)])
def test_a_page_of_no_readable_size_is_refused(ada: Person, limit: str) -> None:
    refused(ada, "GET", "jobs", "limit: ", f'{{"limit": {limit}}}')
    with pytest.raises(ApiError, match="limit: must be a whole number"):
        Call("GET", (), {"limit": float("inf")}).number("limit", 1, 2)


def test_a_name_that_is_no_text_is_not_told(ada: Person) -> None:
    refused(ada, "POST", "logs", "surrogate", '{"properties": {"\\ud800": 1e400}}')


def test_only_what_is_wrong_is_named() -> None:
    headers = {"content-type": "application/json"}
    with pytest.raises(ApiError) as told:
        call("POST", "/arvados/v1/logs", b"", headers, b'{"properties": {"good": 1e21, "bad": 1e20}}')
    assert told.value.messages[0].startswith("properties.bad: ")


@contextmanager
def stored(site: Site, statement: str, **values: Any) -> Iterator[None]:
    """Something that an older release took."""
    with closing(psycopg.connect(site.dsn, autocommit=True)) as rows:
        rows.execute(statement, values)
        yield
        rows.execute("delete from api.collections where uuid = %(uuid)s", values)
        rows.execute("delete from api.logs where uuid = %(uuid)s", values)


def test_what_an_older_release_took_is_shown(api_site: Site, ada: Person) -> None:
    uuid = ada.post("collections", name="of an older release")["uuid"]
    properties = json.dumps({"n": BEYOND, "m": [-(10**30)], "huge": 10**400})
    change = "update api.collections set properties = %(properties)s where uuid = %(uuid)s"
    with stored(api_site, change, uuid=uuid, properties=properties):
        shown = ada.get(f"collections/{uuid}")["properties"]
        assert shown == {"n": float(BEYOND), "m": [-1e30], "huge": str(10**400)}
        assert shown in [one["properties"] for one in ada.get("collections", limit=1000)["items"]]
    assert readable({"a": [2**64 - 1, -(2**63), True, None, "x", 0.5]}) == {
        "a": [2**64 - 1, -(2**63), True, None, "x", 0.5]
    }


# --- Times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-00:01"])
def test_a_time_that_utc_does_not_have_is_refused(ada: Person, moment: str) -> None:
    refused(ada, "POST", "logs", "event_at", json={"event_type": "x", "event_at": moment})
    refused(ada, "GET", "logs", "event_at", params={"filters": json.dumps([["event_at", "<", moment]])})
    assert ada.ask("GET", "logs").status_code == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999000000Z"])
def test_the_first_and_the_last_time_come_back(ada: Person, moment: str) -> None:
    assert text_of(microseconds_of(moment) // 1000) == moment
    assert ada.post("logs", event_type="edge", event_at=moment)["event_at"] == moment


@pytest.mark.parametrize(("kept", "first"), [(-(2**62), "0001-01-01"), (2**62, "9999-12-31")])
def test_a_time_that_an_older_release_took_is_the_nearest_that_there_is(
    api_site: Site, ada: Person, kept: int, first: str
) -> None:
    uuid = ada.post("logs", event_type="of an older release")["uuid"]
    with stored(api_site, "update api.logs set event_at = %(kept)s where uuid = %(uuid)s", uuid=uuid, kept=kept):
        assert ada.get(f"logs/{uuid}")["event_at"].startswith(first)
        assert ada.ask("GET", "logs").status_code == 200


# --- Texts ------------------------------------------------------------------------------------------------------------


def test_a_name_of_any_length_is_no_commit(ada: Person, scripts: Scripts) -> None:
    refused(ada, "POST", "jobs", "script_version", json=scripts.body(script_version=LONG))
    for name, value in (("exclude_script_versions", [LONG]), ("minimum_script_version", LONG)):
        refused(ada, "POST", "jobs", "script_version", json=scripts.body(find_or_create=True, **{name: value}))


@pytest.mark.parametrize("length", [300, 2_000, len(LONG)])
def test_whatever_reads_the_repository(scripts: Scripts, length: int) -> None:
    with open_repository(str(scripts.folder), scripts.folder, "") as found, pytest.raises(Refused) as told:
        found.resolve("x" * length)
    assert len(str(told.value)) < 2_000
    with (
        closing(_Dulwich(scripts.folder, "scripts")) as other,
        pytest.raises(Refused, match="no branch, tag or commit"),
    ):
        other.resolve("x" * length)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("jobs", {"submit_id": None, "script": "run.py", "script_version": "main", "repository": "scripts"}),
        ("collections", {"name": None}),
        ("collections", {"owner_uuid": None}),
        ("groups", {"name": None}),
        ("links", {"link_class": "permission", "name": "can_read", "head_uuid": "x", "tail_uuid": None}),
        ("logs", {"object_uuid": None}),
        ("users", {"username": None}),
    ],
)
def test_a_text_is_no_longer_than_arvados_takes_it(
    api_site: Site, scripts: Scripts, path: str, body: dict[str, Any]
) -> None:
    """An admin may name any owner."""
    boss = api_site.person("boss", is_admin=True)
    [name] = [name for name, value in body.items() if value is None]
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(10_000))  # does not get smaller
    refused(boss, "POST", path, f"{name}: longer than 255 characters", json=body | {name: noise})


def test_a_submit_id_may_be_as_long_as_in_arvados(ada: Person, scripts: Scripts) -> None:
    longest = "é" * LONGEST_STRING
    assert scripts.job(ada, submit_id=longest)["submit_id"] == longest


def test_who_was_in_anothers_way_may_try_again() -> None:
    told = translated(ReadModelConflict("deadlock detected"))
    assert told is not None
    assert (told.status, "X-Request-Id" in told.messages[0]) == (503, True)
