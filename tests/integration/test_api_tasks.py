"""Scripts for Crunch v1 that know nothing but the Arvados SDK, run as jobs; and what a task's own token can do."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.client import Client
from readmodel import queries
from schemas.claims import PurityLost
from schemas.codec import decode
from schemas.facts import Answered
from schemas.settings import UserSet
from schemas.topics import Topic
from streams.replaying import places_of
from tests.support.api import Person, Site, site
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

pytestmark = pytest.mark.needs("git", "arvados-client")
FILES = {"a.txt": "one", "b.txt": "two", "c/d.txt": "three"}
SAVE = """
    import arvados.collection, json, sys
    made = arvados.collection.Collection()
    for name, text in json.loads(sys.argv[1]).items():
        with made.open(name, "w") as f:
            f.write(text)
    made.save_new(name=sys.argv[2])
    print(json.dumps(made.portable_data_hash()))
"""


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def saved(person: Person, files: dict[str, str], name: str) -> str:
    """The portable data hash of a new collection."""
    return str(run_sdk(person, SAVE, json.dumps(files), name))


def assumed_pure(site: Site, scripts: Scripts, script: str) -> None:
    """An operator declares the script's tasks pure."""
    declared = site.crunch.run("repository", "assume-pure", "scripts", script, "--commits", scripts.commit)
    assert declared.code == 0, declared.err


def lines_of(person: Person, pdh: str) -> list[str]:
    """What the job's output says, through the SDK."""
    return list(
        run_sdk(
            person,
            """
            import arvados, json, sys
            reader = arvados.CollectionReader(sys.argv[1])
            print(json.dumps([f.read().decode() for f in [reader.open(n, "rb") for n in sorted(reader)]]))
            """,
            pdh,
        )
    )


def test_an_unmodified_script_splits_its_input_and_its_tasks_outputs_are_joined(ada: Person, scripts: Scripts) -> None:
    job = scripts.job(ada, {"input": saved(ada, FILES, "to hash")}, script="hash-each")
    ended = scripts.ended(ada, job["uuid"])
    asked = {"filters": [["job_uuid", "=", job["uuid"]]], "order": "qsequence"}
    tasks = ada.get("job_tasks", **asked)["items"]
    assert ended["state"] == "Complete", tasks
    assert [task["sequence"] for task in tasks] == [0, 1, 1, 1]
    assert {task["is_pure"] for task in tasks} == {False}
    assert "+A" in tasks[1]["parameters"]["input"]
    [text] = lines_of(ada, ended["output"])
    wanted = [f"{hashlib.md5(data.encode()).hexdigest()} {os.path.basename(name)}" for name, data in FILES.items()]
    assert text.splitlines() == wanted
    [log] = lines_of(ada, ended["log"])
    assert f"{job['uuid']} the output is {ended['output']}" in log.splitlines()


def test_where_its_tasks_are_declared_pure_they_run_once(api_site: Site, scripts: Scripts) -> None:
    eve = api_site.person("eve")
    assumed_pure(api_site, scripts, "hash-each")
    asked = {"input": saved(eve, FILES, "to hash once")}
    first = scripts.ended(eve, scripts.job(eve, asked, script="hash-each")["uuid"])
    second = scripts.ended(eve, scripts.job(eve, asked, script="hash-each")["uuid"])
    states = [
        [task["state"] for task in eve.get("job_tasks", filters=[["job_uuid", "=", job["uuid"]]])["items"]]
        for job in (first, second)
    ]
    assert states == [["complete"] * 4, ["copied"] * 4]
    assert first["output"] == second["output"]


# --- A task's own token -----------------------------------------------------------------------------------------------


def replies(site: Site, scripts: Scripts, person: Person, asks: list[Any], **more: Any) -> list[tuple[int, str]]:
    """What a task hears that asks the API."""
    parameters = {"asks": asks} | more.pop("parameters", {})
    return replies_of(site, scripts, person, scripts.job(person, parameters, script="ask.py", **more)["uuid"])


def replies_of(site: Site, scripts: Scripts, person: Person, uuid: str) -> list[tuple[int, str]]:
    """What the task of this job hears."""
    job = scripts.ended(person, uuid)
    assert job["state"] == "Complete", job
    folder = scripts.file(f"output-{job['uuid']}")
    done = site.crunch.run("get", job["uuid"], str(folder), "--as", person.get("users/current")["username"])
    assert done.code == 0, done.err
    return [tuple(reply) for reply in json.loads((folder / "out.txt").read_text())]


