"""The runner with bubblewrap: namespaces of its own for each task, no engine, no root.

What the task sees: the host's programs and libraries read-only, its code, its declared inputs, its output directory, a
scratch space of bounded size; no network, no other process, no capability, no way to get one. Nothing outlives it: the
process namespace ends with its first process, and that ends with the executor.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from consumers.runners.etc import HOST, Etc
from consumers.runners.port import CannotRun, Command, Exit, Folders, Limits, Places, Running, Spared, nobody
from consumers.runners.reap import MARK, in_cgroups, in_namespace_of, send, wait_for_end
from consumers.runners.sandbox import HOSTNAME, SANDBOX, SHARED_MEMORY, USER, places_in_sandbox
from consumers.runners.spawn import Spawned, Spawner
from schemas.reasons import Failure

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_END_SECONDS = 5.0
_NO_BWRAP = (1, 127)  # it could not make the sandbox; it is not there any more
# A shell tells a program that is not there (127) from one that can't be run (126); bwrap says 1 to both.
_EXEC = ("/bin/sh", "-c", 'exec "$@"', "sh")
_PROBED = ("--ro-bind", str(HOST), str(HOST), "--proc", "/proc", "--dev", "/dev")
_ISOLATION = (
    "--unshare-all", "--unshare-user", "--new-session", "--die-with-parent", "--unsetenv", MARK, "--cap-drop", "ALL",
    "--uid", str(USER), "--gid", str(USER), "--hostname", HOSTNAME,
)  # fmt: skip


class BubblewrapRunner:
    """Runs each task in a sandbox made by `bwrap`. `folder`: for what it shows as /etc."""

    name = "bubblewrap"
    isolates = True

    def __init__(self, spawner: Spawner, folder: Path) -> None:
        self._spawner = spawner
        self._etc = Etc(folder)

    def trouble(self) -> str | None:
        """Why there can be no sandbox here: no bwrap, no user namespaces, or limits that would not hold."""
        if os.name != "posix" or not hasattr(os, "memfd_create"):
            return "bubblewrap needs Linux"
        if self._spawner.groups is None and os.geteuid() == 0:
            return "root's processes can only be limited by control groups, and those can't be written here"
        return _probe()[1]

    def places(self, folders: Folders) -> Places:
        """The same for every task, so that no path tells one attempt from another."""
        return places_in_sandbox(folders)

    def start(self, command: Command, on_output: Callable[[bytes], object]) -> Running:
        """A sandbox behind the gate."""
        status, told = os.pipe()
        first = _First(on_output)
        try:
            spawned = self._spawner.start(
                [*_arguments(command, self._etc.folder()), "--json-status-fd", str(told), "--", *_EXEC, *command.argv],
                environment=command.environment,
                directory=command.folders.root,
                limits=command.limits,
                mark=command.mark,
                on_output=first,
                contained=True,
                keep_open=(told,),
            )
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(told)
        return Sandbox(spawned, status, first)

    def sweep(self, node: str, spare: Spared = nobody) -> int:
        """Kill the sandboxes that carry the node's mark."""
        return self._spawner.sweep(node)

    def find(self, node: str) -> tuple[str, ...]:
        """None: a sandbox ends with the executor that made it."""
        return ()

    def adopt(self, mark: str, on_output: Callable[[bytes], object]) -> Running:
        """Never: see `find`."""
        raise CannotRun(Failure.NODE, f"{mark}: a task under bubblewrap can't be adopted")


