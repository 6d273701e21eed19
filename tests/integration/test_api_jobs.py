"""Jobs and tasks over HTTP: what a client of Arvados v1 asks, and what becomes of it."""

import subprocess
from typing import Any

import pytest

from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
COLLECTION_UUID = "zzzzz-4zz18-0123456789abcde"


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


@pytest.fixture
def ben(api_site: Site) -> Person:
    return api_site.person("ben")


def released(pipe: Any) -> None:
    with open(pipe, "w"):
        """Whoever waits at it goes on."""


# --- Create, read -----------------------------------------------------------------------------------------------------


def test_a_job_runs_and_its_output_is_there_for_who_may_read_it(ada: Person, ben: Person, scripts: Scripts) -> None:
    asked = {"write": "hello", "n": [1, {"deep": None}]}
    more = {"description": "a try", "nondeterministic": True, "priority": 3}
    made = scripts.job(ada, asked, runtime_constraints={"min_cores_per_node": 1, "max_tasks_per_node": 2}, **more)
    assert made["script_version"] == scripts.commit
    assert made["supplied_script_version"] == "main"
    assert made["script_parameters"] == asked
    assert made["runtime_constraints"] == {"min_cores_per_node": 1, "max_tasks_per_node": 2}
    assert {name: made[name] for name in more} == more
    assert (made["script"], made["repository"], made["parent_job_uuid"]) == ("run.py", "scripts", None)
    assert made["is_pure"] is False
    ended = scripts.ended(ada, made["uuid"])
    assert (ended["state"], ended["running"], ended["success"]) == ("Complete", False, True)
    assert ended["tasks_summary"] == {"todo": 0, "running": 0, "done": 1, "failed": 0}
    assert ended["started_at"] <= ended["finished_at"]
    assert "out.txt" in ada.get(f"collections/{ended['output']}")["manifest_text"]
    [task] = ada.get("job_tasks", filters=[["job_uuid", "=", made["uuid"]]])["items"]
    assert (task["sequence"], task["qsequence"], task["success"], task["progress"]) == (0, 0, True, 1.0)
    assert task["job_parameters"] == ["all"]
    as_job = ada.get(f"jobs/{task['uuid']}")
    assert (as_job["parent_job_uuid"], as_job["state"]) == (made["uuid"], "Complete")
    for path in (f"jobs/{made['uuid']}", f"job_tasks/{task['uuid']}", f"collections/{ended['output']}"):
        absent = ben.ask("GET", path)
        assert absent.status_code == 404
        assert absent.json()["errors"] == ben.ask("GET", f"{path[:-3]}zzz").json()["errors"]
    assert made["uuid"] not in ben.ask("GET", "jobs").text


@pytest.mark.parametrize(
    "more",
    [
        {"runtime_constraints": {"x": "\0"}},
        {"runtime_constraints": {"x": [{"\0": 1}]}},
        {"runtime_constraints": '{"x": "\\u0000"}'},
        {"runtime_constraints": {"\ud800": 1}},
        {"description": "\ud800"},
    ],
)
def test_text_that_can_not_be_stored_is_refused_and_lists_go_on(
    ada: Person, scripts: Scripts, more: dict[str, Any]
) -> None:
    for body in (scripts.body(**more), {"job": scripts.body(**more)}):
        refused = ada.ask("POST", "jobs", json=body)
        assert refused.status_code == 422, refused.text
        assert "NUL" in refused.text
    assert ada.ask("GET", "jobs", params={"filters": '[["description","!=","x"]]'}).status_code == 200


