"""A whole coordinator in one thread over the log in memory: real machines, real loop, and a worker that only pretends.

    office = Office()
    office.user("ada")
    office.submit("ada", "job-1", spec(inputs="a"))
    office.run()                     # until nobody has anything to do

The worker is a node with many slots. It does what it is assigned as an executor and a verifier would: what it says is
the office's to choose, through `children` (what a task queues) and `exits` (how it ends), both functions of the Ready.
"""

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from coordinator.claims import Claims
from coordinator.dispatch import Dispatch
from coordinator.jobs import Jobs
from coordinator.settings import Settings
from schemas import claims as c
from schemas.assignments import Assigned
from schemas.codec import decode, encode
from schemas.fields import Record
from schemas.log import Genesis
from schemas.settings import ConfigSet, GrantRemoved, GrantSet, UserSet
from schemas.spec import Components, JobParameter, JobSpec, TaskSpec
from schemas.tasks import JobAssembled, JobCancelled, JobSubmitted
from schemas.topics import Topic
from schemas.work import Freed, Joined, Ready, Tick
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Log, Place
from streams.loop import Runner
from streams.memory import MemoryLog
from streams.routes import Routes, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 2,
    Topic.CLAIMS: 2,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 1,
    Topic.FACTS: 3,
}
EMPTY = "d41d8cd98f00b204e9800998ecf8427e+0"


def digest(text: str) -> str:
    """A stand-in for a component's digest: 64 characters that begin with the text."""
    return (text + "." * 64)[:64]


def spec(name: str = "", *, inputs: str = "a", script: str = "s", parameters: str = "p", **fields: Any) -> TaskSpec:
    """A pure task; `inputs`, `script` and `parameters` stand for the digests of these components."""
    same = digest("same")
    components = Components(
        commit=same,
        script=digest(script),
        image=same,
        parameters=digest(parameters),
        inputs=digest(inputs),
        outputs=same,
    )
    return TaskSpec(name=name, components=components, **({"is_pure": True} | fields))


def memory_log() -> MemoryLog:
    """A log whose append times rise by a millisecond a call, and whose log ids are the same in every run."""
    ids, times = count(), count(1_700_000_000_000)
    return MemoryLog(now=partial(next, times), new_id=lambda: f"log{next(ids):02d}")


class SettingsType:
    """The settings machine, with the counts that it needs."""

    topic = Topic.SETTINGS

    def __init__(self, counts: dict[Topic, int]) -> None:
        self._counts = counts

    def __call__(self) -> Settings:
        return Settings(self._counts)

    def restore(self, snapshot: bytes) -> Settings:
        return Settings.restore(snapshot)


def machine_types(counts: dict[Topic, int]) -> list[Any]:
    return [SettingsType(counts), Jobs, Claims, Dispatch]


