"""A log, a coordinator and simulated executors, each in processes of their own, and who asks them for work."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec

from bench.common.logs import fresh_log
from bench.common.processes import SPAWN, START_SECONDS, BenchFailed, Start, coordinate, processes
from bench.dispatching.executor import Work, execute
from schemas.claims import Aged, Requested
from schemas.codec import decode, encode
from schemas.tasks import TaskCompleted, TaskCopied
from schemas.topics import Topic
from schemas.work import Joined
from streams.admin import EMBEDDED, create_topics
from streams.log import Append, Log, Place
from streams.routes import Routes

OWNER = "zzzzz-tpzed-000000000000000"
WAIT_SECONDS = 1.0


class Finished(threading.Thread):
    """Follows `tasks`: when each task was completed or copied, by time.monotonic()."""

    def __init__(self, log: Log) -> None:
        super().__init__(name="finished", daemon=True)
        self._log = log
        self._positions = {Place(Topic.TASKS, n): 0 for n in range(log.partitions(Topic.TASKS))}
        self._changed = threading.Condition()
        self._ending = False
        self.at: dict[str, float] = {}

    def run(self) -> None:
        """Follow until `close`."""
        while not self._ending:
            if self._log.wait(self._positions, WAIT_SECONDS):
                self._read()

    def _read(self) -> None:
        found: dict[str, float] = {}
        for place, position in self._positions.items():
            for stored in self._log.read(place, position, 1_000):
                body = getattr(decode(Topic.TASKS, stored.value), "body", None)
                if isinstance(body, TaskCompleted | TaskCopied):
                    found.setdefault(body.task, time.monotonic())
                self._positions[place] = stored.offset + 1
        with self._changed:
            self.at = found | self.at
            self._changed.notify_all()

    def wait_for(self, tasks: Iterable[str], timeout: float) -> None:
        """Return when all are finished. Raises BenchFailed after `timeout` seconds."""
        wanted = set(tasks)
        with self._changed:
            if not self._changed.wait_for(lambda: wanted <= self.at.keys(), timeout):
                raise BenchFailed(f"{len(wanted - self.at.keys())} of {len(wanted)} tasks had not ended in time")

    def close(self) -> None:
        """End the thread."""
        self._ending = True
        self._log.close()
        self.join()


class Cluster:
    """`executors` nodes of so many slots each, and the means to ask for work and to learn when it began and ended."""

    def __init__(self, log: Log, begun: Any, finished: Finished) -> None:
        self._log = log
        self._routes = Routes(log)
        self._begun = begun
        self.finished = finished

    def ask(self, milliseconds: Mapping[str, float], fingerprints: Mapping[str, str] | None = None) -> None:
        """Ask, in one append, for tasks by name. Equal fingerprints (by default all differ) are equal work."""
        names = fingerprints or {}
        self._append([_request(task, names.get(task, task), ms) for task, ms in milliseconds.items()])

    def warm_up(self, slots: int) -> None:
        """Return when every part has done its work once."""
        names = [f"warm-{number}" for number in range(2 * slots)]
        self.ask(dict.fromkeys(names, 10.0))
        self.begun(len(names), START_SECONDS)
        self.finished.wait_for(names, START_SECONDS)

    def age(self) -> None:
        """From now on every entry has to be looked at before it is given."""
        appends = []
        for place in self._routes.places[Topic.CLAIMS]:
            appends.append(Append(place, "", encode(Aged(before=self._log.end(place)))))
        self._log.append(appends)

    def begun(self, number: int, timeout: float) -> dict[str, float]:
        """When the next so many tasks began, by name. Raises queue.Empty where none begins for so many seconds."""
        return dict(self._begun.get(timeout=timeout) for _ in range(number))

    def _append(self, requests: Sequence[Requested]) -> None:
        place = self._routes.place
        self._log.append(
            [Append(place(Topic.CLAIMS, one.fingerprint), one.fingerprint, encode(one)) for one in requests]
        )


def _request(task: str, work: str, milliseconds: float) -> Requested:
    fingerprint = sha256(work.encode()).hexdigest()
    spec = msgspec.Raw(msgspec.json.encode(Work(ms=milliseconds)))
    return Requested(
        fingerprint=fingerprint, task=task, root=f"root-{task}", owner=OWNER, spec=spec, memory=1, scratch=1
    )


@contextmanager
def cluster(kind: str, executors: int, slots: int) -> Iterator[Cluster]:
    """A cluster on a fresh log of this kind, all of whose nodes have joined."""
    with ExitStack() as stack:
        log = stack.enter_context(fresh_log(kind))
        create_topics(log, EMBEDDED | {Topic.ASSIGNMENTS: executors})
        address = log.address()
        assert address is not None, "others can open a log on a server"
        finished = Finished(address.open())
        finished.start()
        stack.callback(finished.close)
        topics = {topic: range(log.partitions(topic)) for topic in (Topic.CLAIMS, Topic.WORK)}
        begun = SPAWN.Queue()
        offers = [_offer(f"node-{number}", slots) for number in range(executors)]
        starts = [Start("coordinator", coordinate, (address, topics))]
        starts += [Start(offer.node, execute, (address, offer, begun)) for offer in offers]
        stack.enter_context(processes(starts))
        nodes = Cluster(log, begun, finished)
        nodes.warm_up(executors * slots)
        yield nodes


def _offer(node: str, slots: int) -> Joined:
    return Joined(
        pool="default",
        node=node,
        incarnation=uuid4().hex,
        slots=slots,
        verify_slots=2,
        cores=slots,
        memory=slots * 1024,
        scratch=slots * 1024,
    )
