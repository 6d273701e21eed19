"""The executor of one node: joins, works, and joins anew when the dispatcher has given it up.

What a former executor of this node left running is gone on with where that can be done. All else is removed before the
node joins, as it is given to somebody else then. The watchdog sees to the rest: nothing is left running when this
process ends, however it ends.
"""

import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import msgspec

from consumers.executor.actions import Stop
from consumers.executor.core import ExecutorCore
from consumers.executor.guard import Guard, end_former
from consumers.executor.heart import Heart
from consumers.executor.incarnation import Incarnation
from consumers.executor.keepmount import MOUNTED
from consumers.executor.lazyanswers import LazyAnswers
from consumers.executor.lease import Timing
from consumers.executor.leasesetting import LeaseSetting
from consumers.executor.left import Left, recall
from consumers.executor.pulse import milliseconds
from consumers.executor.site import Site, mark_of, site_key
from consumers.executor.way import Way
from consumers.runners.choose import AUTO, ETC, Choice, Runners
from consumers.runners.port import MIB, CannotRun
from consumers.runners.reap import Hold
from schemas.spec import TaskSpec
from schemas.work import Joined, Ready
from store.collections import CollectionStore
from store.environment import host_summary
from streams.lockfile import FolderLock
from streams.log import Log, LogUnreachable

LOGGER = logging.getLogger(__name__)
CONTAINERS_NOTE = "containers-were-made"  # a file below the executor's root: it has used an engine

WATCHDOG_LOCK = "watchdog.lock"

_READY_SECONDS = 30.0
_SIGN_SECONDS = 5.0  # what can not be sent by then is out of date
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 1.0  # between two looks whether this node can work


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a node offers. 0: as much as the machine has; `memory` and `scratch` in MiB.

    `runner`: auto, docker, bubblewrap or process. `engine`: the Docker engine's address; empty: the environment says.
    `logins`: for registries of images, see `consumers.runners.docker.Images`. `way`: how tasks reach the API, if so.
    `drain`: ms that work may go on after the executor was told to end, before it is handed over.
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
    logins: str = ""
    way: Way | None = None
    drain: int = 30_000
    mounted: int = MOUNTED


class Replaced(Exception):
    """Another executor joined under this node's name; one line that names the node."""


