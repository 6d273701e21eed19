"""What reuse saves and what it costs: `./run bench reuse [--tasks N] [--runner NAME] [--rounds N]`.

A job of N pure tasks below one that queues them, submitted to a real `up`; then the same job again, some times. Under
the docker runner where an engine can be had, else under what there is. Times are the jobs' own, from the log: from
the first record to the last.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from tests.support import provision

MOST_RATIO = 0.25  # of the time that running takes
MOST_OVERHEAD = 10.0  # ms for each copied task

QUEUE = """#!/bin/sh
for number in $(seq $1); do
    echo '{"name": "'$number'", "script": "echo.sh", "command": ["'$number'"], "is_pure": true}'
done | crunch-task queue
"""
ECHO = """#!/bin/sh
echo $1 > $TASK_OUTPUT/$1
"""


def main() -> int:
    """Measure and print; exit code 1 if a limit is not kept."""
    options = _options()
    with ExitStack() as stack:
        runner, image = _runner(options.runner, stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-")))
        job = _job(folder, options.tasks, image)
        stack.enter_context(_up(folder, runner))
        ran = _submit(folder, job)
        copied = [_submit(folder, job) for _ in range(options.rounds)]
    return _tell(options.tasks + 1, runner, ran, copied)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runner", choices=("docker", "bubblewrap", "process"), default="docker")
    return parser.parse_args()


def _runner(wanted: str, stack: ExitStack) -> tuple[str, str]:
    """The runner and the image's name; another runner, with a note, where there is no engine."""
    if wanted != "docker":
        return wanted, ""
    if reason := provision.missing("docker"):
        print(f"not under docker ({reason}): under what else there is")
        return "auto", ""
    os.environ["DOCKER_HOST"] = stack.enter_context(provision.docker_engine())
    return "docker", stack.enter_context(provision.python_image(os.environ["DOCKER_HOST"]))


def _job(folder: Path, tasks: int, image: str) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "queue.sh").write_text(QUEUE)
    (folder / "code" / "echo.sh").write_text(ECHO)
    job = {"name": "bench", "repository": "code", "script": "queue.sh", "command": [str(tasks)], "is_pure": True}
    file = folder / "job.json"
    file.write_bytes(orjson.dumps(job | ({"image": image} if image else {})))
    return file


def _command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *words, "--json", "--data-dir", str(folder / "data")]


@contextmanager
def _up(folder: Path, runner: str) -> Iterator[None]:
    command = _command(folder, "up", "--runner", runner)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        print("up:", process.stdout.readline().decode().strip())
        try:
            yield
        finally:
            process.terminate()


def _submit(folder: Path, job: Path) -> dict[str, Any]:
    done = subprocess.run(_command(folder, "submit", str(job)), stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = orjson.loads(done.stdout)
    return result


def _took(result: dict[str, Any]) -> float:
    """Milliseconds from the job's first record to its last."""
    return float(result["job"]["finished_at"] - result["job"]["created_at"])


def _tell(tasks: int, runner: str, ran: dict[str, Any], copied: list[dict[str, Any]]) -> int:
    assert ran["counts"]["complete"] == tasks, ran
    assert all(one["counts"]["copied"] == tasks for one in copied), copied
    first, again = _took(ran), median(_took(one) for one in copied)
    ratio, overhead = again / first, again / tasks
    print(f"machine: {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{tasks} tasks run under {runner}: {first:.0f} ms; all copied: {again:.0f} ms (median of {len(copied)})")
    print(
        f"copying takes {ratio:.3f} of running (limit {MOST_RATIO}), {overhead:.1f} ms a task (limit {MOST_OVERHEAD})"
    )
    return int(ratio > MOST_RATIO or overhead > MOST_OVERHEAD)


if __name__ == "__main__":
    sys.exit(main())
