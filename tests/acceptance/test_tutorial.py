"""The tutorial's commands, run in its order, as they stand there."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT

DOOR = """#!/bin/sh
exec {python} -P -m gateway.cli "$@"
"""


def commands() -> list[str]:
    """The tutorial's shell blocks."""
    text = (CHECKOUT / "docs" / "tutorial.md").read_text("utf-8")
    return [block.split("```")[0] for block in text.split("```sh\n")[1:]]


def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    begin, *rest = commands()
    assert begin == "./run up\n"
    door = tmp_path / "run"
    door.write_text(DOOR.format(python=sys.executable))
    door.chmod(0o755)
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    (tmp_path / "docs").mkdir()  # what the first example counts
    for name in ("one", "two"):
        (tmp_path / "docs" / name).write_text(name)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
    environment = clean | {"HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), "TERM": "dumb"}
    up = [door, "up", "--until-eof", "--json"]
    with subprocess.Popen(up, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as running:
        assert running.stdout
        assert b'"ready":true' in running.stdout.readline()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(rest)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert running.stdin
        running.stdin.close()
        assert done.returncode == 0, done.stdout + done.stderr
        assert running.wait() == 0
    assert '"items"' in done.stdout
    assert "nothing is wrong" in done.stdout
    assert (tmp_path / "lab" / "restored" / "store").is_dir()
