"""A task gets the cores that it asked for, and no more, however many processes it has."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from consumers.runners.cgroups import ROOT, find
from schemas.facts import Answered
from schemas.reasons import Outcome
from tests.support.attempts import Bench, bench

# Tells how much processor time two processes got, for each second that went by.
SPIN = """
# {mark}
import os, subprocess, time
subprocess.run(["crunch-task", "report", "--progress", "0.5"], check=True)
spent, began = sum(os.times()[:4]), time.monotonic()
other = os.fork()
while time.monotonic() < began + {seconds}:
    pass
if other == 0:
    os._exit(0)
os.wait()
print((sum(os.times()[:4]) - spent) / (time.monotonic() - began))
"""


def spun(runner: Bench, cores: int, seconds: float) -> tuple[float, set[float]]:
    """How many cores a task that wants two got, and how many the system lets its processes have."""
    mark = uuid.uuid4().hex
    held: set[float] = set()

    def looked(*_: object) -> Answered:
        held.update(map(cores_of, running(mark)))
        return Answered(outcome=Outcome.DONE)

    runner.asked.append_and_wait = looked  # type: ignore[method-assign]
    report = runner.run("python3", "-c", SPIN.format(mark=mark, seconds=seconds), cores=cores)
    return float(runner.log(report)), held


def running(mark: str) -> list[int]:
    """Processes of this node with a text among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def cores_of(process: int) -> float:
    """How many cores the control group of a process may use; endlessly many without a limit."""
    groups = [line.split(":", 2) for line in Path(f"/proc/{process}/cgroup").read_text().splitlines()]
    paths = {name: path.lstrip("/") for _, names, path in groups for name in names.split(",")}
    if "cpu" in paths:
        group = ROOT / "cpu" / paths["cpu"]
        told = [(group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
    else:
        file = ROOT / paths[""] / "cpu.max"
        told = file.read_text().split() if file.exists() else ["max", "1"]  # the first of all groups has none
    return float("inf") if told[0].strip() in ("max", "-1") else int(told[0]) / int(told[1])


def test_a_task_with_one_core_that_spins_two_processes_gets_one(runner: Bench) -> None:
    if not runner.image and isinstance(find(), str):
        assert runner.site.runners.choose(image_named=False).why.endswith("and cores are not held")
        return
    got, held = spun(runner, cores=1, seconds=3)
    assert held == {1.0}
    assert got < 1.3  # two, where nothing holds it and the machine has two cores to spare


def test_a_task_with_two_cores_may_use_them(holding: Bench) -> None:
    assert spun(holding, cores=2, seconds=0)[1] == {2.0}


def test_without_a_control_group_it_is_seen_that_nothing_holds_it(tmp_path: Path) -> None:
    with bench(tmp_path, "process", groups="left out") as bare:
        assert spun(bare, cores=1, seconds=0)[1] == {cores_of(os.getpid())}
