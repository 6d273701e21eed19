"""`crunch-job` drives one job over the API: submitted or locked, watched, cancelled; what it exits with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.apiclient import ApiClient
from gateway.crunch_job import _news
from streams.broker import free_port
from tests.conftest import CHECKOUT
from tests.support.api import Person, Site
from tests.support.crunch import Done, done
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git", "arvados-client")


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def start(person: Person, home: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ARVADOS_", "SSL_"))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway.crunch_job", *arguments],
        env=clean | person.environment(home) | {"PYTHONPATH": str(CHECKOUT)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def crunch_job(person: Person, home: Path, *arguments: str, **environment: str) -> Done:
    with start(person, home, *arguments, **environment) as process:
        return done(process)


def described(scripts: Scripts, parameters: Any, **more: Any) -> str:
    return json.dumps(scripts.body(parameters, **more))


def test_a_job_is_submitted_and_driven_to_its_end(ada: Person, scripts: Scripts, tmp_path: Path) -> None:
    ended = crunch_job(ada, tmp_path, "--job", described(scripts, {"write": "x"}), "--git-dir", str(scripts.folder))
    assert ended.code == 0, ended.err
    uuid = ended.err.split()[0]
    job = ada.get(f"jobs/{uuid}")
    assert (job["state"], job["supplied_script_version"]) == ("Complete", scripts.commit)
    lines = ended.err.splitlines()
    assert lines[0] == f"{uuid} submitted"
    assert f"{uuid} job queued" in lines
    assert lines[-1] == f"{uuid} Complete, output {job['output']}, log {job['log']}"
    again = crunch_job(ada, tmp_path, "--job", uuid, "--no-clear-tmp")
    assert (again.code, again.err.splitlines()[-1]) == (0, lines[-1])


def test_all_of_an_ended_jobs_log_is_told(
    ada: Person, scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"queue": [{"name": str(number), "write": "x"} for number in range(3)]}
    job = scripts.ended(ada, scripts.job(ada, asked)["uuid"])["uuid"]
    lines = ada.get("logs", filters=[["object_uuid", "=", job]], order="id", limit=1000)["items"]
    for name, value in ada.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for page in (2, len(lines)):
        monkeypatch.setattr("gateway.crunch_job.PAGE", page)
        told = list(_news(ApiClient(os.environ), job, 0))
        assert [line["id"] for line in told] == [line["id"] for line in lines]
    later = [line["id"] for line in _news(ApiClient(os.environ), job, lines[2]["id"])]
    assert later == [line["id"] for line in lines[3:]]


def test_a_failed_job_is_exit_code_1(ada: Person, scripts: Scripts, tmp_path: Path) -> None:
    ended = crunch_job(ada, tmp_path, "--job", described(scripts, {"success": False}))
    assert ended.code == 1
    assert " Failed, output " in ended.err.splitlines()[-1]


def test_told_to_stop_it_cancels_the_job(ada: Person, scripts: Scripts, tmp_path: Path) -> None:
    pipe = scripts.pipe("never opened")
    with start(ada, tmp_path, "--job", described(scripts, {"wait": str(pipe)})) as process:
        assert process.stderr
        uuid = process.stderr.readline().split()[0]
        process.send_signal(signal.SIGTERM)
        ended = done(process)
    assert ended.code == 1, ended.err
    assert ada.get(f"jobs/{uuid}")["state"] == "Cancelled"


def test_a_job_that_somebody_else_drives_is_left_alone_unless_forced(
    api_site: Site, ada: Person, scripts: Scripts, tmp_path: Path
) -> None:
    driver = api_site.person("driver", is_admin=True)
    pipe = scripts.pipe("both slots")
    busy = [scripts.job(ada, {"wait": str(pipe), "number": number})["uuid"] for number in range(2)]
    for uuid in busy:
        scripts.running_task(ada, uuid)
    job = scripts.job(ada, {"write": "y"})["uuid"]
    driver.post(f"jobs/{job}/lock")
    refused = crunch_job(ada, tmp_path, "--job", job)
    assert refused.code == 75
    assert refused.err.startswith(f"crunch-job: job {job} is locked by {driver.uuid}: --force-unlock ")
    with start(ada, tmp_path, "--job", job, "--force-unlock") as process:
        assert process.stderr
        assert process.stderr.readline() == f"{job} job queued\n"
        for uuid in busy:
            ada.post(f"jobs/{uuid}/cancel")
        ended = done(process)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--job", "zzzzz-8i9sb-000000000000000"), 1, "crunch-job: jobs/zzzzz-8i9sb-000000000000000: "),
        (("--job", "{not json"), 3, "crunch-job: --job: neither a uuid nor JSON: "),
        (("--job", '{"script_version": "x"}', "--git-dir", "/nowhere"), 3, "crunch-job: --git-dir: /nowhere: "),
        (("--job", '{"script": "x"}'), 1, "crunch-job: jobs: "),
    ],
)
def test_what_can_not_be_is_said_in_one_line(
    ada: Person, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = crunch_job(ada, tmp_path, *arguments)
    assert ended.code == code, ended.err
    assert ended.err.startswith(said)
    assert len(ended.err.splitlines()) == 1


def test_an_api_that_is_not_there_is_to_be_tried_again(ada: Person, tmp_path: Path) -> None:
    nobody = crunch_job(ada, tmp_path, "--job", "x", ARVADOS_API_HOST=f"127.0.0.1:{free_port()}")
    assert nobody.code == 75
    assert "gives no answer" in nobody.err
    unset = crunch_job(ada, tmp_path, "--job", "x", ARVADOS_API_TOKEN="")
    assert (unset.code, unset.err) == (3, "crunch-job: ARVADOS_API_TOKEN: is not set: see crunch-reuse token show\n")
