"""What the executor adds to a task: `./run bench executor [--runner NAME]... [--rounds N] [--tasks N] [--slots N]`.

First the overhead: an attempt from its grant to its report (prepare, run, capture, store, verify), against the same
container or sandbox made, run to its end and removed by hand; in time, and in processor time, which a busy machine does
not stretch. Each attempt says and leaves something of its own, so that everything is new to the store. Then a job of
many short tasks under a real `up`: how busy its slots are, from each attempt's beginning to its end by the executor's
clock, how much of that the tasks themselves take, and how much memory the process takes at most.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import orjson

from bench.common.figures import machine
from consumers.executor.attempt import Attempt
from consumers.runners.container import configuration
from consumers.runners.docker import connect
from consumers.runners.port import MIB, Command, Limits
from consumers.runners.port import Folders as TaskFolders
from gateway import runtime
from gateway.folders import Folders
from schemas.claims import Exited
from schemas.codec import Undecodable, decode
from schemas.topics import Topic
from streams.log import Log, Place, Stored
from streams.postgres import PostgresLog
from tests.support import provision
from tests.support.attempts import Bench, bench

MOST_OVERHEAD = {"docker": 20.0, "bubblewrap": 10.0}  # ms
LEAST_BUSY = 0.95
MOST_MEMORY = 150  # MB

QUEUE = """#!/bin/sh
for number in $(seq $1); do
    echo '{"script": "short.sh", "command": ["'$number'", "'$2'"], "is_pure": true}'
