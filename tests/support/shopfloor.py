"""Executors in processes of their own over one log; claims and dispatch decide in this process.

The test is the jobs machine: it requests work, and looks at what is said.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.executor.guard import end_former
from consumers.executor.inputs import remove_tree
from consumers.executor.service import WATCHDOG_LOCK
from consumers.executor.site import site_key, socket_folder
from coordinator.claims import Claims
from coordinator.dispatch import Dispatch
from schemas.claims import Requested, Withdrawn
from schemas.codec import decode, encode
from schemas.log import Genesis
from schemas.settings import ConfigSet, UserSet
from schemas.spec import Resources
from schemas.topics import Topic
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.checkpoints import MemoryCheckpoints
from streams.driver import Crew, Driver, Ticker
from streams.log import Append, Log, Place
from streams.loop import Runner
from streams.routes import key_of
from tests.support.attempts import Bench
from tests.support.office import SettingsType

PATIENCE = 90.0
COUNTS = dict.fromkeys(Topic, 1)


class Node:
    """One executor's process, and the next ones on the same folder. `environment`: variables beside this one's.

    `store`: name of its content store's folder. `within`: words before the command that starts it.
    """

    def __init__(
        self,
        floor: "ShopFloor",
        name: str,
        environment: Mapping[str, str] | None = None,
        store: str = "store",
        within: Sequence[str] = (),
        **offer: Any,
    ) -> None:
        self.floor = floor
        self.name = name
        self.root = floor.folder / name
        self.store = floor.folder / store
        self.within = within
        self.offer = {"node": name, "runner": "process", "slots": 1, "verify_slots": 1, **offer}
        self.environment = os.environ | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.pipes: list[int] = []  # held open until its end

    def start(self) -> "Node":
        """Start it, and wait until it has joined."""
        joined = self.joinings()
        self.process = subprocess.Popen(self.command, env=self.environment)
        self.floor.wait_until(lambda: self.joinings() > joined or self.has_ended())
        assert not self.has_ended(), f"{self.name} did not start"
        return self

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def command(self) -> list[str]:
        """What starts it."""
        where = [self.floor.address, str(self.store), str(self.root)]
        offer = msgspec.json.encode(self.offer).decode()
        return [*self.within, sys.executable, "-m", "tests.support.node_process", *where, offer]

    def joinings(self) -> int:
        """How often it has joined."""
        return len(self.floor.said(Topic.WORK, "joined", node=self.name))

    def send(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of the executor; what it left is as it is."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        assert self.process
        return self.process.wait(PATIENCE)

    @property
    def watchdog(self) -> int:
        """The process beside it."""
        return int((self.root / WATCHDOG_LOCK).read_text())

    def close(self) -> None:
        """End all of it."""
        for pipe in self.pipes:
            os.close(pipe)
        if self.process:
            for number in (signal.SIGCONT, signal.SIGKILL):
                self.process.send_signal(number)
            self.process.wait(PATIENCE)
            end_former(self.root / WATCHDOG_LOCK)
        remove_tree(socket_folder(site_key(self.name, self.root)))


class ShopFloor:
    """`user`s see nothing of each other. Every topic has one partition."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.address = msgspec.json.encode(log.address()).decode()
        self.folder = folder
        self.log = log
        self.log.create(COUNTS)
        self.store = CollectionStore(BlockStore.create(folder / "store"))
        kinds = (SettingsType(COUNTS), Claims, Dispatch)
        self._logs = [self.log.clone() for _ in kinds]
        self._drivers = [_driver(log, machine) for log, machine in zip(self._logs, kinds, strict=True)]
        self._threads = [threading.Thread(target=driver.run, daemon=True) for driver in self._drivers]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for driver in self._drivers:
            driver.stop()
        for thread in self._threads:
            thread.join(PATIENCE)
        for log in (*self._logs, self.log):
            log.close()

    # --- What people and the jobs machine say -------------------------------------------------------------------------

    def say(self, topic: Topic, body: Any) -> None:
        self.log.append([Append(Place(topic, 0), key_of(body), encode(body))])

    def number(self, name: Any, value: int) -> None:
        self.say(Topic.SETTINGS, ConfigSet(name=name, value=value))

    def user(self, name: str) -> None:
        self.say(Topic.SETTINGS, UserSet(user=name, name=name))

    def request(self, task: str, command: str, *, owner: str = "ada", **fields: Any) -> None:
        """A task, under a fingerprint of its own unless `fingerprint` says which."""
        resources = {name: fields.pop(name) for name in ("cores", "memory", "scratch") if name in fields}
        size = {"cores": 1, "memory": 64, "scratch": 16} | resources
        image = {name: fields.pop(name, "") for name in ("image", "image_name")}
        inputs = fields.pop("inputs", {})
        spec = msgspec.structs.replace(Bench.spec(None, command, **image), resources=Resources(**size), inputs=inputs)
        fields = {"fingerprint": f"print-{task}", "root": f"job-{task}"} | fields
        raw = msgspec.Raw(msgspec.json.encode(spec))
        self.say(Topic.CLAIMS, Requested(task=task, owner=owner, spec=raw, **size, **fields))

    def withdraw(self, task: str, fingerprint: str = "") -> None:
        self.say(Topic.CLAIMS, Withdrawn(fingerprint=fingerprint or f"print-{task}", task=task, root=f"job-{task}"))

    # --- What there is to read ----------------------------------------------------------------------------------------

    def said(self, topic: Topic, tag: str, **fields: Any) -> list[Any]:
        """The records of this type so far, with these fields."""
        found = []
        for stored in self.log.read(Place(topic, 0), 0, 100_000):
            body = decode(topic, stored.value).body
            alike = not isinstance(body, Genesis) and body.__struct_config__.tag == tag
            if alike and all(getattr(body, name) == value for name, value in fields.items()):
                found.append(body)
        return found

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Look again whenever any topic has grown."""
        end = time.monotonic() + PATIENCE
        while True:
            positions = {Place(topic, 0): self.log.end(Place(topic, 0)) for topic in Topic}
            if condition():
                return
            assert time.monotonic() < end, {topic: self._tail(topic) for topic in (Topic.WORK, Topic.CLAIMS)}
            self.log.wait(positions, 1.0)

    def wait_for(self, topic: Topic, tag: str, count: int = 1, **fields: Any) -> Any:
        """The `count`-th such record, as soon as it is there."""
        self.wait_until(lambda: len(self.said(topic, tag, **fields)) >= count)
        return self.said(topic, tag, **fields)[count - 1]

    def completed(self, task: str) -> Any:
        """What the claims machine says of a task that is done."""
        return self.wait_for(Topic.TASKS, "task_completed", task=task)

    def text(self, output: str, path: str) -> str:
        with self.store.open(output, path) as stream:
            return stream.read().decode()

    def _tail(self, topic: Topic) -> list[Any]:
        end = self.log.end(Place(topic, 0))
        return [decode(topic, stored.value).body for stored in self.log.read(Place(topic, 0), max(end - 12, 0), 12)]


@contextmanager
def shopfloor(log: Log, folder: Path) -> Iterator[tuple[ShopFloor, Callable[..., Node]]]:
    """The floor over an empty log, which is closed in the end, and what makes a node on it that runs already."""
    with ExitStack() as stack:
        floor = ShopFloor(log, folder)
        stack.callback(floor.close)

        def node(name: str, **offer: Any) -> Node:
            made = Node(floor, name, **offer)
            stack.callback(made.close)
            return made.start()

        yield floor, node


def _driver(log: Log, machine: Any) -> Driver:
    def assemble() -> Crew:
        runner = Runner(log, machine, 0, MemoryCheckpoints())
        if machine is not Dispatch:
            return Crew([runner])
        return Crew([runner], Ticker(log, runner, runner.machine.deadline_outstanding, runner.machine.tick))

    return Driver(log, assemble)