class Office:
    """`checkpoints`: those of all machines. `done`: tokens of what the worker was given, in order."""

    def __init__(self, log: Log | None = None, counts: dict[Topic, int] | None = None, every: int = 50_000) -> None:
        counts = counts or COUNTS
        self.log = log or memory_log()
        self.log.create(counts)
        self.routes = Routes(self.log)
        self.checkpoints = MemoryCheckpoints(keep=1_000)
        self.runners = [
            Runner(self.log, machine, number, self.checkpoints, every=every)
            for machine in machine_types(counts)
            for number in range(counts[machine.topic])
        ]
        self.children: Callable[[Ready], list[TaskSpec]] = lambda ready: []
        self.exits: Callable[[Ready], dict[str, Any]] = lambda ready: {"output": f"out-{ready.fingerprint[:12]}"}
        self.runner: Callable[[Ready], str] = lambda ready: "bubblewrap"
        self.environment = ""
        self.proves: Callable[[Ready], bool] = lambda ready: True
        self.done: list[Ready] = []
        self._assignments = 1
        self._incarnations = count()
        self.start_node()

    # --- What people say ----------------------------------------------------------------------------------------------

    def say(self, topic: Topic, body: Record, partition: int | None = None) -> tuple[str, int]:
        """Append a command; the log id and offset that its answer will name."""
        key = key_of(body)
        place = self.routes.place(topic, key) if partition is None else Place(topic, partition)
        [offset] = self.log.append([Append(place, key, encode(body))])
        return self.routes.log_ids[str(place)], offset

    def user(self, name: str, **fields: Any) -> None:
        self.say(Topic.SETTINGS, UserSet(user=name, name=name, **fields), 0)

    def may_read(self, subject: str, thing: str) -> None:
        self.say(Topic.SETTINGS, GrantSet(subject=subject, object=thing), 0)

    def may_not_read(self, subject: str, thing: str) -> None:
        self.say(Topic.SETTINGS, GrantRemoved(subject=subject, object=thing), 0)

    def number(self, name: str, value: int) -> None:
        self.say(Topic.SETTINGS, ConfigSet(name=name, value=value), 0)  # type: ignore[arg-type]

    def submit(
        self, owner: str, root: str, task: TaskSpec, parameters: dict[str, Any] | None = None
    ) -> tuple[str, int]:
        bound = {
            name: JobParameter(value=msgspec.Raw(msgspec.json.encode(value)), digest=digest(str(value)))
            for name, value in (parameters or {}).items()
        }
        job = JobSpec(name=f"{root} of {owner}", task=task, parameters=bound)
        return self.say(Topic.TASKS, JobSubmitted(root=root, owner=owner, request=f"request {root}", spec=job))

    def cancel(self, root: str) -> None:
        self.say(Topic.TASKS, JobCancelled(root=root))

    def assembled(self, root: str, output: str) -> None:
        self.say(Topic.TASKS, JobAssembled(root=root, output=output))

    # --- What the processes do ----------------------------------------------------------------------------------------

    def settle(self, limit: int = 1_000) -> None:
        """Let the machines decide until they have nothing to read."""
        while sum(runner.poll(limit) for runner in self.runners):
            pass

    def run(self) -> None:
        """Let machines and worker go on until nobody has anything to do."""
        self.settle()
        while self.work():
            self.settle()

    def start_node(self) -> None:
        """The worker begins anew: what it was assigned and has not done is lost."""
        self._incarnation = f"i{next(self._incarnations)}"
        size = {"slots": 1_000, "verify_slots": 1_000, "cores": 64, "memory": 1_000_000, "scratch": 1_000_000}
        self.say(Topic.WORK, Joined(pool="default", node="n1", incarnation=self._incarnation, **size))

    def tick(self) -> None:
        self.log.append([Append(Place(Topic.WORK, 0), "", encode(Tick()))])

    def work(self, limit: int = 1_000) -> int:
        """Do what was assigned, at most `limit` records of it."""
        records = self.log.read(Place(Topic.ASSIGNMENTS, 0), self._assignments, limit)
        self._assignments += len(records)
        for record in records:
            body = decode(Topic.ASSIGNMENTS, record.value).body
            if isinstance(body, Assigned) and body.incarnation == self._incarnation:
                self.do(body.work)
        return len(records)

    def do(self, ready: Ready) -> None:
        self.done.append(ready)
        self.verify(ready) if ready.kind == "verify" else self.execute(ready)
        about = {"pool": ready.pool, "node": "n1", "incarnation": self._incarnation}
        self.say(Topic.WORK, Freed(**about, token=ready.token))

    def execute(self, ready: Ready) -> None:
        about = {"fingerprint": ready.fingerprint, "token": ready.token}
        where = {"node": "n1", "incarnation": self._incarnation, "environment": self.environment}
        self.say(Topic.CLAIMS, c.Started(**about, **where, runner=self.runner(ready)))
        for rank, child in enumerate(self.children(ready)):
            self.say(Topic.CLAIMS, c.ChildQueued(**about, child=f"{ready.token} {rank}", spec=child))
        started = 1_600_000_000_000
        ending = {"exit_code": 0, "started_at": started, "finished_at": started + 2_000} | self.exits(ready)
        self.say(Topic.CLAIMS, c.Exited(**about, node="n1", **ending))

    def verify(self, ready: Ready) -> None:
        about = {"fingerprint": ready.fingerprint, "entry": ready.entry, "token": ready.token}
        self.say(Topic.CLAIMS, c.Verified(**about, proved=bool(ready.prove) and self.proves(ready)))

    # --- What there is to read ----------------------------------------------------------------------------------------

    def facts(self) -> dict[int, list[Any]]:
        """The facts of each partition, as they stand."""
        return {n: self.read(Place(Topic.FACTS, n)) for n in range(self.log.partitions(Topic.FACTS))}

    def read_work(self) -> list[Ready]:
        """All that ever became ready."""
        return [body for body in self.read(Place(Topic.WORK, 0)) if isinstance(body, Ready)]

    def read(self, place: Place) -> list[Any]:
        """The bodies of a partition's records, Genesis left out."""
        bodies = [decode(place.topic, record.value).body for record in self.log.read(place, 0, 1_000_000)]
        return [body for body in bodies if not isinstance(body, Genesis)]
