"""An interrupted command says so by its exit code, wherever the signal found it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Modules made with dataclasses and the like run code from strings when they are imported.
INTERRUPTED_IN_AN_IMPORT = """
import signal
from gateway import cli

def run(_arguments):
    try:
        exec("signal.raise_signal(signal.SIGINT)")
    except KeyboardInterrupt:
        return 130

cli.run = run
cli.main()
"""


def test_a_signal_in_the_middle_of_an_import_is_an_interruption_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_IN_AN_IMPORT)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    ended = subprocess.run([sys.executable, "-m", "interrupted"], env=environment, cwd=tmp_path, check=False)
    assert ended.returncode == 130