def test_a_pure_task_hears_of_nothing_but_what_it_names(api_site: Site, ada: Person, scripts: Scripts) -> None:
    pdh, other = saved(ada, {"x": "named"}, "named"), saved(ada, {"x": "not named"}, "not named")
    [named] = ada.get("collections", filters=[["name", "=", "named"]])["items"]
    by_uuid = named["uuid"].replace("-4zz18-", "%2D4zz18-")  # no parameter may hold a collection's uuid
    escaped = other.replace("+", "%2B")  # a hash that stands in a text as it is would be named by it
    holds = json.dumps({"portable_data_hash": other}).replace("+", "\\u002b")
    theirs = scripts.ended(ada, scripts.job(ada)["uuid"])["uuid"]
    asks = [
        (200, ["GET", "arvados/v1/job_tasks/TASK", None]),
        (200, ["GET", "arvados/v1/jobs/TASK", None]),
        (200, ["GET", "arvados/v1/jobs/JOB", None]),
        (200, ["GET", f"arvados/v1/collections/{pdh}", None]),
        (200, ["GET", "arvados/v1/keep_services/accessible", None]),
        (200, ["PUT", "arvados/v1/job_tasks/TASK", {"progress": 0.5}]),
        (403, ["GET", f"arvados/v1/collections/{escaped}", None]),
        (403, ["GET", f"arvados/v1/collections/{by_uuid}", None]),
        (403, ["GET", "arvados/v1/users/current", None]),
        (403, ["GET", "arvados/v1/jobs", None]),
        (403, ["GET", f"arvados/v1/jobs/{theirs}", None]),
        (403, ["PUT", "arvados/v1/jobs/JOB", {"description": "x"}]),
        (403, ["POST", "arvados/v1/groups", {"name": "by a task"}]),
        (200, ["POST", "arvados/v1/collections", {"portable_data_hash": pdh}]),
        (403, ["POST", "arvados/v1/collections", {"collection": holds}]),
        (403, ["POST", "arvados/v1/collections", {"manifest_text": "", "name": "of a task"}]),
        (403, ["DELETE", "arvados/v1/job_tasks/TASK", None]),
    ]
    more = {"parameters": {"input": pdh, "secret": "s3cret"}, "job_parameters": ["asks", "input"]}
    heard = replies(api_site, scripts, ada, [ask for _, ask in asks], is_pure=True, **more)
    assert [status for status, _ in heard] == [status for status, _ in asks]
    assert "s3cret" not in str(heard)
    own = json.loads(heard[2][1])
    assert set(own["script_parameters"]) == {"asks", "input"}
    impure = replies(api_site, scripts, ada, [ask for _, ask in asks[:-1]], **more | {"job_parameters": None})
    assert {status for status, _ in impure} == {200}
    assert "s3cret" in impure[2][1]


def test_a_tasks_token_is_its_owners_and_ends_with_it(api_site: Site, ada: Person, scripts: Scripts) -> None:
    theirs = scripts.ended(ada, scripts.job(ada)["uuid"])["uuid"]
    ben = api_site.person("ben")
    asks = [["GET", f"arvados/v1/jobs/{theirs}", None], ["GET", "arvados/v1/users/current", None]]
    told, *heard = replies(api_site, scripts, ben, asks, parameters={"tell": True})
    assert [status for status, _ in heard] == [404, 200]
    assert json.loads(heard[1][1])["uuid"] == ben.uuid
    later = Person(api_site, ben.uuid, told[1])
    assert later.ask("GET", "users/current").status_code == 401
    changed = Person(api_site, ben.uuid, told[1][:-3] + "abc")
    assert changed.ask("GET", "users/current").status_code == 401
    for person in (later, changed):
        person.session.close()


