"""A small log in memory with the toy machine's commands in it, and what a careful reader downstream makes of it.

Two worlds of the same commands are the same to the byte, log ids and times included, so one that suffered can be held
against one that did not.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count

from coordinator.machine import Machine
from schemas.claims import Requested
from schemas.codec import decode, encode
from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic
from streams.checkpoints import CheckpointStore, MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import Append, Floor, Log, Place, Stored
from streams.loop import Runner
from streams.marks import Marks, is_new
from streams.memory import MemoryLog
from streams.routes import Routes, key_of
from streams.standby import Patience
from streams.state import Header
from tests.support.logtoy import Toy

COUNTS = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 3,
    Topic.CLAIMS: 2,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 1,
    Topic.FACTS: 2,
}
TARGETS = [Place(topic, number) for topic in (Topic.TASKS, Topic.WORK, Topic.FACTS) for number in range(COUNTS[topic])]

FINGERPRINTS = ["f3", "f5", "f0", "f6", "f1"]  # of two partitions: 0, 0, 1, 0, 1

Said = tuple[Cause, Record]


def request(number: int, children: int = 0, same: int = 5, **fields: object) -> Requested:
    """A request for the toy; `children` records in `tasks`, by its root; each `same`-th has the same fingerprint."""
    return Requested(
        fingerprint=FINGERPRINTS[number % same % 5],
        task=f"t{number}",
        root=f"r{number % 3}",
        owner="u",
        priority=children,
        **fields,  # type: ignore[arg-type]
    )


def append(log: Log, topic: Topic, *bodies: Record) -> list[int]:
    """Append commands where their keys belong; their offsets."""
    routes = Routes(log)
    return log.append([Append(routes.place(topic, key_of(body)), key_of(body), encode(body)) for body in bodies])


class World:
    """A log whose `claims` hold these requests; `place`: the partition whose runner is tried."""

    def __init__(self, requests: Sequence[Requested] = (), counts: dict[Topic, int] = COUNTS) -> None:
        ids, times = count(), count(1_700_000_000_000)
        self.log = MemoryLog(now=partial(next, times), new_id=lambda: f"log{next(ids):02d}")
        self.log.create(counts)
        self.checkpoints = MemoryCheckpoints(keep=1_000)
        append(self.log, Topic.CLAIMS, *requests)

    def runner(
        self,
        partition: int = 0,
        *,
        log: Log | None = None,
        checkpoints: CheckpointStore | None = None,
        every: int = 3,
        local: LocalStore | None = None,
        standby: Patience | None = None,
    ) -> Runner:
        kept = checkpoints or self.checkpoints
        return Runner(log or self.log, Toy, partition, kept, every=every, local=local, standby=standby)

    def run(self, every: int = 3) -> "World":
        """Run both partitions to their ends, with nothing going wrong."""
        for partition in range(COUNTS[Topic.CLAIMS]):
            finish(self.runner(partition, every=every))
        return self

    def accepted(self) -> dict[Place, list[Said]]:
        """What a reader of each partition that a machine writes to takes in, by cause."""
        said = {place: accept(self.log.read(place, 1, 1_000_000), place, {}) for place in TARGETS}
        return {place: sorted(outputs, key=by_cause) for place, outputs in said.items()}


def by_cause(said: Said) -> tuple[str, int, int]:
    return said[0].log_id, said[0].offset, said[0].index


def finish(runner: Runner, limit: int = 1_000) -> Runner:
    while runner.poll(limit):
        pass
    return runner


def accept(records: list[Stored], place: Place, marks: Marks) -> list[Said]:
    """The machine's outputs among these records that are no repeats, as they stand there."""
    said = [decode(place.topic, record.value) for record in records]
    return [(envelope.cause, envelope.body) for envelope in said if is_new(marks, envelope.cause)]


class Crash(BaseException):
    """kill -9: nothing in the process gets to react to it."""


class Fuse:
    """Blows at its `steps`-th step; says whether it has."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash

    @property
    def blown(self) -> bool:
        return self.left <= 0


class CrashingLog(MemoryLog):
    """The same records as `log`, in a process that may die before and after whatever it does."""

    def __init__(self, log: MemoryLog, fuse: Fuse) -> None:
        vars(self).update(vars(log))
        self._fuse = fuse

    def append(self, records: Sequence[Append]) -> list[int]:
        self._fuse.step()
        offsets = super().append(records)
        self._fuse.step()
        return offsets

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        self._fuse.step()
        return super().read(place, offset, limit)

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        self._fuse.step()
        super().move_floor(reader, place, floor)
        self._fuse.step()


class CrashingCheckpoints:
    """The same checkpoints as `inner`, in a process that may die before and after it saves one."""

    def __init__(self, inner: MemoryCheckpoints, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse
        self.load = inner.load
        self.offsets = inner.offsets

    def keep(self, header: Header, machine: Machine) -> None:
        self._fuse.step()
        self._inner.keep(header, machine)
        self._fuse.step()
