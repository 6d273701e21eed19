"""A git repository of Crunch scripts, and jobs of them through the API."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.api import Person, Site
from tests.support.arvados_sdks import sdk_folder

SCRIPT = '''#!/usr/bin/env python3
"""Parameters, the task's own over its job's: `ran`: file to add a line to; `counts`: file to add to, and to leave the
size of; `wait`: a pipe to wait at; `queue`: own parameters of tasks to queue; `write`: what to leave; `success`: what
to report, null: nothing."""
import json, os, subprocess
HELPER = os.path.join(os.environ["CRUNCH_BIN"], "crunch-task")
job, task = (json.loads(os.environ[kind + "_PARAMETERS"]) for kind in ("JOB", "TASK"))
said = dict(job, **task)
if said.get("ran"):
    with open(said["ran"], "a") as file:
        file.write(os.environ["TASK_UUID"] + "\\n")
if said.get("counts"):
    with open(said["counts"], "a") as file:
        file.write("x")
    said["write"] = str(os.path.getsize(said["counts"]))
if said.get("wait"):
    open(said["wait"]).read()
for own in said.get("queue", []):
    child = {"parameters": dict({"queue": [], "wait": None}, **own), "job_parameters": "all"}
    subprocess.run([HELPER, "queue"], input=json.dumps(child).encode(), check=True)
if "write" in said:
    with open(os.path.join(os.environ["TASK_OUTPUT"], said.get("name", "out.txt")), "w") as file:
        file.write(said["write"])
if said.get("success", True) is not None:
    subprocess.check_call([HELPER, "report", "--success", json.dumps(said.get("success", True))])
'''
ASK = '''#!/usr/bin/env python3
"""Asks the API what `asks` says, [verb, path, body] each (TASK, JOB: its own), and leaves the replies as out.txt.
`wait`: a pipe to wait at first."""
import json, os, ssl, subprocess, urllib.error, urllib.request
if json.loads(os.environ["JOB_PARAMETERS"]).get("wait"):
    open(json.loads(os.environ["JOB_PARAMETERS"])["wait"]).read()
own = {"TASK": os.environ["TASK_UUID"], "JOB": os.environ["JOB_UUID"]}
token = os.environ["ARVADOS_API_TOKEN"]
replies = [[0, token]] if json.loads(os.environ["JOB_PARAMETERS"]).get("tell") else []
for verb, path, body in json.loads(os.environ["JOB_PARAMETERS"])["asks"]:
    for name in own:
        path = path.replace(name, own[name])
    asked = urllib.request.Request("https://%s/%s" % (os.environ["ARVADOS_API_HOST"], path), method=verb)
    asked.add_header("Authorization", "OAuth2 " + token)
    asked.add_header("Content-Type", "application/json")
    asked.data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(asked, context=ssl._create_unverified_context()) as reply:
            replies.append([reply.status, reply.read().decode()])
    except urllib.error.HTTPError as error:
        replies.append([error.code, error.read().decode()])
with open(os.path.join(os.environ["TASK_OUTPUT"], "out.txt"), "w") as file:
    json.dump(replies, file)
subprocess.check_call([os.path.join(os.environ["CRUNCH_BIN"], "crunch-task"), "report", "--success", "true"])
'''
UNMODIFIED = Path(__file__).with_name("crunch_scripts")
AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")


# In place of an image that has the SDK in it.
LAUNCHER = """#!/bin/sh
PYTHONPATH={sdk} exec {python} -S -W ignore "$CRUNCH_SRC/unmodified/{name}"
"""


def make_repository(folder: Path, in_image: bool = False) -> str:
    """A repository with the scripts, on branch `main`; its commit. `in_image`: tasks find the SDK where they run."""
    scripts = folder / "crunch_scripts"
    scripts.mkdir(parents=True)
    (scripts / "run.py").write_text(SCRIPT)
    (scripts / "ask.py").write_text(ASK)
    for name in ("run.py", "ask.py"):
        (scripts / name).chmod(0o755)
    shutil.copytree(UNMODIFIED, scripts if in_image else folder / "unmodified", dirs_exist_ok=True)
    for script in () if in_image else UNMODIFIED.iterdir():
        launcher = LAUNCHER.format(sdk=sdk_folder(), python=sys.executable, name=script.name)
        (scripts / script.name).write_text(launcher)
        (scripts / script.name).chmod(0o755)
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "one")):
        run_git(folder, *arguments)
    return run_git(folder, "rev-parse", "HEAD")


def run_git(folder: Path, *arguments: str) -> str:
    """What git says in this folder."""
    done = subprocess.run(["git", *AUTHOR, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Scripts:
    """The site's repository `scripts`. `commit`: of its branch main. `in_image`: see `make_repository`."""

    def __init__(self, site: Site, in_image: bool = False) -> None:
        self._site = site
        self.folder = site.crunch.home / "scripts"
        self.commit = make_repository(self.folder, in_image)
        added = site.crunch.run("repository", "add", "scripts", str(self.folder))
        assert added.code == 0, added.err

    def body(self, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """What a job is created with."""
        needed = {"script": "run.py", "script_version": "main", "repository": "scripts"}
        return needed | {"script_parameters": parameters or {}} | more

    def job(self, person: Person, parameters: dict[str, Any] | None = None, **more: Any) -> Any:
        """A new job."""
        return person.post("jobs", **self.body(parameters, **more))

    def ended(self, person: Person, uuid: str) -> Any:
        """The job, when it has ended."""
        self._site.crunch.until(lambda _: self._state(person, uuid) in ("Complete", "Failed", "Cancelled") or None)
        return person.get(f"jobs/{uuid}")

    def running_task(self, person: Person, job: str) -> Any:
        """A task of the job that runs, as soon as there is one."""
        asked = {"filters": [["job_uuid", "=", job], ["state", "=", "running"]]}
        return self._site.crunch.until(lambda _: next(iter(person.get("job_tasks", **asked)["items"]), None))

    def pipe(self, name: str) -> Path:
        """A pipe for a task to wait at, until somebody has opened and closed it: `open(pipe, "w").close()`."""
        path = self._site.crunch.home / name
        os.mkfifo(path)
        return path

    def file(self, name: str) -> Path:
        """A file that tasks add to."""
        return self._site.crunch.home / name

    def _state(self, person: Person, uuid: str) -> str:
        return str(person.get(f"jobs/{uuid}")["state"])