def test_a_running_tasks_token_ends_with_its_user_and_it_still_reports(api_site: Site, scripts: Scripts) -> None:
    kim = api_site.person("kim")
    pipe = scripts.pipe("shut out")
    asks = [["GET", "arvados/v1/users/current", None], ["GET", "arvados/v1/job_tasks/TASK", None]]
    job = scripts.job(kim, {"asks": asks, "wait": str(pipe)}, script="ask.py")["uuid"]
    scripts.running_task(kim, job)
    change = UserSet(user=kim.uuid, name="kim", is_admin=False, is_active=False)
    api_site.set_user(change)
    open(pipe, "w").close()

    def ended(client: Client) -> bool | None:
        found = queries.job(client.rows, kim.uuid, job)
        return (found is not None and found.state in ("complete", "failed")) or None

    api_site.crunch.until(ended)
    api_site.set_user(msgspec.structs.replace(change, is_active=True))
    heard = replies_of(api_site, scripts, kim, job)
    assert [status for status, _ in heard] == [401, 401]


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_task_whose_execution_was_taken_over_still_reports(
    api_site: Site, ada: Person, scripts: Scripts, how: str
) -> None:
    pipe = scripts.pipe(f"taken over, {how}")
    asks = [
        ["PUT", "arvados/v1/job_tasks/TASK", {"progress": 0.5}],
        ["PUT", "arvados/v1/job_tasks/TASK", {"success": True}],
    ]
    asked = {"asks": asks, "wait": str(pipe)}
    first = scripts.job(ada, asked, script="ask.py", is_pure=True)["uuid"]
    scripts.running_task(ada, first)
    second = scripts.job(ada, asked, script="ask.py", is_pure=True)["uuid"]
    if how == "deleted":
        assert ada.ask("DELETE", f"jobs/{first}").status_code == 200
        assert ada.ask("GET", f"jobs/{first}").status_code == 404
    else:
        ada.post(f"jobs/{first}/cancel")
    open(pipe, "w").close()
    heard = replies_of(api_site, scripts, ada, second)
    assert [status for status, _ in heard] == [200, 200], heard


def lost_and_made(made: Site, group: str) -> tuple[int, int]:
    """When it was answered that a task's purity is lost by making something, and when this group was asked for (ms)."""
    with Client(made.crunch.session()) as client:
        places = [
            place for topic in (Topic.CLAIMS, Topic.FACTS, Topic.SETTINGS) for place in places_of(client.log, topic)
        ]
        log_ids = {place: client.log.genesis(place).log_id for place in places}
        read = [(place, stored) for place in places for stored in client.log.read(place, 1, 10_000)]
    found = [(log_ids[place], stored, decode(place.topic, stored.value)) for place, stored in read]
    [lost] = [
        (log_id, stored.offset)
        for log_id, stored, envelope in found
        if isinstance(envelope.body, PurityLost) and envelope.body.access.startswith("create")
    ]
    [answered] = [
        stored.time
        for _, stored, envelope in found
        if isinstance(envelope.body, Answered) and (envelope.cause.log_id, envelope.cause.offset) == lost
    ]
    [asked] = [s.time for _, s, envelope in found if getattr(envelope.body, "name", "") == group]
    return answered, asked


def test_monitored_a_pure_task_is_answered_and_pure_no_more(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[api]\npurity = "monitor"\n')
    with site("--config", str(config)) as made:
        ada, scripts = made.person("ada"), Scripts(made)
        asks = [["GET", "arvados/v1/job_tasks/TASK", None], ["GET", "arvados/v1/users/current", None]]
        heard = replies(made, scripts, ada, [*asks, asks[0]], is_pure=True)
        assert [status for status, _ in heard] == [200, 200, 200]
        assert json.loads(heard[0][1])["is_pure"] is True
        again = replies(made, scripts, ada, [*asks, asks[0]], is_pure=True)
        assert [status for status, _ in again] == [200, 200, 200]
        assert [task["state"] for task in ada.get("job_tasks")["items"]] == ["complete", "complete"]
        making = ["POST", "arvados/v1/groups", {"name": "by a task"}]
        assert [status for status, _ in replies(made, scripts, ada, [making], is_pure=True)] == [200]
        lost, asked = lost_and_made(made, "by a task")
        assert lost <= asked, "it was done before its task was known to be pure no more"


def test_a_manifest_that_nobody_proved_is_given_to_nobody_signed(ada: Person, api_site: Site, scripts: Scripts) -> None:
    mine = ada.get(f"collections/{saved(ada, {'x': 'private'}, 'private')}")["manifest_text"]
    plain = mine.split("+A")[0] + " " + mine.split(" ", 2)[2]
    ben = api_site.person("ben")
    pipe = scripts.pipe("proof")
    job = scripts.job(ben, {"wait": str(pipe)})["uuid"]
    task = {"job_uuid": job, "sequence": 1}
    for text in (mine, plain):
        made = ben.post("job_tasks", parameters={"input": text, "wait": None}, **task)
        assert made["parameters"]["input"] == plain
    open(pipe, "w").close()
    assert scripts.ended(ben, job)["state"] == "Complete"
