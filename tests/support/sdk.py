"""The Arvados Python SDK against our API: a script in the client's own environment; what it prints last is JSON."""

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from tests.support.api import Person
from tests.support.arvados_client import client_folder

PATIENCE = 60.0


def run_sdk(person: Person, script: str, *arguments: str) -> Any:
    """Run a script as this person; its one line of JSON."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-sdk-") as home:
        file = Path(home) / "script.py"
        file.write_text(textwrap.dedent(script))
        environment = person.environment(Path(home)) | {"PYTHONPATH": str(client_folder()), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            # -S: no site-packages, so that nothing of ours is mixed up with it
            [sys.executable, "-S", "-W", "ignore", str(file), *arguments],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