@pytest.mark.parametrize("missing", ["script", "script_version", "repository", "script_parameters"])
def test_what_must_be_given_is_named(ada: Person, scripts: Scripts, missing: str) -> None:
    body = {name: value for name, value in scripts.body({}).items() if name != missing}
    response = ada.ask("POST", "jobs", json={"job": body})
    assert response.status_code == 422
    assert missing in response.text


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"script_version": "no-such-branch"}, "script_version"),
        ({"script_version": "--upload-pack=x"}, "script_version"),
        ({"repository": "/etc"}, "repository"),
        ({"repository": "../scripts"}, "repository"),
        ({"repository": "https://example.invalid/x.git"}, "repository"),
        ({"script": "../../etc/passwd"}, "script"),
        ({"script_parameters": [1]}, "script_parameters"),
        ({"script_parameters": {"in": f"see {COLLECTION_UUID}"}}, "portable_data_hash instead of collection uuid"),
        ({"script_parameters": {"in": "0" * 32 + "+9/x"}}, "no content that you may read"),
        ({"script_parameters": {"n": 2**60}}, "2^53"),
        ({"script_parameters": {"large": "x" * 300_000}}, "script_parameters"),
        ({"runtime_constraints": "many"}, "runtime_constraints"),
        ({"runtime_constraints": {"min_cores_per_node": -1}}, "min_cores_per_node"),
        ({"runtime_constraints": {"min_cores_per_node": 10**9}}, "cores"),
        ({"priority": "high"}, "priority"),
        ({"priority": 2**60}, "priority"),
        ({"is_pure": "perhaps"}, "is_pure"),
        ({"is_pure": None}, "is_pure: can't be null"),
        ({"job_parameters": ["not one of them"]}, "job_parameters"),
        ({"no_such": 1}, "no_such"),
        ({"parent_job_uuid": "zzzzz-8i9sb-aaaaaaaaaaaaaaa"}, "job_uuid"),
    ],
)
def test_what_can_not_be_taken_is_named(
    ada: Person, scripts: Scripts, changed: dict[str, Any], named: str, api_site: Site
) -> None:
    response = ada.ask("POST", "jobs", json={"job": scripts.body() | changed})
    assert response.status_code == 422, response.text
    assert named.replace("script_parameters", "parameters") in response.text
    assert str(api_site.crunch.home) not in response.text


# --- Change -----------------------------------------------------------------------------------------------------------


