"""The town: everything that runs, below one folder. It can be struck, and it is put away whatever happens."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import Config, load
from gateway.content import store_of
from gateway.folders import Folders
from gateway.reach import open_log
from store.collections import CollectionStore
from streams.broker import BrokerError, LocalBroker, free_port
from streams.embedded import EmbeddedPostgres
from streams.log import Log
from tests.chaos.containers import Containers
from tests.chaos.proxy import Proxy
from tests.chaos.reader import Reader
from tests.chaos.resident import Resident
from tests.conftest import CHECKOUT
from tests.support.dockerd import LocalEngine, local_engine

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
DISKS = {"disk": 48, "broker": 2048}  # MiB of the disks that can be filled
BROKER_JUMP = 7_200  # seconds: more than anything here lasts, so that a time of append says which jump it is from
TRIES = 5
PARTITIONED = ("tasks", "claims", "facts")
PARTITIONS = 4  # of each of those
SESSION_MS = 6_000  # of the consumer groups: the shortest that a broker grants by default
BWRAP = """#!/bin/bash
# Counts what is really started, outside of the system: mark, task and time of each sandbox.
[ -z "$CRUNCH_REUSE_MARK" ] || echo "$CRUNCH_REUSE_MARK $TASK_UUID $EPOCHREALTIME" >>{starts}
exec {bwrap} "$@"
"""
FAVOUR = -10  # niceness
KINDS = ("coordinator", "standby", "executor", "projector", "api", "views")
NOT_FOR = {"views": ("CRUNCH_REUSE_KAFKA_OPTIONS",)}  # its own client knows none of them
VIEWS = 2  # workers of the live views: their partitions change hands whenever one is killed


class Broker(LocalBroker):
    """One that is served before those who wait for it: else, on a busy machine, it takes minutes to start."""

    def _wait_until_started(self, begin: int) -> None:
        # Between sessions, and each process of the town has its own, Linux looks at this and not at their niceness.
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended, which is told below
            Path(f"/proc/{self.pid}/autogroup").write_text(str(FAVOUR))
        super()._wait_until_started(begin)


@dataclass
class Town:
    """What runs. `runner`: of the tasks. `mutant`: the simpler rule that all processes keep; empty: none.

    `alone`: whether one coordinator decides all, and nobody follows it. `is_read`: whether the API is there.
    `is_viewed`: whether the live views are.
    """

    folder: Path
    runner: str = "bubblewrap"
    mutant: str = ""
    alone: bool = False
    is_read: bool = False
    is_viewed: bool = False
    residents: dict[str, Resident] = field(default_factory=dict)
    everybody: list[Resident] = field(default_factory=list)  # also those that came for a while

    def __post_init__(self) -> None:
        self.starts = self.folder / "starts"
        self.snapshots = self.folder / "snapshots"
        self.port, self.api_port = free_port(), free_port()
        self.views = [f"127.0.0.1:{free_port()}" for _ in range(VIEWS if self.is_viewed else 0)]
        self.broker = Broker(
            self.folder / "broker",
            heap="384m",
            properties={
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                "broker.session.timeout.ms": "9000",  # one that is merely slow is not to be shut out by itself
                "broker.heartbeat.interval.ms": "1000",
            },
            environment=self._fake_clock("broker"),
        )
        self.proxy = Proxy(self.port, int(self.broker.servers.rpartition(":")[2]))
        self.postgres = EmbeddedPostgres(self.folder)
        self.dsn = ""
        self.environment: dict[str, str] = {}
        self.image = ""  # digest of the one that all tasks name; empty: they name none
        self.engine: LocalEngine

    # --- Setting up ---------------------------------------------------------------------------------------------------

    @contextmanager
    def standing(self) -> Iterator["Town"]:
        """The town with all its residents; everything is gone at the end but what is below the folder."""
        with ExitStack() as stack:
            self._make_disks(stack)
            stack.callback(self.postgres.stop)
            self.dsn = self.postgres.start()
            stack.callback(self.broker.stop)
            self.start_broker()
            stack.callback(self.proxy.stop)
            self.proxy.start()
            self._make_places()
            if self.runner == "docker":
                self._start_engine(stack)
            self.create_topics()
            self._run("store", "create")
            stack.callback(self._all_leave)
            for resident in self._population():
                self.residents[resident.name] = resident
                resident.start()
            yield self

    def _make_disks(self, stack: ExitStack) -> None:
        for name, size in DISKS.items():
            disk = self.folder / name
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "town", str(disk)], check=True)
            stack.callback(lambda disk=disk: subprocess.run(["umount", "-l", str(disk)], check=True))
        stack.callback(lambda: shutil.copy(self.broker.log_file, self.folder / "broker.log"))

    def _start_engine(self, stack: ExitStack) -> None:
        self.engine = stack.enter_context(local_engine())
        self.image = stack.enter_context(Containers(self.engine.address, self.starts)).image
        self.environment["DOCKER_HOST"] = self.engine.address

    def _make_places(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        shim = programs / "bwrap"
        shim.write_text(BWRAP.format(starts=self.starts, bwrap=shutil.which("bwrap")))
        shim.chmod(0o755)
        self.starts.touch()
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CRUNCH_REUSE_POSTGRES_DSN": self.dsn,
            "CRUNCH_REUSE_KAFKA_SERVERS": f"127.0.0.1:{self.port}",
            "CRUNCH_REUSE_KAFKA_OPTIONS": f"session.timeout.ms={SESSION_MS}",
            "CRUNCH_REUSE_STORE_DIRECTORY": str(self.folder / "store"),
            "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(self.snapshots),
            "CRUNCH_REUSE_API_PORT": str(self.api_port),
            "CRUNCH_REUSE_EXECUTOR_RUNNER": self.runner,
            "CRUNCH_REUSE_EXECUTOR_MEMORY": "4096",
            "CRUNCH_REUSE_EXECUTOR_SCRATCH": "4096",
        }

    def create_topics(self) -> None:
        """Those that are missing."""
        self._run("topics", "create", *(f"--partitions={topic}={PARTITIONS}" for topic in PARTITIONED))

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "gateway.cli", "--data-dir", str(self.folder / "office"), *arguments]
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | self.environment
        for _ in range(TRIES):  # on a machine that is very busy the first answer may come too late
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
        raise AssertionError(f"{' '.join(arguments)}: {done.stderr}")

    def _population(self) -> Iterator[Resident]:
        yield self.coordinator("coordinator-1")
        if not self.alone:
            yield self.coordinator("coordinator-2", folder=self.folder / "disk" / "coordinator-2")
            yield self.resident("standby", "standby", ["coordinator", "--standby"])
        for name in ("a", "b"):
            arguments = ["executor", "--node", f"node-{name}", "--slots", "2"]
            yield self.resident(f"executor-{name}", "executor", arguments, faked=name == "b")
        small = ["executor", "--node", "node-c", "--slots", "2"]
        yield self.resident("executor-c", "executor", small, folder=self.folder / "disk" / "executor-c")
        yield self.resident("projector-1", "projector", ["projector", "--name", "projector-1"])
        if self.is_read:
            yield self.resident("api", "api", ["api"])
        for number, address in enumerate(self.views):
            name = f"views-{number}"
            yield self.resident(name, "views", ["views", "--name", name, "--listen", address])

    def start_broker(self) -> None:
        """On a machine that is very busy its start may take longer than it is given."""
        for _ in range(TRIES):
            with suppress(BrokerError):
                self.broker.start()
                return
        self.broker.start()

    def broker_has_ended(self) -> bool:
        """Whether the broker has ended by itself."""
        return not Path(f"/proc/{self.broker.pid}").exists()

    def coordinator(self, name: str, *, folder: Path | None = None, newer: bool = False) -> Resident:
        """One more that decides; not started. `newer`: with the next version's rules."""
        return self.resident(name, "coordinator", ["coordinator", "--name", name], folder=folder, newer=newer)

    def resident(
        self,
        name: str,
        kind: str,
        arguments: list[str],
        folder: Path | None = None,
        *,
        faked: bool = False,
        newer: bool = False,
    ) -> Resident:
        """One more process, not started. `faked`: its clock is ours to set (`set_clock`)."""
        said = self.folder / f"{name}.log"
        launcher = ["tests.chaos.process"]
        if self.mutant:
            launcher += ["--mutant", self.mutant]
        if newer:
            launcher += ["--newer"]
        if faked:
            self.set_clock(name, 0)
            launcher += ["--clock", str(self._clock(name))]
        settings = {key: value for key, value in self.environment.items() if key not in NOT_FOR.get(kind, ())}
        made = Resident(name, kind, arguments, folder or self.folder / name, settings, said, launcher)
        self.everybody.append(made)
        return made

    def _fake_clock(self, name: str) -> dict[str, str]:
        """For Java, which waits by the monotonic clock in a way that the library must not correct."""
        self.set_clock(name, 0)
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock(name)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def _clock(self, name: str) -> Path:
        return self.folder / f"{name}.clock"

    def set_clock(self, name: str, seconds: int) -> None:
        """Let a resident's wall clock be so many seconds off."""
        draft = self._clock(name).with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._clock(name))

    # --- Using it -----------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """As each process has it."""
        return load(environment=self.environment, options={"data.dir": str(self.folder / "office")}).config

    def log(self) -> Log:
        """The log, as any process opens it."""
        return open_log(self.config, self.dsn)

    def store(self) -> CollectionStore:
        """The content store that all share."""
        folders: Folders = self.config.folders
        return store_of(folders)

    def of_kind(self, kind: str) -> list[Resident]:
        """Residents of a kind, in order."""
        return [one for one in self.residents.values() if one.kind == kind]

    def reader(self, user: str, jobs: Sequence[str]) -> Reader:
        """Somebody who asks the API how these jobs are, which may become more; not started."""
        certificate = self.folder / "api" / "api" / "certificate.pem"
        return Reader(self.dsn, f"127.0.0.1:{self.api_port}", certificate, user, jobs)

    def _all_leave(self) -> None:
        for resident in self.residents.values():
            resident.ask_to_leave()
        for resident in self.residents.values():
            resident.leave()
