"""What clients say of jobs that no decision depends on: kept once, changed by who changes it, a submit_id one job's."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from gateway.api import jobs, request, reuse
from readmodel.connection import connect
from streams.answers import NoAnswer
from tests.support.api import Person, Site
from tests.support.inprocess import in_process
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def posted(body: dict[str, Any]) -> request.Call:
    """A request for a job, as the server hears it."""
    headers = {"content-type": "application/json"}
    return request.call("POST", "/arvados/v1/jobs", b"", headers, json.dumps(body).encode())


def test_a_submit_id_is_unique(ada: Person, scripts: Scripts) -> None:
    assert scripts.job(ada, submit_id="run 17")["submit_id"] == "run 17"
    again = ada.ask("POST", "jobs", json=scripts.body(submit_id="run 17"))
    assert again.status_code == 422
    assert "submit_id" in again.text


def test_of_many_at_once_one_gets_the_submit_id(api_site: Site, ada: Person, scripts: Scripts) -> None:
    def post(number: int) -> int:
        person = Person(api_site, ada.uuid, ada.token)
        status = person.ask("POST", "jobs", json=scripts.body({"n": number}, submit_id="wanted")).status_code
        person.session.close()
        return status

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(post, range(12))) == [200] + [422] * 11


def test_what_was_said_of_a_job_is_not_undone_by_a_late_repeat(ada: Person, scripts: Scripts) -> None:
    body = scripts.body({"n": "repeat"}, description="first", components={"a": 1}, submit_id="repeated")
    headers = {"X-Request-Id": "req-repeated"}
    made = ada.ask("POST", "jobs", json=body, headers=headers).json()["uuid"]
    ada.put(f"jobs/{made}", description="second", components={"b": 2})
    again = ada.ask("POST", "jobs", json=body, headers=headers).json()
    assert (again["uuid"], again["description"], again["components"]) == (made, "second", {"b": 2})


def test_one_that_lands_on_another_changes_nothing_of_it(
    api_site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ona = api_site.person("ona")
    body = scripts.body({"write": "landed on"}) | {"find_or_create": True}
    others = []
    look = reuse.find

    def find(*asked: Any) -> reuse.Found:
        found = look(*asked)
        others.append(ona.post("jobs", **body, description="the other's")["uuid"])
        return found

    monkeypatch.setattr(reuse, "find", find)
    with in_process(api_site) as service:
        made = jobs.create(service.caller(ona.token), posted(body | {"description": "late"}), "")
    assert ([made["uuid"]], made["description"]) == (others, "the other's")


def test_a_submit_id_of_a_job_that_never_was_is_free_again(
    api_site: Site, ada: Person, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = scripts.body({"write": "x"}, submit_id="kept for nobody")

    def unheard(*_: Any) -> None:
        raise NoAnswer("no answer")

    with in_process(api_site) as service, monkeypatch.context() as patch:
        patch.setattr(service, "ask", unheard)
        with pytest.raises(NoAnswer):
            jobs.create(service.caller(ada.token), posted(body), "")
    assert "submit_id" in ada.ask("POST", "jobs", json=body).text  # it may still be made
    with closing(connect(api_site.dsn)) as rows:
        rows.execute("update api.notes set changed_at = changed_at - 3600001 where submit_id = 'kept for nobody'")
    assert ada.post("jobs", **body)["submit_id"] == "kept for nobody"
    with closing(connect(api_site.dsn)) as rows:
        rows.execute("update api.notes set changed_at = changed_at - 3600001 where submit_id = 'kept for nobody'")
    assert ada.ask("POST", "jobs", json=body).status_code == 422
