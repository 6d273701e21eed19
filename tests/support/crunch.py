"""The command line as people use it: processes on a data folder, and what they leave on the machine."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from gateway.client import Client
from gateway.session import Session
from readmodel import queries
from readmodel.connection import connect
from readmodel.rows import Job, Task
from readmodel.watch import Watch
from tests.conftest import CHECKOUT

T = TypeVar("T")
PATIENCE = 120.0


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one line of JSON."""
        return orjson.loads(self.out)


@dataclass(frozen=True)
class Crunch:
    """`crunch-reuse` for a user whose home is `home`, on the data folder `data`. `settings`: of the configuration."""

    home: Path
    data: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        launcher: Sequence[str] = ("gateway.cli",),
        environment: Mapping[str, str] = {},
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Begin a command, after the words of `prefix`; standard output and error are pipes.

        `launcher`: the module that runs the command line, with its own arguments.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
        clean |= {f"CRUNCH_REUSE_{key.replace('.', '_').upper()}": value for key, value in self.settings.items()}
        options = {"stdin": subprocess.DEVNULL, "start_new_session": True} | options
        return subprocess.Popen(
            [*prefix, sys.executable, "-P", "-m", *launcher, "--data-dir", str(self.data), *arguments],
            env=clean | {"HOME": str(self.home), "PYTHONPATH": str(CHECKOUT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments: str, **options: Any) -> Done:
        """Run a command to its end."""
        return done(self.start(*arguments, **options))

    @contextmanager
    def up(self, *options: str, environment: Mapping[str, str] = {}) -> Iterator["Up"]:
        """A running `up`, ready; in the end it is stopped, if the test has not done so."""
        process = self.start("up", "--json", *options, environment=environment)
        with process:
            line = process.stdout.readline() if process.stdout else ""
            assert line, f"`up` did not start: {done(process)}"
            try:
                yield Up(process, orjson.loads(line), self)
            finally:
                process.terminate()
                print("up said:", done(process).err)  # pytest shows it beside a failure

    def session(self) -> Session:
        """What a command in this process would start from."""
        return Session(None, {"data.dir": str(self.data), **self.settings})

    def until(self, ask: Callable[[Client], T | None], patience: float = PATIENCE) -> T:
        """What `ask` finds in the read model, as soon as that is something."""
        with Client(self.session()) as client, connect(client.dsn) as listener:
            found = Watch(listener).until(lambda: ask(client), patience)
        assert found is not None, "it did not happen"
        return found

    def until_state(self, root: str, *states: str) -> Job:
        """The job, as soon as it is in one of these states."""

        def look(client: Client) -> Job | None:
            job = queries.job(client.rows, client.user(None).uuid, root)
            return job if job and job.state in states else None

        return self.until(look)

    def until_running(self, *roots: str) -> Task:
        """A running task of one of these jobs, as soon as there is one."""

        def look(client: Client) -> Task | None:
            user = client.user(None).uuid
            tasks = [task for root in roots for task in queries.tree(client.rows, user, root)]
            return next((task for task in tasks if task.state == "running"), None)

        return self.until(look)

    def tasks(self, root: str) -> list[Task]:
        """The job's tasks in tree order."""
        with Client(self.session()) as client:
            return queries.tree(client.rows, client.user(None).uuid, root)

    def submit(self, file: Path, *options: str) -> str:
        """Submit without waiting; the job's uuid."""
        submitted = self.run("submit", "--no-wait", str(file), *options)
        assert submitted.code == 0, submitted.err
        return submitted.out.strip()


@dataclass(frozen=True)
class Up:
    """A running `up`: its process, and what it said when it was ready."""

    process: "subprocess.Popen[str]"
    ready: dict[str, Any]
    crunch: Crunch

    def stop(self, number: int = signal.SIGTERM) -> Done:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return done(self.process)

    def end(self) -> Done:
        """Wait for it to end by itself."""
        return done(self.process)

    def family(self) -> set[int]:
        """All processes that it started, directly or not, and its Postgres, which has no parent any more."""
        return descendants(self.process.pid) | descendants(self.postgres) | {self.postgres}

    @property
    def postgres(self) -> int:
        """The process of its Postgres."""
        return int((self.crunch.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def done(process: "subprocess.Popen[str]") -> Done:
    """Wait for a process to end."""
    out, err = process.communicate(timeout=PATIENCE)
    return Done(process.returncode, out, err)


def descendants(pid: int) -> set[int]:
    """All processes below this one."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listing.splitlines()}
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        parent = ahead.pop()
        children = {child for child, its in parents.items() if its == parent}
        found |= children
        ahead += children
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; one that is dead and not yet collected does not."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    states = {int(line.split()[0]): line.split()[1] for line in listing.splitlines()}
    return {pid for pid in pids if pid in states and not states[pid].startswith("Z")}


def said(text: str) -> set[int]:
    """Processes whose command line holds this text."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return {int(line.split(None, 1)[0]) for line in listing.splitlines() if text in line}


def until_gone(pids: set[int]) -> None:
    """Wait until these processes have ended, which are not children of ours."""
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            ended, _, _ = select.select([descriptor], [], [], PATIENCE)
            os.close(descriptor)
            assert ended, f"process {pid} goes on"


def one_line(done: Done) -> str:
    """The one line on standard error that an error is; its other lines are notes."""
    lines = [line for line in done.err.splitlines() if line.startswith("crunch-reuse: ")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    return lines[0]
