"""The executor of one node: joins, works, and joins anew when the dispatcher has given it up.

Before it joins, whatever a former executor of this node left running is removed: its work is given to somebody else as
soon as the node joins. The watchdog sees to the rest: nothing is left running when this process ends, however it ends.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec

from consumers.executor.actions import Stop
from consumers.executor.core import ExecutorCore
from consumers.executor.guard import Guard
from consumers.executor.incarnation import Incarnation
from consumers.executor.lease import Timing
from consumers.executor.site import Site, site_key
from consumers.runners.choose import AUTO, Choice, Runners
from consumers.runners.port import MIB, CannotRun
from coordinator.config import Config
from schemas.facts import Answered
from schemas.fields import Record
from schemas.spec import TaskSpec
from schemas.topics import Topic
from schemas.work import Joined, Ready
from store.collections import CollectionStore
from store.environment import host_summary
from streams.answers import Answers
from streams.log import Log, LogError, LogUnreachable

LOGGER = logging.getLogger(__name__)
CONTAINERS_NOTE = "containers-were-made"  # a file below the executor's root: it has used an engine

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 1.0  # between two looks whether this node can work


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a node offers. 0: as much as the machine has; `memory` and `scratch` in MiB. `lease`: ms, the dispatcher's.

    `runner`: auto, docker, bubblewrap or process. `engine`: the Docker engine's address; empty: the environment says.
    """

    node: str = "local"
    pool: str = "default"
    slots: int = 0
    verify_slots: int = 2
    cores: int = 0
    memory: int = 0
    scratch: int = 0
    runner: str = AUTO
    engine: str = ""
    lease: int = Config().lease


class Replaced(Exception):
    """Another executor joined under this node's name; one line that names the node."""


class Executor:
    """Runs tasks that `assignments` gives this node. `root`: a folder of its own; what is in it may be removed.

    `trouble`: why this node can't work now, in one line, None if it can; asked often, so it answers at once. While
    there is one the node does not join; when one comes up, it takes nothing new, ends what it holds, and joins anew.
    `run` returns after `stop` or `drain`, both for any thread. `run` raises LogError, Replaced, and whatever else ends
    it.
    """

    def __init__(
        self,
        log: Log,
        collections: CollectionStore,
        root: Path,
        offer: Offer,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._log = log.clone()
        self._trouble = trouble
        self._collections = collections
        self._root = root
        self.offer = measured(offer, root)
        self._runners = Runners(offer.runner, offer.engine, root / CONTAINERS_NOTE)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._present: Incarnation | None = None

    def choice(self, image_named: bool = False) -> Choice:
        """Which runner a task gets here, and why. Raises CannotRun."""
        return self._runners.choose(image_named)

    def run(self) -> None:
        """Work until it is told to end."""
        answers = _LazyAnswers(self._log)
        key = site_key(self.offer.node, self._root)
        if left := self._runners.sweep(key):
            LOGGER.warning("%s: removed %d tasks that a former executor had left running", self.offer.node, left)
        guard = Guard(self.offer.engine)
        try:
            site = Site(
                node=self.offer.node,
                root=self._root,
                collections=self._collections,
                runners=self._runners,
                guard=guard,
                answers=answers,
            )
            try:
                self._work(site)
            finally:
                site.close()
        finally:
            guard.close()
            answers.close()
            self._log.close()

    def drain(self) -> None:
        """Take nothing new, finish what is held, end."""
        self._end(lambda present: present.drain())

    def stop(self) -> None:
        """End within seconds; what runs is killed and given back, to be done anew."""
        self._end(lambda present: present.stop())

    def _end(self, how: Callable[[Incarnation], None]) -> None:
        with self._lock:
            self._ending.set()
            if self._present is not None:
                how(self._present)

    def _work(self, site: Site) -> None:
        while self._can_work():
            try:
                ended = self._incarnate(site)
            except LogUnreachable as error:
                LOGGER.warning("%s: %s", self.offer.node, error)
                self._ending.wait(_RETRY_SECONDS)
                continue
            if ended.why == "replaced":
                raise Replaced(f"{ended.reason}: give each executor of this log a name of its own in executor.node")

    def _can_work(self) -> bool:
        """True as soon as nothing is in the way; False when it is told to end."""
        if not self._ending.is_set() and (trouble := self._trouble()):
            LOGGER.warning("%s takes no work: %s", self.offer.node, trouble)
            while not self._ending.wait(_LOOK_SECONDS) and self._trouble():
                pass
        return not self._ending.is_set()

    def _incarnate(self, site: Site) -> Stop:
        core = ExecutorCore(self._joined(), Timing.of_lease(self.offer.lease), self._runner_of, host_summary())
        with self._lock:
            if self._ending.is_set():
                return Stop("drained", "told to stop")
            self._present = Incarnation(core, self._log, site)
        over = threading.Event()
        threading.Thread(target=self._watch, args=(self._present, over), name="trouble", daemon=True).start()
        try:
            return self._present.run()
        finally:
            over.set()
            with self._lock:
                self._present = None

    def _watch(self, present: Incarnation, over: threading.Event) -> None:
        """Let the incarnation take nothing new once this node can't work any more."""
        while not over.wait(_LOOK_SECONDS):
            if trouble := self._trouble():
                LOGGER.warning("%s takes no more work: %s", self.offer.node, trouble)
                present.drain()
                return

    def _joined(self) -> Joined:
        offer = self.offer
        return Joined(
            pool=offer.pool,
            node=offer.node,
            incarnation=uuid4().hex,
            slots=offer.slots,
            verify_slots=offer.verify_slots,
            cores=offer.cores,
            memory=offer.memory,
            scratch=offer.scratch,
        )

    def _runner_of(self, ready: Ready) -> str:
        """What stands in `Started`; the attempt itself says why there is none, if there is none."""
        try:
            return self.choice(bool(msgspec.json.decode(ready.spec, type=TaskSpec).image)).name
        except (CannotRun, msgspec.MsgspecError):
            return ""


class _LazyAnswers:
    """Reads the facts only once a task has asked for something, most tasks never do; and anew after the log failed."""

    def __init__(self, log: Log) -> None:
        self._log = log.clone()
        self._lock = threading.Lock()
        self._answers: Answers | None = None

    def append_and_wait(self, topic: Topic, body: Record, timeout: float) -> Answered:
        """As `Answers.append_and_wait`."""
        with self._lock:
            if self._answers is None:
                self._answers = Answers(self._log)
            answers = self._answers
        try:
            return answers.append_and_wait(topic, body, timeout)
        except LogError:
            self._give_up(answers)
            raise

    def close(self) -> None:
        """End the thread that reads, if there is one."""
        if self._answers is not None:
            self._give_up(self._answers)
        self._log.close()

    def _give_up(self, answers: Answers) -> None:
        with self._lock:
            if self._answers is not answers:
                return
            self._answers = None
        answers.close()


def measured(offer: Offer, root: Path) -> Offer:
    """The offer with what the machine has in place of the zeros."""
    cores = offer.cores or _cores()
    root.mkdir(parents=True, exist_ok=True)
    return msgspec.structs.replace(
        offer,
        cores=cores,
        slots=offer.slots or cores,
        memory=offer.memory or _memory() // MIB,
        scratch=offer.scratch or shutil.disk_usage(root).free // MIB,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