class Executor:
    """Runs tasks that `assignments` gives this node. `root`: a folder of its own; what is in it may be removed.

    `trouble`: why this node can't work now, in one line, None if it can; asked often, so it answers at once. While
    there is one the node does not join, or, if it has, takes nothing new and goes on with what it holds.
    `run` returns after `stop` or `drain`, both for any thread. `run` raises LogError, Replaced, and whatever else ends
    it. `outcomes`: how many executions ended here, by how.
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
        self._key = site_key(offer.node, root)
        self.offer = measured(offer, root)
        self._runners = Runners(offer.runner, offer.engine, root / CONTAINERS_NOTE, logins=offer.logins)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._present: Incarnation | None = None
        self._settings = LeaseSetting()
        self.outcomes: Counter[str] = Counter()

    def choice(self, image_named: bool = False) -> Choice:
        """Which runner a task gets here, and why. Raises CannotRun."""
        return self._runners.choose(image_named)

    def run(self) -> None:
        """Work until it is told to end."""
        with ExitStack() as stack:
            stack.callback(self._log.close)
            stack.enter_context(FolderLock(self._root))
            shutil.rmtree(self._root / ETC, ignore_errors=True)
            end_former(self._root / WATCHDOG_LOCK)
            left = self._take_over()
            answers = stack.enter_context(closing(LazyAnswers(self._log)))
            address = self._log.address()
            hurried = address and address.with_patience(_SIGN_SECONDS)
            guard = Guard(self.offer.engine, self._root / WATCHDOG_LOCK, hurried)
            stack.callback(guard.close)
            self._watch_over(guard, left)
            site = Site(
                node=self.offer.node,
                root=self._root,
                collections=self._collections,
                runners=self._runners,
                guard=guard,
                answers=answers,
                left=left.values(),
                way=self.offer.way,
                outcomes=self.outcomes,
                mounted=self.offer.mounted,
            )
            stack.callback(site.close)
            site.owed.start()
            if not guard.wait_until_ready(_READY_SECONDS):
                LOGGER.warning("%s: the process beside it, which gives its signs of life, is slow", self.offer.node)
            self._work(site, left)

    def _take_over(self) -> dict[str, Left]:
        """What a killed executor left running and can be gone on with, by token; all else that it left is ended."""
        names = [mark.removeprefix(f"{self._key}.") for mark in self._runners.find(self._key)]
        left = recall(self._root / "attempts", names, milliseconds())
        if ended := self._runners.sweep(self._key, [self._mark(one) for one in left.values()]):
            LOGGER.warning("%s: removed %d tasks that a former executor had left running", self.offer.node, ended)
        return left

    def _watch_over(self, guard: Guard, left: dict[str, Left]) -> None:
        """Until it is adopted, what was left ends when its lease does, or when we do."""
        for one in left.values():
            mark = self._mark(one)
            guard.hold(mark, Hold(mark=mark, container=one.container))
            guard.watch(Path(one.moment))

    def _mark(self, one: Left) -> str:
        return mark_of(self._key, one.name)

    def phases(self) -> Counter[str]:
        """How much work it holds, by phase; from any thread."""
        present = self._present
        return present.phases() if present else Counter()

    def drain(self) -> None:
        """Take nothing new, finish what is held, end. What is not done in `Offer.drain` ms is handed over."""
        self._end(lambda present: present.drain(self.offer.drain))

    def stop(self) -> None:
        """End within seconds; what runs is killed and given back, to be done anew."""
        self._end(lambda present: present.stop())

    def _end(self, how: Callable[[Incarnation], None]) -> None:
        with self._lock:
            self._ending.set()
            if self._present is not None:
                how(self._present)

    def _work(self, site: Site, left: dict[str, Left]) -> None:
        while self._can_work():
            if left:  # it may have been the node's no more for a while
                left = self._take_over()
            try:
                ended = self._incarnate(site, left)
                left = {}
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

    def _incarnate(self, site: Site, left: dict[str, Left]) -> Stop:
        self._settings.catch_up(self._log)
        joined = self._joined(tuple(left))
        if left:
            LOGGER.warning("%s: goes on with %d tasks that a former executor left running", self.offer.node, len(left))
        for one in left.values():  # until this incarnation has a moment of its own
            site.guard.watch(Path(one.moment))
        site.moment = site.moments / joined.incarnation
        heart = Heart(self._log, site.guard, site.moment)
        timing = Timing.of_lease(self._settings.lease)
        adopted = [one.ready for one in left.values()]
        core = ExecutorCore(joined, timing, heart.until, self._runner_of, self._environment(), adopted)
        with self._lock:
            if self._ending.is_set():
                return Stop("drained", "told to stop")
            self._present = Incarnation(core, self._log, site, heart, self._settings, left)
        over = threading.Event()
        threading.Thread(target=self._watch, args=(self._present, over), name="trouble", daemon=True).start()
        try:
            return self._present.run()
        finally:
            over.set()
            with self._lock:
                self._present = None

    def _watch(self, present: Incarnation, over: threading.Event) -> None:
        """Let the incarnation take nothing new while this node can't work."""
        was = ""
        while not over.wait(_LOOK_SECONDS):
            trouble = self._trouble() or ""
            if bool(trouble) != bool(was):
                LOGGER.warning("%s takes %s", self.offer.node, f"no more work: {trouble}" if trouble else "work again")
                present.trouble(bool(trouble))
            was = trouble

    def _joined(self, adopts: tuple[str, ...]) -> Joined:
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
            adopts=adopts,
        )

    def _environment(self) -> str:
        """What stands in `Started`, for people."""
        return f"{host_summary()}, no control groups" if self._runners.without_groups else host_summary()

    def _runner_of(self, ready: Ready) -> str:
        """What stands in `Started`; the attempt itself says why there is none, if there is none."""
        try:
            return self.choice(bool(msgspec.json.decode(ready.spec, type=TaskSpec).image)).name
        except (CannotRun, msgspec.MsgspecError):
            return ""


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
