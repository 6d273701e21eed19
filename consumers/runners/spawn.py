"""Processes of our own, behind a gate: limits are set and the watchdog is told before the first instruction runs.

The gate is a shell that waits for a line and then becomes the command. If the executor dies before it says `go`, the
shell reads the end of the pipe and leaves: there is no moment at which something runs that nobody knows of.
"""

import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from consumers.runners.cgroups import Group, Groups
from consumers.runners.port import CannotRun, Exit, Limits
from consumers.runners.reap import MARK, Hold, in_cgroups, kill_all, marked, send
from schemas.reasons import Failure

_CHUNK = 65536
_REAP_SECONDS = 5.0
_GATE = '{join}read -r go || exit 125; {limits}exec "$@" </dev/null'
_JOIN = "echo 0 >{} || exit 125; "
_JOIN_SECONDS = 0.25
_SHELL = "/bin/sh"


class Spawned:
    """A command of ours (`port.Running`), its whole output in one pipe.

    `contained`: the command itself sees to it that nothing outlives it (a process namespace), so that its end is the
    end of all. Otherwise what it leaves is looked for by group, mark and process group.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", hold: Hold, group: Group | None, contained: bool) -> None:
        self.hold = hold
        self.process = process
        self._group = group
        self._contained = contained
        self._ended = threading.Event()
        self._out_of_memory = False
        self._finished = False
        self._threads: list[threading.Thread] = []

    def attend(self, on_output: Callable[[bytes], object]) -> None:
        """Begin to read its output and to wait for its end."""
        for target, arguments in ((self._pump, (on_output,)), (self._await, ())):
            thread = threading.Thread(target=target, args=arguments, name=f"task-{self.process.pid}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def go(self) -> None:
        """Open the gate. Raises CannotRun if the system does not hold it to its limits."""
        assert self.process.stdin
        if self._group:
            try:
                self._group.await_entry(self.process.pid, _JOIN_SECONDS)
            except OSError as error:
                raise _no_limit(error) from error
        with suppress(BrokenPipeError):  # it was killed at the gate
            self.process.stdin.write(b"go\n")
            self.process.stdin.close()

    def wait(self, seconds: float) -> Exit | None:
        """How the first process ended."""
        if not self._ended.wait(seconds):
            return None
        code = self.process.returncode
        return Exit(code if code >= 0 else 128 - code, self._out_of_memory)

    def signal(self, number: int) -> None:
        """Send a signal to every process of it that can be found."""
        for pid in marked(self.hold.mark):
            send(pid, number)
        if not sys.platform.startswith("linux"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def processes(self) -> Iterator[int]:
        """Found by control group, where there is one, else by mark."""
        return in_cgroups(self.hold.cgroups[:1]) if self.hold.cgroups else marked(self.hold.mark)

    def finish(self) -> bool:
        """Kill what is left; the last of its output has been handed on when this returns."""
        if self._finished:
            return True
        self._finished = True
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if not (self._contained and self._ended.wait(_REAP_SECONDS)):
            kill_all(self.hold)
        self._close()
        return True

    def _close(self) -> None:
        for thread in self._threads:
            thread.join()
        if self._group:
            self._group.remove()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _pump(self, on_output: Callable[[bytes], object]) -> None:
        assert self.process.stdout
        descriptor = self.process.stdout.fileno()
        while data := os.read(descriptor, _CHUNK):
            on_output(data)

    def _await(self) -> None:
        self.process.wait()
        if self._group:
            self._out_of_memory = self._group.out_of_memory()
        self._ended.set()


class Spawner:
    """Starts commands of ours. `groups`: where control groups can be made; None: limits are left to setrlimit."""

    def __init__(self, groups: Groups | None) -> None:
        self.groups = groups

    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        limits: Limits,
        mark: str,
        on_output: Callable[[bytes], object],
        contained: bool,
        keep_open: tuple[int, ...] = (),
    ) -> Spawned:
        """The command behind its gate, limited. Raises CannotRun if the system has no room for it."""
        group = self._make_group(mark, limits)
        try:
            script = _gate(limits, group)
            process = _popen(script, argv, {**environment, MARK: mark}, directory, keep_open)
        except OSError as error:
            if group:
                group.remove()
            raise CannotRun(Failure.NODE, f"the node can't start a process: {error.strerror or error}") from error
        hold = Hold(group=process.pid, mark=mark, cgroups=group.directories if group else ())
        spawned = Spawned(process, hold, group, contained)
        spawned.attend(on_output)
        try:
            _limit(process.pid, limits, grouped=group is not None)
        except OSError as error:
            spawned.finish()
            raise _no_limit(error) from error
        return spawned

    def sweep(self, node: str) -> int:
        """Kill whatever a former executor of this node left."""
        left = set(marked(node))
        kill_all(Hold(mark=node))
        return max(len(left), self.groups.sweep(node) if self.groups else 0)

    def _make_group(self, mark: str, limits: Limits) -> Group | None:
        try:
            return self.groups.make(mark, limits) if self.groups else None
        except OSError as error:
            raise CannotRun(Failure.NODE, f"the node can't make a control group: {error}") from error


def _gate(limits: Limits, group: Group | None) -> str:
    join = "".join(_JOIN.format(shlex.quote(file)) for file in group.entrances) if group else ""
    return _GATE.format(join=join, limits="" if sys.platform.startswith("linux") else _shell_limits(limits))


def _popen(
    script: str, argv: Sequence[str], environment: Mapping[str, str], directory: Path, keep_open: tuple[int, ...]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [_SHELL, "-c", script, _SHELL, *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=directory,
        start_new_session=True,
        pass_fds=keep_open,
    )


def _no_limit(error: OSError) -> CannotRun:
    return CannotRun(Failure.NODE, f"the node can't limit a process: {error.strerror or error}")


def _limit(pid: int, limits: Limits, *, grouped: bool) -> None:
    if sys.platform.startswith("linux"):
        for number, value in _rlimits(limits, grouped).items():
            resource.prlimit(pid, number, (value, value))


def _rlimits(limits: Limits, grouped: bool) -> dict[int, int]:
    largest_file = max(limits.output, limits.scratch)
    values = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: largest_file}
    if not grouped:
        values[resource.RLIMIT_AS] = limits.memory
        # The kernel counts all of the user's processes, not this command's alone.
        values[resource.RLIMIT_NPROC] = limits.processes + _processes_of_user()
    return {number: min(value, _hard(number)) for number, value in values.items()}


def _hard(number: int) -> int:
    hard = resource.getrlimit(number)[1]
    return hard if hard != resource.RLIM_INFINITY else 2**63 - 1


def _processes_of_user() -> int:
    user = os.getuid()
    count = 0
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and entry.stat().st_uid == user:
                count += sum(1 for _ in (entry / "task").iterdir())
    return count


def _shell_limits(limits: Limits) -> str:
    """Where one process can't limit another (macOS), the gate limits itself. File size in blocks of 512 bytes."""
    return f"ulimit -c 0; ulimit -f {max(limits.output, limits.scratch) // 512}; "
