"""Control groups, where this process may make them: limits that hold for a whole tree of processes, and end it whole.

Version 2 (one tree) needs an ancestor of ours that passes `memory` and `pids` on and lets us write; version 1 has a
tree for each controller. Where neither is so, `find` says why and limits are left to `setrlimit`: it bounds each
process of a task, not all together, and one that gets no more memory is told so and says it in its own words.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from consumers.runners.port import Limits
from consumers.runners.reap import Hold, in_cgroups, kill_all

ROOT = Path("/sys/fs/cgroup")
FOLDER = "crunch-reuse"
_NEEDED = ("memory", "pids")
_V1_CONTROLLERS = ("memory", "pids", "cpu")
_PERIOD_US = 100_000
_REMOVE_SECONDS = 5.0
_ENTRY_PAUSE = 0.0005  # seconds


class Group:
    """One control group under limits; in version 1 one in each controller's tree."""

    def __init__(self, directories: tuple[Path, ...]) -> None:
        self._directories = directories

    @property
    def directories(self) -> tuple[str, ...]:
        """Where its processes are listed."""
        return tuple(map(str, self._directories))

    @property
    def entrances(self) -> tuple[str, ...]:
        """Files to which a process of one thread writes 0 to join; what it forks from then on is in the group too.

        In version 1 that is far cheaper than being moved by another (0.1 ms against 3 to 10, in each of three trees):
        who moves another stops all forks and exits of the machine for it.
        """
        return tuple(str(_first_of(directory, "tasks", "cgroup.procs")) for directory in self._directories)

    def await_entry(self, pid: int, seconds: float) -> None:
        """Return when the process has joined; after so many seconds it is moved. OSError if it is gone."""
        end = time.monotonic() + seconds
        while not all(pid in in_cgroups((directory,)) for directory in self.directories):
            if time.monotonic() >= end:
                return self.add(pid)
            time.sleep(_ENTRY_PAUSE)
        return None

    def add(self, pid: int) -> None:
        """Move a process in."""
        for directory in self._directories:
            (directory / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something of it at the memory limit."""
        for directory in self._directories:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(FileNotFoundError):
                    words = (directory / name).read_text().split()
                    return int(dict(zip(words[::2], words[1::2], strict=False)).get("oom_kill", "0")) > 0
        return False

    def remove(self) -> None:
        """Kill what is still in it and take it away."""
        kill_all(Hold(cgroups=self.directories))
        for directory in self._directories:
            _remove(directory)


class Groups:
    """Where groups can be made: the parent directories, one, or in version 1 one for each controller."""

    def __init__(self, parents: dict[str, Path]) -> None:
        self._parents = parents

    def make(self, name: str, limits: Limits) -> Group:
        """A new group with these limits. OSError if the system refuses one."""
        group = Group(tuple(parent / name for parent in self._parents.values()))
        try:
            for controller, parent in self._parents.items():
                (parent / name).mkdir()
                for file, value in _settings(controller, limits):
                    _write(parent / name / file, value)
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self, prefix: str) -> int:
        """Kill and remove every group whose name starts so; how many there were."""
        names = {path.name for parent in self._parents.values() for path in parent.glob(f"{prefix}*") if path.is_dir()}
        for name in names:
            Group(tuple(parent / name for parent in self._parents.values())).remove()
        return len(names)


def find() -> Groups | str:
    """Where groups can be made on this machine, or one line that says why they can't."""
    try:
        return _version_2() if (ROOT / "cgroup.controllers").exists() else _version_1()
    except OSError as error:
        return f"control groups can't be written here ({error.strerror}: {error.filename})"


def _version_1() -> Groups | str:
    parents = {}
    own = _own_paths()
    for controller in _V1_CONTROLLERS:
        base = ROOT / controller
        if not base.is_dir():
            if controller in _NEEDED:
                return f"there is no control group tree for {controller}"
            continue
        parent = base / own.get(controller, "").lstrip("/") / FOLDER
        parent.mkdir(exist_ok=True)
        parents[controller] = parent
    _try(Groups(parents))
    return Groups(parents)


def _version_2() -> Groups | str:
    own = ROOT / _own_paths().get("", "").lstrip("/")
    for ancestor in (own, *own.parents):
        if not ancestor.is_relative_to(ROOT):
            break
        passed_on = (ancestor / "cgroup.subtree_control").read_text().split()
        if os.access(ancestor, os.W_OK) and set(_NEEDED) <= set(passed_on):
            parent = ancestor / FOLDER
            parent.mkdir(exist_ok=True)
            wanted = [name for name in _V1_CONTROLLERS if name in passed_on]
            (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
            groups = Groups({"2": parent})
            _try(groups)
            return groups
    return "no control group above this process passes memory and pids on and can be written"


def _try(groups: Groups) -> None:
    """Make one and move a process in. OSError where that is not allowed."""
    name = f"probe-{os.getpid()}-{time.monotonic_ns()}"
    group = groups.make(name, Limits(cores=1, memory=2**26, scratch=0, output=0))
    try:
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as waits:
            group.add(waits.pid)
    finally:
        group.remove()


def _settings(controller: str, limits: Limits) -> list[tuple[str, str]]:
    """Files and values; `?` before a file that not every kernel has."""
    memory, quota = str(limits.memory), limits.cores * _PERIOD_US
    return {
        "memory": [("memory.limit_in_bytes", memory), ("?memory.memsw.limit_in_bytes", memory)],
        "pids": [("pids.max", str(limits.processes))],
        "cpu": [("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", str(quota))],
        "2": [
            ("memory.max", memory),
            ("?memory.swap.max", "0"),
            ("?memory.oom.group", "1"),
            ("pids.max", str(limits.processes)),
            ("?cpu.max", f"{quota} {_PERIOD_US}"),
        ],
    }[controller]


def _first_of(directory: Path, *names: str) -> Path:
    return next((path for name in names if (path := directory / name).exists()), directory / names[-1])


def _write(path: Path, value: str) -> None:
    if path.name.startswith("?"):
        path = path.with_name(path.name[1:])
        if not path.exists():
            return
    path.write_text(value)


def _own_paths() -> dict[str, str]:
    """Controller to the path of our own group in its tree; the empty name stands for version 2."""
    return _paths_of("self")


def group_of(pid: int) -> tuple[str, ...]:
    """The directory that lists the processes in the same group as this one; empty if that can't be seen, or is ours."""
    try:
        paths, own = _paths_of(str(pid)), _own_paths()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    for tree, controller in ((ROOT / "memory", "memory"), (ROOT, "")):
        path = paths.get(controller, "/")
        if path not in ("/", own.get(controller)) and (directory := tree / path.lstrip("/")).is_dir():
            return (str(directory),)
    return ()


def _paths_of(process: str) -> dict[str, str]:
    paths = {}
    for line in Path("/proc", process, "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _remove(directory: Path) -> None:
    """The kernel may need a moment after the last process is gone."""
    end = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            return directory.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.005)
