"""Explanations over HTTP, and what they do not tell to others."""

import pytest

from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def first_task(person: Person, job: str) -> str:
    [task] = person.get("job_tasks", filters=[["job_uuid", "=", job]])["items"]
    return str(task["uuid"])


def test_a_task_and_its_job_are_explained_and_compared(ada: Person, scripts: Scripts, api_site: Site) -> None:
    mark = {"mark": "explained", "write": "x"}
    one, two, three = (
        scripts.ended(ada, scripts.job(ada, mark | more, is_pure=True, job_parameters=["all"])["uuid"])["uuid"]
        for more in ({}, {}, {"n": 1})
    )
    copied = ada.get(f"job_tasks/{first_task(ada, two)}/explain")
    assert (copied["how"], copied["source"]["root"], copied["rules"]) == ("reused", one, 1)
    assert copied["text"][0].startswith(f"{first_task(ada, two)} was given the output of {first_task(ada, one)} of ada")
    other = ada.get(f"jobs/{three}/explain")
    assert [why["code"] for why in other["why_executed"]] == ["none_earlier"]
    [nearest] = other["nearest"]
    assert nearest["components"] == ["job_parameters"]
    assert [(one["path"], one["mine"], one["other"]) for one in nearest["different"]] == [("n", "1", None)]
    compared = ada.get(f"job_tasks/{first_task(ada, three)}/explain", diff=first_task(ada, one))
    assert compared["different"] == nearest["different"]
    assert ada.get(f"jobs/{three}/explain", diff=one) == compared
    ben = api_site.person("ben")
    absent = ben.ask("GET", "jobs/zzzzz-8i9sb-aaaaaaaaaaaaaaa/explain")
    assert absent.status_code == 404
    for path in (f"jobs/{one}/explain", f"job_tasks/{first_task(ada, one)}/explain"):
        assert ben.ask("GET", path).json()["errors"] == absent.json()["errors"]
    assert ben.ask("GET", f"jobs/{three}/explain?diff={one}").json()["errors"] == absent.json()["errors"]


def test_who_waits_is_told_of_the_node_and_its_last_sign_of_life(scripts: Scripts, api_site: Site) -> None:
    una = api_site.person("una")
    pipe = scripts.pipe("una")
    body = scripts.body({"mark": "waited for", "wait": str(pipe)}, is_pure=True, job_parameters=["all"])
    first = una.post("jobs", **body)["uuid"]
    scripts.running_task(una, first)
    second = una.post("jobs", **body)["uuid"]

    def waits(_: object) -> object:
        told = una.get(f"jobs/{second}/explain")
        return told if told["how"] == "waiting" and told["waiting"]["alive_at"] else None

    told = api_site.crunch.until(waits)
    assert told["waiting"]["owner"] == "una"
    assert "whose last sign of life was at " in told["text"][1]
    page = una.session.get(f"https://{una.address}/tasks/{first_task(una, second)}.json").json()
    assert page["explained"]["waiting"]["alive_at"] >= told["waiting"]["alive_at"]
    said = api_site.crunch.run("explain", first_task(una, second), "--as", "una", "--json")
    assert said.json["explanation"]["waiting"]["alive_at"] >= told["waiting"]["alive_at"]
    pipe.open("w").close()
    assert scripts.ended(una, second)["output"] == scripts.ended(una, first)["output"]


def test_doctor_says_whether_the_log_has_an_alert(api_site: Site) -> None:
    found = {finding["what"]: finding for finding in api_site.crunch.run("doctor", "--json").json}
    assert found["nothing runs twice"] == {
        "what": "nothing runs twice",
        "status": "ok",
        "detail": "the log has no alert",
    }
