"""Logs over HTTP: what clients write down, and what the system says of jobs."""

from typing import Any

import pytest

from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


@pytest.fixture
def ben(api_site: Site) -> Person:
    return api_site.person("ben")


def lines(person: Person, **options: Any) -> list[str]:
    """Text of the lines that are found, oldest first."""
    return [str(one["properties"].get("text")) for one in person.get("logs", order="id", **options)["items"]]


def test_a_line_is_written_and_read_by_who_may(ada: Person, ben: Person) -> None:
    thing = ada.post("collections", name="logged")["uuid"]
    said = {"event_type": "note", "object_uuid": thing, "summary": "a look", "properties": {"by": ["hand", 1]}}
    made = ada.post("logs", log=said | {"event_at": "2014-10-06T01:02:03.5Z"})
    assert {name: made[name] for name in said} == said
    assert made["event_at"] == "2014-10-06T01:02:03.500000000Z"
    assert (made["owner_uuid"], made["object_owner_uuid"]) == (ada.uuid, ada.uuid)
    assert (made["kind"], made["object_kind"]) == ("arvados#log", "arvados#collection")
    assert ada.get(f"logs/{made['uuid']}") == made
    assert ada.get("logs", filters=[["object_uuid", "=", thing]])["items"] == [made]
    assert ada.get("logs", filters=[["id", ">", made["id"]], ["uuid", "=", made["uuid"]]])["items"] == []
    assert ben.ask("GET", f"logs/{made['uuid']}").status_code == 404
    assert made["uuid"] not in ben.ask("GET", "logs").text


def test_of_what_is_not_there_and_of_what_is_anothers_the_same_is_said(ada: Person, ben: Person) -> None:
    thing = ada.post("collections", name="not for ben's lines")["uuid"]
    told = [ben.post("logs", event_type="x", object_uuid=uuid) for uuid in (thing, f"{thing[:-3]}zzz", "nonsense", "")]
    assert [one["object_owner_uuid"] for one in told] == [None] * 4
    assert ada.get("logs", filters=[["object_uuid", "=", thing]])["items"] == []
    mine = ben.get("logs", filters=[["event_type", "=", "x"]])["items"]
    assert {one["uuid"] for one in mine} == {one["uuid"] for one in told}


def test_a_repeated_line_is_one(ada: Person) -> None:
    headers = {"X-Request-Id": "req-line"}
    twice = [ada.ask("POST", "logs", json={"event_type": "once"}, headers=headers).json()["uuid"] for _ in range(2)]
    assert len(set(twice)) == 1
    assert len(ada.get("logs", filters=[["event_type", "=", "once"]])["items"]) == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"event_at": "soon"}, "event_at"),
        ({"event_type": "x" * 256}, "event_type"),
        ({"summary": "x" * 5000}, "summary"),
        ({"properties": "text"}, "properties"),
        ({"properties": {"x": "y" * 300_000}}, "properties"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_a_line_that_can_not_be_taken_is_refused(ada: Person, body: dict[str, Any], named: str) -> None:
    response = ada.ask("POST", "logs", json={"log": body})
    assert response.status_code == 422, response.text
    assert named in response.text


def test_what_happens_to_a_job_is_logged(api_site: Site, scripts: Scripts) -> None:
    ora, pam = api_site.person("ora"), api_site.person("pam")
    asked = {"queue": [{"write": "x", "name": "x"}]}
    first = scripts.ended(ora, scripts.job(ora, asked, is_pure=True)["uuid"])
    second = scripts.ended(ora, scripts.job(ora, asked, is_pure=True)["uuid"])
    found = ora.get("logs", filters=[["object_uuid", "=", second["uuid"]]], order="id")["items"]
    assert found[0]["event_type"] == "create"
    assert {one["event_type"] for one in found} == {"create", "update", "stderr"}
    assert {one["object_owner_uuid"] for one in found} == {ora.uuid}
    assert [one["id"] for one in found] == sorted({one["id"] for one in found})
    told = "".join(lines(ora, filters=[["object_uuid", "=", second["uuid"]]]))
    assert "copied output from" in told
    assert "queued 1 task" in told
    assert "job complete" in told
    [one] = ora.get("logs", filters=[["uuid", "=", found[0]["uuid"]]])["items"]
    assert one == found[0] == ora.get(f"logs/{one['uuid']}")
    for job in (first, second):
        assert pam.get("logs", filters=[["object_uuid", "=", job["uuid"]]])["items"] == []
    ora.delete(f"jobs/{first['uuid']}")
    assert ora.get("logs", filters=[["object_uuid", "=", first["uuid"]]])["items"] == []
