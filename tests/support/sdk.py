"""The Arvados Python SDK against our API: a script in the client's own environment; what it prints last is JSON."""

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from tests.support.api import Person
from tests.support.arvados_sdks import JOBS, sdk_folder

PATIENCE = 60.0


def run_sdk(person: Person, script: str, *arguments: str, version: str = JOBS) -> Any:
    """Run a script as this person; its one line of JSON."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-sdk-") as home:
        file = Path(home) / "script.py"
        file.write_text(textwrap.dedent(script))
        done = _run(person, file, arguments, version, Path(home))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def run_tool(
    person: Person, name: str, *arguments: str, folder: Path, version: str = JOBS
) -> "subprocess.CompletedProcess[str]":
    """Run one of the SDK's commands, `arv-put` and the like, in a folder that is its home, too."""
    return _run(person, sdk_folder(version) / "bin" / name, arguments, version, folder)


def _run(
    person: Person, file: Path, arguments: tuple[str, ...], version: str, home: Path
) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(sdk_folder(version)), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        # -S: no site-packages, so that nothing of ours is mixed up with it
        [sys.executable, "-S", "-W", "ignore", str(file), *arguments],
        env=person.environment(home) | environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
