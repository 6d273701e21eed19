"""Faust, exactly once and at least once: the same protocol as an agent (faust_claims.py)."""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from bench.common.processes import BenchFailed
from bench.common.programs import program
from bench.contenders.topics import Broker

REQUIREMENTS = ("faust-streaming==0.15.3", "aiokafka==0.14.0", "orjson>=3.11")
SETTINGS = {
    "version": "0.15.3 with aiokafka 0.14.0",
    "store": "memory",
    "producer_acks": "-1",
    "the rest": "as it comes",
}
SCRIPT = Path(__file__).with_name("faust_claims.py")
START_SECONDS = 90.0


def environment() -> Path:
    """The Python of an environment with Faust in it, made where there is none yet."""
    key = hashlib.sha256(repr((REQUIREMENTS, sys.version_info[:2])).encode()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("crunch-reuse") / "bench-faust" / key
    done = folder / "ready"
    if not done.exists():
        venv.create(folder, clear=True)
        command = [sys.executable, "-m", "uv", "pip", "install", "--python", str(folder / "bin/python"), *REQUIREMENTS]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode:
            raise BenchFailed(f"Faust could not be installed: {installed.stderr.strip()[-500:]}")
        done.touch()
    return folder / "bin/python"


@contextmanager
def faust_app(broker: Broker, commands: str, answers: str, guarantee: str, partitions: int) -> Iterator[Sequence[int]]:
    """The agent between two topics, from when it has its partitions to its end; its process id."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder:
        told = [broker.servers, commands, answers, answers, guarantee, folder, str(partitions)]
        command = [str(environment()), "-P", str(SCRIPT), *told]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with program("Faust", command, "ready", START_SECONDS, clean) as pids:
            yield pids
