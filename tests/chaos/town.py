"""The town: everything that runs, below one folder. It can be struck, and it is put away whatever happens."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
from tests.chaos.proxy import Proxy
from tests.chaos.resident import Resident
from tests.conftest import CHECKOUT

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
DISK_MIB = 48
TRIES = 5
PARTITIONED = ("tasks", "claims", "facts")
SESSION_MS = 6_000  # of the consumer groups: the shortest that a broker grants by default
BWRAP = """#!/bin/bash
# Counts what is really started, outside of the system: mark, task and time of each sandbox.
[ -z "$CRUNCH_REUSE_MARK" ] || echo "$CRUNCH_REUSE_MARK $TASK_UUID $EPOCHREALTIME" >>{starts}
exec {bwrap} "$@"
"""
KINDS = ("coordinator", "standby", "executor", "projector")


@dataclass
class Town:
    """What runs. `launcher`: the module by which processes are run, with its arguments."""

    folder: Path
    launcher: tuple[str, ...] = ("gateway.cli",)
    residents: dict[str, Resident] = field(default_factory=dict)
    everybody: list[Resident] = field(default_factory=list)  # also those that came for a while

    def __post_init__(self) -> None:
        self.starts = self.folder / "starts"
        self.port = free_port()
        self.broker = LocalBroker(
            self.folder / "broker",
            heap="384m",
            properties={
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                "broker.session.timeout.ms": "9000",  # one that is merely slow is not to be shut out by itself
                "broker.heartbeat.interval.ms": "1000",
            },
        )
        self.proxy = Proxy(self.port, int(self.broker.servers.rpartition(":")[2]))
        self.postgres = EmbeddedPostgres(self.folder)
        self.dsn = ""
        self.environment: dict[str, str] = {}

    # --- Setting up ---------------------------------------------------------------------------------------------------

    @contextmanager
    def standing(self) -> Iterator["Town"]:
        """The town with all its residents; everything is gone at the end but what is below the folder."""
        with ExitStack() as stack:
            stack.callback(self.postgres.stop)
            self.dsn = self.postgres.start()
            stack.callback(self.broker.stop)
            self.start_broker()
            stack.callback(self.proxy.stop)
            self.proxy.start()
            self._make_places(stack)
            few = [word for topic in PARTITIONED for word in ("--partitions", f"{topic}=4")]
            for command in (["topics", "create", *few], ["store", "create"]):
                self._run(*command)
            stack.callback(self._all_leave)
            for resident in self._population():
                self.residents[resident.name] = resident
                resident.start()
            yield self

    def _make_places(self, stack: ExitStack) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        shim = programs / "bwrap"
        shim.write_text(BWRAP.format(starts=self.starts, bwrap=shutil.which("bwrap")))
        shim.chmod(0o755)
        self.starts.touch()
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "town", str(disk)], check=True)
        stack.callback(lambda: subprocess.run(["umount", "-l", str(disk)], check=True))
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CRUNCH_REUSE_POSTGRES_DSN": self.dsn,
            "CRUNCH_REUSE_KAFKA_SERVERS": f"127.0.0.1:{self.port}",
            "CRUNCH_REUSE_KAFKA_OPTIONS": f"session.timeout.ms={SESSION_MS}",
            "CRUNCH_REUSE_STORE_DIRECTORY": str(self.folder / "store"),
            "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(self.folder / "snapshots"),
            "CRUNCH_REUSE_EXECUTOR_RUNNER": "bubblewrap",
            "CRUNCH_REUSE_EXECUTOR_MEMORY": "4096",
            "CRUNCH_REUSE_EXECUTOR_SCRATCH": "4096",
        }

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
        yield self.coordinator("coordinator-2", folder=self.folder / "disk" / "coordinator-2")
        yield self.resident("standby", "standby", ["coordinator", "--standby"])
        for name in ("a", "b"):
            arguments = ["executor", "--node", f"node-{name}", "--slots", "2"]
            yield self.resident(f"executor-{name}", "executor", arguments, faked=name == "b")
        small = ["executor", "--node", "node-c", "--slots", "2"]
        yield self.resident("executor-c", "executor", small, folder=self.folder / "disk" / "executor-c")
        yield self.resident("projector-1", "projector", ["projector", "--name", "projector-1"])

    def start_broker(self) -> None:
        """On a machine that is very busy its start may take longer than it is given."""
        for _ in range(TRIES):
            with suppress(BrokerError):
                self.broker.start()
                return
        self.broker.start()

    def coordinator(self, name: str, **more: Path) -> Resident:
        """One more that decides; not started."""
        return self.resident(name, "coordinator", ["coordinator", "--name", name], **more)

    def resident(
        self, name: str, kind: str, arguments: list[str], folder: Path | None = None, *, faked: bool = False
    ) -> Resident:
        """One more process, not started. `faked`: its clock is ours to set (`set_clock`)."""
        environment = self.environment | (self._fake_clock(name) if faked and FAKETIME.exists() else {})
        said = self.folder / f"{name}.log"
        made = Resident(name, kind, arguments, folder or self.folder / name, environment, said, self.launcher)
        self.everybody.append(made)
        return made

    def _fake_clock(self, name: str) -> dict[str, str]:
        self.set_clock(name, 0)
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock(name)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
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

    def _all_leave(self) -> None:
        for resident in self.residents.values():
            resident.leave()
