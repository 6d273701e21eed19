"""Every attribute of jobs and tasks is written, when it is made and later: what is answered with 200 came to be so.

An attribute is honoured, or refused with its name; no write is answered as if it had been done and passed over. What
v1's servers say themselves whatever is sent (`PASSED_OVER`) is all that may come back as something else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import requests

from gateway.api.refusals import PASSED_OVER
from gateway.api.schema import JOB_TASKS, JOBS, Resource
from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
BY_KIND: dict[str, Any] = {
    **dict.fromkeys(("string", "text"), "something else"),
    "datetime": "2014-10-06T00:00:00.000000000Z",
    "integer": 7,
    "float": 0.5,
    "boolean": True,
    "hash": {"a": [1, None]},
    "array": ["n"],
}
NUMBERS = count()
OF_TASKS = {"created_by_job_task_uuid", "sequence"}
OF_JOBS = {"submit_id", "description", "nondeterministic", "components"}


@pytest.fixture
def vera(api_site: Site) -> Person:
    return api_site.person("vera")


@pytest.fixture
def running(vera: Person, scripts: Scripts) -> Iterator[dict[str, Any]]:
    """A job of hers that runs, and goes on doing so."""
    with waiting(vera, scripts) as job:
        yield job


@contextmanager
def waiting(vera: Person, scripts: Scripts, **more: Any) -> Iterator[dict[str, Any]]:
    pipe = scripts.pipe(f"attributes-{next(NUMBERS)}")
    job = scripts.job(vera, {"wait": str(pipe), "n": 1}, priority=2, description="as it was", **more)
    scripts.running_task(vera, job["uuid"])
    yield vera.get(f"jobs/{job['uuid']}")
    vera.post(f"jobs/{job['uuid']}/cancel")


def settable(resource: Resource, when: str) -> set[str]:
    return {one.name for one in resource.attributes if one.write in (when, "both")}


def outcomes(resource: Resource, values: dict[str, Any], write: Any) -> tuple[set[str], set[str]]:
    """Names of attributes that were refused, and of those that came to be something else than was written."""
    refused, otherwise = set(), set()
    for one in resource.attributes:
        value = values.get(one.name, BY_KIND[one.kind])
        response: requests.Response = write(one.name, value)
        assert response.status_code in (200, 422), (one.name, response.text)
        if response.status_code == 422:
            assert one.name in response.text or "state: can't go from" in response.text, (one.name, response.text)
            refused.add(one.name)
        elif response.json()[one.name] != value:
            otherwise.add(one.name)
    return refused, otherwise


def of_a_group(vera: Person) -> str:
    return str(vera.post("groups", name="vera's", group_class="project")["uuid"])


# --- Made -------------------------------------------------------------------------------------------------------------


def test_a_new_job_has_what_was_said_of_it_or_is_not_made(vera: Person, scripts: Scripts) -> None:
    values = {
        "owner_uuid": of_a_group(vera),
        "submit_id": "all attributes",
        "script": "ask.py",
        "script_version": scripts.commit,
        "repository": "scripts",
        "script_parameters": {"n": 1, "deep": [{"a": None}]},
        "runtime_constraints": {"min_cores_per_node": 1, "max_tasks_per_node": 3},
        "parent_job_uuid": None,
        "job_parameters": ["n"],
        "share": "by_inputs",
    }

    def write(name: str, value: Any) -> requests.Response:
        response = vera.ask("POST", "jobs", json=scripts.body({"n": 1}) | {name: value})
        if response.status_code == 200:
            vera.post(f"jobs/{response.json()['uuid']}/cancel")
        return response

    refused, otherwise = outcomes(JOBS, values, write)
    assert refused == set(JOBS.names) - settable(JOBS, "create") - PASSED_OVER | OF_TASKS
    assert otherwise == PASSED_OVER


@pytest.mark.parametrize("is_queued_by_a_running_one", [False, True])
def test_a_new_task_has_what_was_said_of_it_or_is_not_made(
    vera: Person, scripts: Scripts, running: dict[str, Any], is_queued_by_a_running_one: bool
) -> None:
    creator = scripts.running_task(vera, running["uuid"])["uuid"] if is_queued_by_a_running_one else None
    values = {
        "owner_uuid": vera.uuid,
        "script": "ask.py",
        "script_version": scripts.commit,
        "repository": "scripts",
        "runtime_constraints": {
            "min_cores_per_node": 1,
            "min_ram_mb_per_node": 100,
            "min_scratch_mb_per_node": 1024,
        },
        "parent_job_uuid": running["uuid"],
        "job_uuid": running["uuid"],
        "created_by_job_task_uuid": creator,
        "priority": 2,
        "no_reuse": False,
        "share": "visible",
    }

    def write(resource: Resource, job: str) -> Any:
        needed = {job: running["uuid"], "sequence": 9, "created_by_job_task_uuid": creator}
        return lambda name, value: vera.ask("POST", resource.name, json=needed | {name: value})

    refused, otherwise = outcomes(JOBS, values, write(JOBS, "parent_job_uuid"))
    assert refused == set(JOBS.names) - settable(JOBS, "create") - PASSED_OVER | OF_JOBS
    assert otherwise == PASSED_OVER
    refused, otherwise = outcomes(JOB_TASKS, values, write(JOB_TASKS, "job_uuid"))
    assert refused == set(JOB_TASKS.names) - settable(JOB_TASKS, "create") - PASSED_OVER
    assert otherwise == PASSED_OVER


@pytest.mark.parametrize(
    ("name", "value"), [("priority", 3), ("no_reuse", True), ("owner_uuid", "zzzzz-tpzed-000000000000000")]
)
def test_a_task_is_under_its_jobs_policy(vera: Person, running: dict[str, Any], name: str, value: Any) -> None:
    refused = vera.ask("POST", "jobs", json={"parent_job_uuid": running["uuid"], name: value})
    assert (refused.status_code, f"{name}: a task has its job's" in refused.text) == (422, True)


def test_a_task_that_is_added_takes_no_outputs_where_its_job_takes_none(vera: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("no reuse")
    job = scripts.job(vera, {"wait": str(pipe)}, no_reuse=True)["uuid"]
    scripts.running_task(vera, job)
    added = vera.post("job_tasks", job_uuid=job, sequence=1, is_pure=True)["uuid"]
    assert vera.get(f"jobs/{added}")["no_reuse"] is True
    vera.post(f"jobs/{job}/cancel")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"state": "Running"}, "state: a new one is queued"),
        ({"state": "Complete"}, "state: a new one is queued"),
        ({"running": True}, "running: a new one is queued"),
        ({"success": False}, "success: a new one is queued"),
        ({"is_locked_by_uuid": "zzzzz-tpzed-000000000000000"}, "is_locked_by_uuid: POST jobs/UUID/lock"),
        ({"runtime_constraints": {"arvados_sdk_version": "master"}}, "runtime_constraints.arvados_sdk_version: no SDK"),
        ({"arvados_sdk_version": "4fe459abe02d9b365932b8f5dc419439ab4e2577"}, "arvados_sdk_version: the image says"),
    ],
)
def test_a_job_that_its_client_would_run_is_not_made(
    vera: Person, scripts: Scripts, body: dict[str, Any], named: str
) -> None:
    for sent in (scripts.body() | body, {"job": scripts.body() | body}):
        refused = vera.ask("POST", "jobs", json=sent)
        assert (refused.status_code, named in refused.text) == (422, True), refused.text


def test_what_is_so_anyway_may_be_said(vera: Person, scripts: Scripts, running: dict[str, Any]) -> None:
    none = {"is_locked_by_uuid": None, "success": None, "started_at": None, "arvados_sdk_version": None}
    made = vera.post("jobs", job=scripts.body(**none) | {"state": "Queued", "running": False, "queue_position": 0})
    assert made["is_locked_by_uuid"] is None
    task = {"job_uuid": running["uuid"], "sequence": 4, "success": None, "qsequence": None, "progress": 0.0}
    assert vera.post("job_tasks", job_task=task)["sequence"] == 4


# --- Changed ----------------------------------------------------------------------------------------------------------


def test_a_job_is_what_was_said_of_it_or_is_not_changed(vera: Person, running: dict[str, Any]) -> None:
    place = f"jobs/{running['uuid']}"
    values = {"running": False, "cancelled_at": None, "priority": -5, "is_pure": False}
    refused, otherwise = outcomes(JOBS, values, lambda name, value: vera.ask("PUT", place, json={name: value}))
    states = {"state", "running", "success"}
    assert refused == set(JOBS.names) - settable(JOBS, "update") - PASSED_OVER | states
    assert otherwise == PASSED_OVER
    for name in JOBS.names:
        response = vera.ask("PUT", place, json={name: None})
        if name not in PASSED_OVER | {"components"}:
            assert (response.status_code, response.json().get(name, name)) in ((200, None), (422, name)), name
    assert vera.put(place, components=None)["components"] == {}
    now = vera.get(place)
    assert (now["priority"], now["state"]) == (-5, "Running")
    assert vera.put(place, cancelled_at="2014-10-06", success=False, running=False)["state"] == "Cancelled"


def test_a_task_is_what_was_said_of_it_or_is_not_changed(
    vera: Person, scripts: Scripts, running: dict[str, Any]
) -> None:
    task = scripts.running_task(vera, running["uuid"])["uuid"]
    output = vera.post("collections", name="what a task left")["portable_data_hash"]
    values = {"output": output, "is_pure": False, "success": False}

    def write(name: str, value: Any) -> requests.Response:
        return vera.ask("PUT", f"job_tasks/{task}", json={name: value})

    refused, otherwise = outcomes(JOB_TASKS, values, write)
    assert refused == set(JOB_TASKS.names) - settable(JOB_TASKS, "update") - PASSED_OVER
    assert otherwise == PASSED_OVER
    for name in ("output", "progress", "success"):
        assert (write(name, None).status_code, name in write(name, None).text) == (422, True)


def test_an_object_that_was_read_may_be_sent_back(vera: Person, scripts: Scripts, running: dict[str, Any]) -> None:
    task = scripts.running_task(vera, running["uuid"])
    vera.post("job_tasks", job_uuid=running["uuid"], sequence=1)
    late = running | {"description": "other words"}  # its summary has one task less
    assert vera.put(f"jobs/{running['uuid']}", job=late)["description"] == "other words"
    assert vera.put(f"job_tasks/{task['uuid']}", job_task=task | {"progress": 0.25})["progress"] == 0.25
    of_another = vera.ask("PUT", f"jobs/{running['uuid']}", json={"tasks_summary": {"todo": 9}})
    assert (of_another.status_code, "tasks_summary" in of_another.text) == (422, True)
    assert vera.put(f"jobs/{running['uuid']}", job=late | {"state": "Cancelled"})["state"] == "Cancelled"


def test_who_knows_how_an_object_is_may_not_say_what_the_server_says(vera: Person, running: dict[str, Any]) -> None:
    now = vera.get(f"jobs/{running['uuid']}")
    refused = vera.ask("PUT", f"jobs/{running['uuid']}", json={"job": now | {"finished_at": "2014-10-06"}})
    assert (refused.status_code, "finished_at" in refused.text) == (422, True)


@pytest.mark.parametrize("priority", [None, 2**60])
def test_what_is_refused_has_changed_nothing(vera: Person, scripts: Scripts, priority: int | None) -> None:
    with waiting(vera, scripts, is_pure=True) as job:
        said = {"is_pure": False, "description": "other words", "priority": priority}
        assert vera.ask("PUT", f"jobs/{job['uuid']}", json=said).status_code == 422
        now = vera.get(f"jobs/{job['uuid']}")
        assert (now["is_pure"], now["description"]) == (True, "as it was")
        task = scripts.running_task(vera, job["uuid"])["uuid"]
        assert vera.ask("PUT", f"job_tasks/{task}", json={"is_pure": False, "progress": 2}).status_code == 422
        assert vera.get(f"job_tasks/{task}")["is_pure"]


# --- Priority ---------------------------------------------------------------------------------------------------------


def test_a_jobs_priority_is_that_of_its_tasks_and_of_what_they_ask(
    api_site: Site, vera: Person, scripts: Scripts, running: dict[str, Any]
) -> None:
    place = f"jobs/{running['uuid']}"
    later = vera.post("job_tasks", job_uuid=running["uuid"], sequence=5)["uuid"]
    assert vera.put(place, priority=8)["priority"] == 8
    assert vera.get(f"jobs/{later}")["priority"] == 8
    found = vera.get("jobs", filters=[["uuid", "=", running["uuid"]], ["priority", ">", 7]])
    assert [one["uuid"] for one in found["items"]] == [running["uuid"]]
    lines = vera.get("logs", filters=[["object_uuid", "=", running["uuid"]]], limit=1000)["items"]
    assert "job has priority 8 now\n" in [line["properties"].get("text") for line in lines]
    refused = vera.ask("PUT", f"jobs/{later}", json={"priority": 9})
    assert (refused.status_code, running["uuid"] in refused.text) == (422, True)
    for wrong in (2**53 + 1, -(2**60)):
        assert vera.ask("PUT", place, json={"priority": wrong}).status_code == 422
    assert api_site.crunch.run("priority", running["uuid"], "3", "--as", "vera").code == 0
    assert vera.get(place)["priority"] == 3
    ended = vera.post(f"{place}/cancel")
    refused = vera.ask("PUT", place, json={"priority": 1})
    assert (refused.status_code, "cancelled" in refused.text) == (422, True)
    told = api_site.crunch.run("priority", running["uuid"], "1", "--as", "vera")
    assert (told.code, "cancelled" in told.err) == (3, True)
    assert vera.put(place, priority=ended["priority"])["priority"] == 3


def test_what_is_more_urgent_now_is_run_first(vera: Person, scripts: Scripts) -> None:
    order = scripts.file("order of priorities")
    with waiting(vera, scripts) as one, waiting(vera, scripts):  # as many as there are slots
        made = [scripts.job(vera, {"ran": str(order)})["uuid"] for _ in range(3)]
        assert vera.put(f"jobs/{made[2]}", priority=6)["priority"] == 6
        assert vera.put(f"jobs/{made[1]}", priority=4)["priority"] == 4
        vera.post(f"jobs/{one['uuid']}/cancel")
        for job in made:
            assert scripts.ended(vera, job)["state"] == "Complete"
    tasks = {
        vera.get("job_tasks", filters=[["job_uuid", "=", job]])["items"][0]["uuid"]: rank
        for rank, job in enumerate(made)
    }
    assert [tasks[task] for task in order.read_text().split()] == [2, 1, 0]
