"""The guides to the API: every command and line of Python in them, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.api import Site
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

PATIENCE = 300.0


def commands(guide: str) -> str:
    """The indented blocks of a guide, one after another."""
    lines = (CHECKOUT / "docs" / guide).read_text().splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    ")) + "\n"


def python(guide: str) -> str:
    """Its blocks of Python."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / guide).read_text(), re.DOTALL))


@pytest.mark.needs("git", "curl")
def test_the_tour_with_curl(api_site: Site, tmp_path: Path) -> None:
    door = tmp_path / "bin" / "crunch-reuse"
    door.parent.mkdir()
    ours = f'"{sys.executable}" -P -m gateway.cli --data-dir "{api_site.crunch.data}"'
    door.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" HOME="{api_site.crunch.home}" exec {ours} "$@"\n')
    door.chmod(0o755)
    environment = {"PATH": f"{door.parent}:{os.environ['PATH']}", "REPOSITORY": str(tmp_path / "greetings")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=commands("guide-curl.md"),
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello world" in done.stdout
    assert "job complete" in done.stdout


@pytest.mark.needs("git", "arvados-client")
def test_the_tour_with_the_sdk(api_site: Site, scripts: Scripts) -> None:
    assert scripts.commit
    told = python("guide-sdk.md") + "\nimport json\nprint(json.dumps(again['why']))\n"
    assert run_sdk(api_site.person("guided"), told) == "it is complete"