done | crunch-task queue
"""
SHORT = """#!/bin/sh
echo $1 > $TASK_OUTPUT/number
exec sleep $2
"""


def main() -> int:
    """Measure and print; exit code 1 if a limit is not kept."""
    options = _options()
    print(machine())
    kept = True
    for runner in options.runner or ["docker", "bubblewrap"]:
        with ExitStack() as stack:
            engine, image = _engine(runner, stack)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-")))
            kept &= _overhead(folder, runner, engine, image, options.rounds)
            if options.tasks:
                kept &= _many(folder, runner, image, options)
    return int(not kept)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", action="append", choices=tuple(MOST_OVERHEAD), help="again for more; both if none")
    parser.add_argument("--rounds", type=int, default=100, help="attempts whose overhead is measured")
    parser.add_argument("--tasks", type=int, default=1000, help="short tasks of the job; 0: no job")
    # Each task takes a core of what the node offers, so more slots than cores would stand empty.
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each task sleeps")
    return parser.parse_args()


def _engine(runner: str, stack: ExitStack) -> tuple[str, str]:
    if runner != "docker":
        return "", ""
    if reason := provision.missing("docker"):
        raise SystemExit(f"bench: no docker: {reason}")
    engine = os.environ["DOCKER_HOST"] = stack.enter_context(provision.docker_engine())
    return engine, stack.enter_context(provision.python_image(engine))


# --- Overhead --------------------------------------------------------------------------------------------------------


def _overhead(folder: Path, runner: str, engine: str, image: str, rounds: int) -> bool:
    """By turns, so that what else the machine does meets both; the middle of the differences."""
    with bench(folder / "bench", runner, engine, image) as site:
        by_hand = _container(site, engine, image) if runner == "docker" else _sandbox
        attempts = [site.attempt(_spec(site, number)) for number in range(rounds + 3)]
        for attempt in attempts[:3]:
            attempt.run()
            by_hand()
        pairs = [(_took(partial(_whole, attempt)), _took(by_hand)) for attempt in attempts[3:]]
    ours, theirs = (sorted(one[side].time for one in pairs) for side in (0, 1))
    more = median(whole.time - bare.time for whole, bare in pairs)
    worked = sum(whole.worked - bare.worked for whole, bare in pairs) / rounds
    limit = MOST_OVERHEAD[runner]
    print(
        f"{runner}: an attempt takes {median(ours):.1f} ms (p90 {quantiles(ours, n=10)[-1]:.1f}, best {ours[0]:.1f}),"
        f" by hand {median(theirs):.1f} (best {theirs[0]:.1f}): {more:.1f} ms more (limit {limit:g}),"
        f" {worked:.1f} ms more of processor time"
    )
    return more <= limit


def _spec(site: Bench, number: int) -> Any:
    return site.spec(f"echo {number}; echo {number} > $TASK_OUTPUT/number")


def _whole(attempt: Attempt) -> None:
    report = attempt.run()
    assert report.exit_code == 0, report


def _container(site: Bench, engine: str, image: str) -> Callable[[], None]:
    client = connect(engine)
    command = _command_of(site.folder / "by-hand", image)
    settings = configuration(image, {}, command)
    host = client.api.create_host_config(**settings.pop("host_config"))

    def run() -> None:
        made = client.api.create_container(**settings, host_config=host)["Id"]
        client.api.start(made)
        client.api.wait(made)
        client.api.remove_container(made, v=True, force=True)

    return run


def _command_of(folder: Path, image: str) -> Command:
    names = ("links", "out", "run", "bin")
    for name in names:
        (folder / name).mkdir(parents=True)
    links, out, run, programs = (folder / name for name in names)
    return Command(
        argv=("sh", "-c", "echo 1 > /out/number"),
        environment={"PATH": "/usr/bin:/bin"},
        folders=TaskFolders(
            root=folder, code=None, collections={}, links=links, output=out, scratch=folder, run=run, bin=programs
        ),
        limits=Limits(cores=1, memory=256 * MIB, scratch=64 * MIB, output=64 * MIB),
        node="by-hand",
        mark="by-hand.1",
        image=image,
    )


def _sandbox() -> None:
    shown = ("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib")
    more = ("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
    command = ["bwrap", "--unshare-all", "--die-with-parent", *shown, *more, "sh", "-c", "echo 1 > /tmp/number"]
    subprocess.run(command, check=True)


class _Took(NamedTuple):
    """Milliseconds, and those of them that a processor worked for us and our children (not for the engine)."""

    time: float
    worked: float


def _took(what: Callable[[], None]) -> _Took:
    worked, began = _worked(), time.perf_counter()
    what()
    return _Took((time.perf_counter() - began) * 1000, (_worked() - worked) * 1000)


def _worked() -> float:
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in each)


# --- Many short tasks ------------------------------------------------------------------------------------------------


def _many(folder: Path, runner: str, image: str, options: argparse.Namespace) -> bool:
    job = _job(folder, image, options.tasks, options.seconds)
    with _up(folder, runner, options.slots) as process:
        done = subprocess.run(_words(folder, "submit", str(job)), stdout=subprocess.PIPE, check=True)
        assert orjson.loads(done.stdout)["job"]["state"] == "complete", done.stdout
        ended, memory = _ended(folder), _peak(process.pid)
    assert not (again := _failed(ended)), again
    assert len(ended) == options.tasks, f"{len(ended)} attempts ended where {options.tasks} tasks were queued"
    span = options.slots * (max(one.finished_at for one in ended) - min(one.started_at for one in ended))
    busy = sum(one.finished_at - one.started_at for one in ended) / span
    own = len(ended) * options.seconds * 1000 / span
    print(
        f"{runner}: {len(ended)} tasks of {options.seconds:g} s in {options.slots} slots: {span / 1000:.1f} s of slots,"
        f" busy {busy:.1%} (limit {LEAST_BUSY:.0%}), the tasks themselves {own:.1%};"
        f" `up` took {memory} MB at most (limit {MOST_MEMORY})"
    )
    return busy >= LEAST_BUSY and memory <= MOST_MEMORY


def _ended(folder: Path) -> list[Exited]:
    """What the executor says of all attempts but the first, which queued the others."""
    with closing(PostgresLog(runtime.find(Folders(folder / "data")).dsn)) as log:
        places = [Place(Topic.CLAIMS, number) for number in range(log.partitions(Topic.CLAIMS))]
        bodies = [_body(stored) for place in places for stored in _records(log, place)]
    return sorted((one for one in bodies if isinstance(one, Exited)), key=lambda one: one.started_at)[1:]


def _failed(ended: list[Exited]) -> str:
    """A line for each attempt that was none: which, and why. Its task was executed once more, or failed."""
    failed = (one for one in ended if one.exit_code or one.failure)
    return "\n".join(
        f"attempt {one.token}: {one.failure or 'exit'} {one.exit_code} after {one.finished_at - one.started_at} ms:"
        f" {one.reason}"
        for one in failed
    )


def _records(log: Log, place: Place) -> Iterator[Stored]:
    position = log.start(place)
    while records := log.read(place, position, 1_000):
        yield from records
        position = records[-1].offset + 1


def _body(stored: Stored) -> Any:
    envelope = decode(Topic.CLAIMS, stored.value)
    assert not isinstance(envelope, Undecodable), envelope
    return envelope.body


def _job(folder: Path, image: str, tasks: int, seconds: float) -> Path:
    code = folder / "code"
    code.mkdir()
    (code / "queue.sh").write_text(QUEUE)
    (code / "short.sh").write_text(SHORT)
    job: dict[str, Any] = {"name": "bench", "repository": "code", "script": "queue.sh", "is_pure": True}
    job |= {"command": [str(tasks), str(seconds)], "resources": {"memory": "32MiB", "scratch": "16MiB"}}
    file = folder / "job.json"
    file.write_bytes(orjson.dumps(job | ({"image": image} if image else {})))
    return file


def _words(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *words, "--json", "--data-dir", str(folder / "data")]


@contextmanager
def _up(folder: Path, runner: str, slots: int) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        _words(folder, "up", "--runner", runner, "--slots", str(slots)),
        stdout=subprocess.PIPE,
        env=os.environ | {"CRUNCH_REUSE_EXECUTOR_MEMORY": str(slots * 64)},
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.terminate()


def _peak(process: int) -> int:
    """Most memory it ever had, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


if __name__ == "__main__":
    sys.exit(main())