class Sandbox:
    """A `Running` whose signals have to reach through the wall: bwrap itself passes none on."""

    def __init__(self, spawned: Spawned, status: int, first: "_First") -> None:
        self._spawned = spawned
        self._first = first
        self._status = status
        self._said = b""
        self.hold = spawned.hold
        self.go = spawned.go

    def wait(self, seconds: float) -> Exit | None:
        """How the command ended; that bwrap could not make the sandbox is the node's trouble."""
        ended = self._spawned.wait(seconds)
        if ended and ended.code in _NO_BWRAP and not self._had_begun():
            self._spawned.finish()  # only now is all of its output here
            return Exit(-1, trouble=f"no sandbox: {self._first.data.decode(errors='replace').strip()}")
        return ended

    def signal(self, number: int) -> None:
        """To every process in the sandbox but its reaper; before it has one, to bwrap."""
        for pid in self.processes() or [self._spawned.process.pid]:
            send(pid, number)

    def processes(self) -> list[int]:
        """All in the sandbox but its reaper."""
        reaper, hold = self._reaper(), self._spawned.hold
        if not reaper:
            return []
        found = in_cgroups(hold.cgroups[:1]) if hold.cgroups else in_namespace_of(reaper)
        return [pid for pid in found if pid not in (reaper, self._spawned.process.pid)]

    def finish(self) -> bool:
        """End the sandbox. bwrap is gone a moment before what was in it, so wait for that too."""
        self._spawned.finish()
        if self._status >= 0:
            if reaper := self._reaper():
                wait_for_end(reaper, _END_SECONDS)
            os.close(self._status)
            self._status = -1
        return True

    def _had_begun(self) -> bool:
        """Of a sandbox that has ended: bwrap tells how the command exited, if there was one. No task writes there."""
        return any("exit-code" in told for told in self._told())

    def _reaper(self) -> int | None:
        return next((int(told["child-pid"]) for told in self._told() if "child-pid" in told), None)

    def _told(self) -> list[dict[str, Any]]:
        """What bwrap has said on its pipe, a line for each event."""
        if self._status >= 0:
            os.set_blocking(self._status, False)
            with suppress(BlockingIOError):
                self._said += os.read(self._status, 4096)
        return [json.loads(line) for line in self._said.splitlines(keepends=True) if line.endswith(b"\n")]


class _First:
    """Hands output on and remembers how it began."""

    def __init__(self, on_output: Callable[[bytes], object]) -> None:
        self.data = b""
        self._on_output = on_output

    def __call__(self, data: bytes) -> None:
        self.data += data[: 500 - len(self.data)]
        self._on_output(data)


def _arguments(command: Command, etc: Path) -> Iterator[str]:
    folders = command.folders
    yield from _base(command.limits)
    yield from ("--ro-bind", str(etc), str(HOST))
    if folders.code:
        yield from ("--ro-bind", str(folders.code), SANDBOX.code)
    for pdh, shown in folders.collections.items():
        yield from ("--ro-bind", str(shown), f"{SANDBOX.keep}/{pdh}")
    yield from ("--ro-bind", str(folders.links), SANDBOX.inputs)
    yield from ("--ro-bind", str(folders.bin), SANDBOX.bin)
    yield from ("--ro-bind", str(folders.run), SANDBOX.run)
    yield from ("--bind", str(folders.output), SANDBOX.output)
    yield from ("--remount-ro", "/", "--chdir", SANDBOX.work)


def _base(limits: Limits) -> Iterator[str]:
    """bwrap, with what is the same for every task but the sizes."""
    yield _program()
    yield from _ISOLATION
    if _probe()[0]:
        yield "--disable-userns"
    yield from _host()
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--size", str(SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--size", str(max(limits.scratch, 1)), "--perms", "0755", "--tmpfs", "/scratch")
    yield from (
        "--dir",
        "/scratch/work",
        "--perms",
        "1777",
        "--dir",
        "/scratch/tmp",
        "--symlink",
        "scratch/tmp",
        "/tmp",
    )


@cache
def _program() -> str:
    return str(shutil.which("bwrap"))


@cache
def _host() -> tuple[str, ...]:
    """The host's programs."""
    arguments: list[str] = []
    for program in map(Path, _PROGRAMS):
        if program.is_symlink():
            arguments += ["--symlink", str(program.readlink()), str(program)]
        elif program.is_dir():
            arguments += ["--ro-bind", str(program), str(program)]
    return tuple(arguments)


@cache
def _probe() -> tuple[bool, str | None]:
    """Whether bwrap can forbid further user namespaces here, and why it can't be used at all, if so."""
    told = ""
    for extra in (["--disable-userns"], []):
        command = ["bwrap", *_ISOLATION, *extra, *_host(), *_PROBED, "--", "true"]
        try:
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return False, f"bwrap can't be started ({error}): install bubblewrap"
        if result.returncode == 0:
            return bool(extra), None
        told = result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"exit code {result.returncode}"
    return False, f"bwrap does not work here: {told}"
