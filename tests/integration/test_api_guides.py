"""The guides to the API: every command and line of Python in them, run as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.api import Site
from tests.support.scripts import Scripts, make_repository, run_git
from tests.support.sdk import run_sdk

PATIENCE = 300.0


def commands(guide: str) -> str:
    """The indented blocks of a guide, one after another."""
    lines = (CHECKOUT / "docs" / guide).read_text().splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    ")) + "\n"


def python(guide: str) -> str:
    """Its blocks of Python."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / guide).read_text(), re.DOTALL))


def shell(site: Site, folder: Path, text: str) -> str:
    """What these commands print, run where `crunch-reuse` is one and leads to the site."""
    door = folder / "bin" / "crunch-reuse"
    door.parent.mkdir()
    ours = f'"{sys.executable}" -P -m gateway.cli --data-dir "{site.crunch.data}"'
    door.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" HOME="{site.crunch.home}" exec {ours} "$@"\n')
    door.chmod(0o755)
    environment = {"PATH": f"{door.parent}:{os.environ['PATH']}", "REPOSITORY": str(folder / "greetings")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=text,
        env=environment | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs("git", "curl")
def test_the_tour_with_curl(api_site: Site, tmp_path: Path) -> None:
    said = shell(api_site, tmp_path, commands("guide-curl.md"))
    assert "hello world" in said
    assert "job complete" in said


def test_the_commands_of_the_guide_to_the_api(api_site: Site, tmp_path: Path) -> None:
    teacher = api_site.person("teacher")
    uuid = api_site.crunch.run("token", "create", "--user", "teacher", "--json").json["uuid"]
    text = commands("api-guide.md").replace("UUID", uuid).replace("--user ada", "--user teacher")
    assert uuid in shell(api_site, tmp_path, text)
    assert teacher.get("users/current")["username"] == "teacher"


@pytest.mark.needs("git")
def test_the_commands_of_the_guide_to_scripts(api_site: Site, scripts: Scripts) -> None:
    """Those in its sentences, with names of this test's own."""
    pupil, teacher = api_site.person("pupil"), api_site.person("teacher")
    folder = scripts.file("genomics")
    make_repository(folder)
    (folder / "crunch_scripts" / "hash.py").write_text("")
    for arguments in (("tag", "v1.0"), ("add", "."), ("commit", "-q", "-m", "hash")):
        run_git(folder, *arguments)
    job = scripts.ended(teacher, scripts.job(teacher)["uuid"])["uuid"]
    task = teacher.get("job_tasks", filters=[["job_uuid", "=", job]])["items"][0]["uuid"]
    own = {"/path/or/url": str(folder), "TASK": task, "ben": "pupil", "ada": "teacher"}
    told = re.findall(r"`crunch-reuse ([^`]+)`", (CHECKOUT / "docs" / "guide-scripts.md").read_text())
    tried = [[own.get(word, word) for word in shlex.split(line)] for line in told if "FILE" not in line]
    assert len(tried) >= 4, told
    for words in tried:
        done = api_site.crunch.run(*words, *(("--as", "teacher") if words[0] == "explain" else ()))
        assert done.code == 0, done.err
    assert pupil.get(f"jobs/{job}")["uuid"] == job


@pytest.mark.needs("git", "arvados-client")
def test_the_tour_with_the_sdk(api_site: Site, scripts: Scripts) -> None:
    assert scripts.commit
    told = python("guide-sdk.md") + "\nimport json\nprint(json.dumps(again['why']))\n"
    assert run_sdk(api_site.person("guided"), told) == "it is complete"