def test_cancel_again_is_nothing_and_on_what_has_ended_it_is_refused(ada: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("cancelled")
    job = scripts.job(ada, {"wait": str(pipe)})["uuid"]
    task = scripts.running_task(ada, job)
    assert ada.ask("POST", f"jobs/{task['uuid']}/cancel").status_code == 422
    assert ada.post(f"jobs/{job}/cancel")["state"] == "Cancelled"
    assert ada.post(f"jobs/{job}/cancel")["state"] == "Cancelled"
    assert ada.put(f"jobs/{job}", state="Cancelled")["cancelled_at"]
    assert ada.ask("PUT", f"jobs/{job}", json={"state": "Running"}).status_code == 422
    complete = scripts.ended(ada, scripts.job(ada, {})["uuid"])
    assert complete["state"] == "Complete"
    for verb, path in (("POST", "/cancel"), ("PUT", "")):
        refused = ada.ask(verb, f"jobs/{complete['uuid']}{path}", json={"state": "Cancelled"})
        assert refused.status_code == 422
        assert "complete" in refused.text


def test_a_job_says_what_clients_say_of_it_and_goes_on_by_itself(ada: Person, scripts: Scripts) -> None:
    job = scripts.ended(ada, scripts.job(ada, components={"one": "part"})["uuid"])
    assert job["components"] == {"one": "part"}
    assert ada.put(f"jobs/{job['uuid']}", job=job | {"components": {"other": 1}})["components"] == {"other": 1}
    for said in ({"success": False}, {"running": True}, {"state": "Running"}, {"cancelled_at": "2014-10-06"}):
        refused = ada.ask("PUT", f"jobs/{job['uuid']}", json=said)
        assert refused.status_code == 422, said
    assert ada.put(f"jobs/{job['uuid']}", success=True, running=False)["state"] == "Complete"


def test_a_job_can_be_locked_once_while_it_is_queued(api_site: Site, ada: Person, scripts: Scripts) -> None:
    pipes = [scripts.pipe(f"busy-{number}") for number in range(2)]
    busy = [scripts.job(ada, {"wait": str(pipe)})["uuid"] for pipe in pipes]  # as many as there are slots
    for job in busy:
        scripts.running_task(ada, job)
    low, high = (scripts.job(ada, {}, priority=priority)["uuid"] for priority in (1, 9))
    queue = ada.get("jobs/queue")
    assert [job["uuid"] for job in queue["items"]] == [high, low]
    assert queue["items"][0]["queue_position"] == 0
    assert ada.get("jobs/queue_size")["queue_size"] >= 2
    assert api_site.person("onlooker").get("jobs/queue_size")["queue_size"] == 0
    assert ada.post(f"jobs/{low}/lock")["is_locked_by_uuid"] == ada.uuid
    assert ada.ask("POST", f"jobs/{low}/lock").status_code == 422
    assert ada.ask("POST", f"jobs/{busy[0]}/lock").status_code == 422
    for pipe in pipes:
        released(pipe)
    for job in (*busy, low, high):
        assert scripts.ended(ada, job)["state"] == "Complete"
    gone = ada.delete(f"jobs/{low}")
    assert gone["uuid"] == low
    assert ada.ask("GET", f"jobs/{low}").status_code == 404
    assert ada.get("job_tasks", filters=[["job_uuid", "=", low]])["items"] == []


def test_nobody_changes_what_is_anothers(ada: Person, ben: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("not yours")
    job = scripts.job(ada, {"wait": str(pipe)})["uuid"]
    task = scripts.running_task(ada, job)["uuid"]
    asks = [
        ("PUT", f"jobs/{job}", {"description": "x"}),
        ("POST", f"jobs/{job}/cancel", {}),
        ("POST", f"jobs/{job}/lock", {}),
        ("DELETE", f"jobs/{job}", {}),
        ("PUT", f"job_tasks/{task}", {"success": False}),
        ("DELETE", f"job_tasks/{task}", {}),
    ]
    assert {ben.ask(verb, path, json=body).status_code for verb, path, body in asks} == {404}
    assert ben.ask("POST", "job_tasks", json={"job_uuid": job}).status_code == 422
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": ben.uuid, "head_uuid": ada.uuid}
    grant = ada.post("links", **link)["uuid"]
    assert ben.get(f"jobs/{job}")["state"] == "Running"
    assert {ben.ask(verb, path, json=body).status_code for verb, path, body in asks} == {403}
    assert ben.ask("POST", "job_tasks", json={"job_uuid": job}).status_code == 403
    ada.delete(f"links/{grant}")
    released(pipe)
    assert scripts.ended(ada, job)["state"] == "Complete"


# --- Purity -----------------------------------------------------------------------------------------------------------


def test_purity_is_promised_at_creation_and_only_taken_back(ada: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("pure")
    job = scripts.job(ada, {"wait": str(pipe)}, is_pure=True)
    assert job["is_pure"] is True
    task = scripts.running_task(ada, job["uuid"])
    assert task["is_pure"] is True
    added = ada.post("job_tasks", job_uuid=job["uuid"], parameters={"wait": None}, sequence=1, is_pure=True)
    assert (added["is_pure"], added["job_parameters"], added["sequence"]) == (True, [], 1)
    assert ada.put(f"job_tasks/{added['uuid']}", is_pure=False)["is_pure"] is False
    assert ada.put(f"jobs/{job['uuid']}", is_pure=False)["is_pure"] is False
    for path in (f"job_tasks/{added['uuid']}", f"jobs/{job['uuid']}"):
        refused = ada.ask("PUT", path, json={"is_pure": True})
        assert refused.status_code == 422
        assert "only at creation" in refused.text
    released(pipe)
    assert scripts.ended(ada, job["uuid"])["state"] == "Complete"


def test_the_same_pure_work_is_copied_for_who_may_see_it(ada: Person, ben: Person, scripts: Scripts) -> None:
    ran = scripts.file("ran")
    asked = {"ran": str(ran), "queue": [{"name": "a", "write": "a"}, {"name": "b", "write": "b"}]}
    first = scripts.ended(ada, scripts.job(ada, asked, is_pure=True)["uuid"])
    second = scripts.ended(ada, scripts.job(ada, asked, is_pure=True)["uuid"])
    theirs = scripts.ended(ben, scripts.job(ben, asked, is_pure=True)["uuid"])
    assert first["output"] == second["output"] == theirs["output"]
    tasks = ada.get("job_tasks", filters=[["job_uuid", "=", second["uuid"]]], order="qsequence")["items"]
    assert [task["state"] for task in tasks] == ["copied", "complete", "complete"]
    assert tasks[0]["reused_from"] in ada.ask("GET", "job_tasks", params={"limit": 1000}).text
    assert tasks[1]["created_by_job_task_uuid"] == tasks[0]["uuid"]
    own = ben.get("job_tasks", filters=[["job_uuid", "=", theirs["uuid"]], ["state", "=", "copied"]])
    assert own["items"] == []
    assert len(ran.read_text().splitlines()) == 3 + 2 + 3


def test_a_task_that_names_no_creator_runs_too(ada: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("without a creator")
    job = scripts.job(ada, {"wait": str(pipe)})["uuid"]
    scripts.running_task(ada, job)
    added = ada.post("job_tasks", job_uuid=job, parameters={"wait": None}, sequence=1)["uuid"]
    released(pipe)
    assert scripts.ended(ada, job)["state"] == "Complete"
    task = ada.get(f"job_tasks/{added}")
    assert (task["state"], task["created_by_job_task_uuid"]) == ("complete", None)


def test_a_task_that_has_ended_is_removed_and_is_what_is_replied(ada: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("to be removed")
    job = scripts.job(ada, {"wait": str(pipe)})["uuid"]
    task = scripts.running_task(ada, job)["uuid"]
    early = ada.ask("DELETE", f"job_tasks/{task}")
    assert (early.status_code, "running" in early.text) == (422, True)
    released(pipe)
    scripts.ended(ada, job)
    was = ada.get(f"job_tasks/{task}")
    assert ada.delete(f"job_tasks/{task}") == was
    assert was["job_uuid"] == job
    assert ada.ask("GET", f"job_tasks/{task}").status_code == 404


# --- Tasks ------------------------------------------------------------------------------------------------------------


def test_a_running_task_is_reported_on_and_queues_tasks(ada: Person, scripts: Scripts) -> None:
    pipe = scripts.pipe("reported")
    job = scripts.job(ada, {"wait": str(pipe), "success": None})["uuid"]
    task = scripts.running_task(ada, job)["uuid"]
    text = ada.post("collections", name="for a task")["manifest_text"]
    said = ada.put(f"job_tasks/{task}", progress=0.5, success=True, output=text)
    assert (said["progress"], said["success"]) == (0.5, True)
    child = ada.post(
        "job_tasks",
        job_uuid=job,
        created_by_job_task_uuid=task,
        sequence=1,
        parameters={"wait": None, "success": True, "write": "child"},
    )
    assert child["created_by_job_task_uuid"] == task
    released(pipe)
    ended = scripts.ended(ada, job)
    assert ended["state"] == "Complete"
    tasks = ada.get("job_tasks", filters=[["job.uuid", "=", job]], order="qsequence")["items"]
    assert [one["created_by_job_task_uuid"] for one in tasks] == [None, task]
    assert tasks[1]["parameters"]["write"] == "child"
    assert "out.txt" in ada.get(f"collections/{ended['output']}")["manifest_text"]
    late = ada.ask("PUT", f"job_tasks/{task}", json={"progress": 0.7})
    assert late.status_code == 422
    assert ada.ask("POST", "job_tasks", json={"job_uuid": job}).status_code == 422


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "job_uuid"),
        ({"job_uuid": "zzzzz-8i9sb-aaaaaaaaaaaaaaa"}, "job_uuid"),
        ({"created_by_job_task_uuid": "zzzzz-8i9sb-aaaaaaaaaaaaaaa"}, "created_by_job_task_uuid"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": "one"}, "sequence"),
        ({"parameters": []}, "parameters"),
        ({"is_pure": None}, "is_pure: can't be null"),
        ({"job_parameters": "all of them"}, "job_parameters"),
    ],
)
def test_a_task_that_can_not_be_is_refused(ada: Person, scripts: Scripts, body: dict[str, Any], named: str) -> None:
    job = scripts.ended(ada, scripts.job(ada)["uuid"])["uuid"]
    response = ada.ask("POST", "job_tasks", json=({"job_uuid": job} if body else {}) | body)
    assert response.status_code == 422, response.text
    assert named in response.text


def test_a_failed_job_says_why(ada: Person, scripts: Scripts) -> None:
    failed = scripts.ended(ada, scripts.job(ada, {"success": False})["uuid"])
    assert (failed["state"], failed["success"]) == ("Failed", False)
    silent = scripts.ended(ada, scripts.job(ada, {"success": None})["uuid"])
    assert silent["state"] == "Failed"
    [task] = ada.get("job_tasks", filters=[["job_uuid", "=", silent["uuid"]]])["items"]
    assert task["failed_because"]


def test_a_repository_that_is_forgotten_is_unknown(api_site: Site, ada: Person, scripts: Scripts) -> None:
    def known(person: Person) -> set[str]:
        return {one["name"] for one in person.get("repositories")["items"]}

    subprocess.run(["git", "clone", "-q", str(scripts.folder), str(scripts.file("clone"))], check=True)
    ben = api_site.person("ben")
    open_to_all = known(ben)
    assert api_site.crunch.run("repository", "add", "mine", str(scripts.file("clone")), "--owner", "ada").code == 0
    assert known(ada) == open_to_all | {"mine"}
    assert known(ben) == open_to_all
    assert scripts.job(ada, repository="mine")["repository"] == "mine"
    assert ben.ask("POST", "jobs", json=scripts.body(repository="mine")).status_code == 422
    assert api_site.crunch.run("repository", "remove", "mine").code == 0
    assert ada.ask("POST", "jobs", json=scripts.body(repository="mine")).status_code == 422
