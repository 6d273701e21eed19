"""How a process comes into its control group before its first instruction: by itself, or moved where it does not."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consumers.runners.cgroups import Group, Groups, find
from consumers.runners.port import MIB, CannotRun, Limits
from consumers.runners.reap import in_cgroups, listed
from consumers.runners.spawn import Spawner

LIMITS = Limits(cores=1, memory=64 * MIB, scratch=MIB, output=MIB, processes=20)


@pytest.fixture
def groups() -> Groups:
    found = find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def group(groups: Groups) -> Iterator[Group]:
    made = groups.make("tests-entry", LIMITS)
    yield made
    made.remove()


def test_a_process_that_joins_by_itself_is_waited_for(group):
    joins = "".join(f"echo 0 > {file}; " for file in group.entrances)
    with subprocess.Popen(["/bin/sh", "-c", f"{joins} read -r go"], stdin=subprocess.PIPE) as process:
        group.await_entry(process.pid, 60)
        for directory in group.directories:
            assert str(process.pid) in Path(directory, "cgroup.procs").read_text().split()


def test_a_process_that_does_not_is_moved(group):
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        group.await_entry(process.pid, 0)
        for directory in group.directories:
            assert str(process.pid) in Path(directory, "cgroup.procs").read_text().split()


def test_a_group_that_goes_while_it_is_looked_at_has_no_processes(groups):
    """The engine removes a container's as soon as it has ended, and who watches over its task may be reading it."""
    made = groups.make("tests-gone", LIMITS)
    with ExitStack() as stack:
        lists = [stack.enter_context(Path(directory, "cgroup.procs").open()) for directory in made.directories]
        made.remove()
        for one in lists:
            assert listed(Path(f"/proc/self/fd/{one.fileno()}").open) == []  # found, and gone when it is opened
            assert listed(lambda one=one: one) == []
        assert list(in_cgroups(made.directories)) == []


def test_a_gate_that_can_not_join_never_opens(groups, tmp_path):
    """What could not be limited does not run."""
    started = Spawner(groups).start(
        ["/bin/touch", str(tmp_path / "ran")], environment={}, directory=tmp_path, limits=LIMITS, mark="tests-gate",
        on_output=print, contained=False,
    )  # fmt: skip
    started.process.kill()
    started.process.wait()
    with pytest.raises(CannotRun, match="the node can't limit a process"):
        started.go()
    started.finish()
    assert not (tmp_path / "ran").exists()
