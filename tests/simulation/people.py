"""Who asks: users, the operator, the janitor and the assembler, each with a way to the log that may lose replies."""

import msgspec

from coordinator.ids import first_task_uuid
from schemas import claims as c
from schemas import tasks as t
from schemas.codec import decode
from schemas.facts import JobChanged
from schemas.fields import Record
from schemas.settings import ConfigSet, GrantRemoved, GrantSet, UserSet
from schemas.spec import Components, JobParameter, JobSpec, TaskSpec
from schemas.topics import Topic
from streams.log import Append, Place
from streams.marks import Marks, is_new
from tests.simulation.world import PARTITIONS, World, to_append


def digest(text: str) -> str:
    """A stand-in for a component's digest: 64 characters that say what they stand for."""
    return text.rjust(64, "0")


def specs(world: World) -> list[TaskSpec]:
    """The few kinds of work of one schedule, so that jobs overlap. Children are written in the parameters."""
    random = world.random
    leaves = [
        _spec(f"leaf{n}", [], sequence=random.choice((1, 2)), **_odd(world)) for n in range(random.randrange(1, 4))
    ]
    parents = [
        _spec(f"split{n}", random.sample(leaves, random.randrange(len(leaves) + 1)))
        for n in range(random.randrange(1, 3))
    ]
    if random.random() < 0.1:
        parents.append(_spec("ouroboros", [_spec("ouroboros", [])]))
    return parents


def _odd(world: World) -> dict[str, object]:
    random = world.random
    drawn = random.random()
    if drawn < 0.1:
        return {"is_pure": False}
    if drawn < 0.2:
        return {"job_parameters": ("genome",)}
    return {"job_parameters": "all"} if drawn < 0.25 else {}


def _spec(name: str, children: list[TaskSpec], **fields: object) -> TaskSpec:
    same = digest("")
    components = Components(commit=same, script=digest(name), image=same, parameters=same, inputs=same, outputs=same)
    parameters = msgspec.Raw(msgspec.json.encode({"children": children}))
    return TaskSpec(name=name, components=components, parameters=parameters, **({"is_pure": True} | fields))  # type: ignore[arg-type]


class People:
    """Everybody who sends commands. `acknowledged`: place and offset of each command whose append was acknowledged."""

    def __init__(self, world: World, *, faults: float) -> None:
        self.world, self.faults = world, faults
        self.users = [f"user{n}" for n in range(world.random.randrange(2, 5))]
        self.jobs: dict[str, str] = {}  # root -> owner
        self.acknowledged: list[tuple[Place, int]] = []
        self.kinds = specs(world)
        self._marks: dict[int, Marks] = {}
        self._read = dict.fromkeys(range(PARTITIONS[Topic.FACTS]), 0)
        self.assembling: set[str] = set()

    def say(self, topic: Topic, body: Record, again: int = 3) -> None:
        """Append a command; a client that gets no reply repeats it."""
        if topic is Topic.SETTINGS:
            append = Append(Place(topic, 0), "", to_append(topic, body).value)
        else:
            append = to_append(topic, body)
        random = self.world.random
        fault = again > 0 and random.random() < self.faults
        if not fault or random.random() < 0.5:
            offsets = self.world.log.append([append])
            if not fault:
                self.acknowledged.append((append.place, offsets[0]))
        if fault:
            self.world.strike("client's reply lost")
            self.world.after(random.randrange(1, 200), lambda: self.say(topic, body, again - 1))

    def introduce(self) -> None:
        """Users and what they may read at first."""
        for user in self.users:
            self.say(Topic.SETTINGS, UserSet(user=user, name=user))
        for _ in range(self.world.random.randrange(4)):
            self.grant()
        random = self.world.random
        for name, value in (("verify_rate", random.choice((0, 0, 3000))), ("quarantine_losses", random.choice((2, 5)))):
            self.say(Topic.SETTINGS, ConfigSet(name=name, value=value))  # type: ignore[arg-type]

    def grant(self) -> None:
        reader, owner = self.world.random.sample(self.users, 2)
        self.world.tell(f"{reader} may read {owner}")
        self.say(Topic.SETTINGS, GrantSet(subject=reader, object=owner))

    def revoke(self) -> None:
        reader, owner = self.world.random.sample(self.users, 2)
        self.world.strike("revocation")
        self.world.tell(f"{reader} may not read {owner}")
        self.say(Topic.SETTINGS, GrantRemoved(subject=reader, object=owner))

    def submit(self) -> None:
        random = self.world.random
        root, owner = f"job{len(self.jobs)}", random.choice(self.users)
        self.jobs[root] = owner
        genome = random.choice(("hg19", "hg38"))
        kind = random.choice(self.kinds)
        changes = {
            "priority": random.randrange(3),
            "no_reuse": random.random() < 0.05,
            "refresh": random.random() < 0.08,
        }
        spec = JobSpec(
            task=msgspec.structs.replace(kind, **changes),
            parameters={"genome": JobParameter(value=msgspec.Raw(msgspec.json.encode(genome)), digest=digest(genome))},
        )
        self.world.tell(f"{owner} submits {root}: {kind.name} with {genome}")
        self.say(Topic.TASKS, t.JobSubmitted(root=root, owner=owner, request=f"request-{root}", spec=spec))

    def cancel(self) -> None:
        if self.jobs:
            root = self.world.random.choice(list(self.jobs))
            self.world.strike("cancel")
            self.world.tell(f"{root} is cancelled")
            self.say(Topic.TASKS, t.JobCancelled(root=root))

    def take_purity_back(self) -> None:
        if self.jobs:
            root = self.world.random.choice(list(self.jobs))
            self.world.strike("purity taken back")
            self.world.tell(f"purity of {root}'s first task is taken back")
            self.say(Topic.TASKS, t.PurityTakenBack(root=root, task=first_task_uuid(root)))

    def operate(self) -> None:
        """The operator judges a fingerprint that was seen."""
        fingerprints = self.fingerprints()
        if fingerprints:
            random = self.world.random
            fingerprint = random.choice(fingerprints)
            kind = random.choice((c.Quarantined, c.Released, c.Released, c.Invalidated))
            self.world.strike(kind.__name__.lower())
            self.world.tell(f"operator: {kind.__name__.lower()} …{fingerprint[-8:]}")
            self.say(Topic.CLAIMS, kind(fingerprint=fingerprint))

    def age(self) -> None:
        """The janitor: everything verified so far must be looked at again."""
        self.world.strike("aged")
        for partition in range(PARTITIONS[Topic.CLAIMS]):
            place = Place(Topic.CLAIMS, partition)
            append = Append(place, "", to_append(Topic.CLAIMS, c.Aged(before=self.world.log.end(place))).value)
            self.world.log.append([append])

    def fingerprints(self) -> list[str]:
        """Fingerprints of pure work that has been asked for, in order."""
        keys: dict[str, None] = {}
        for partition in range(PARTITIONS[Topic.CLAIMS]):
            for record in self.world.log.read(Place(Topic.CLAIMS, partition), 0, 1_000_000):
                if record.key and not record.key.startswith("impure:"):
                    keys[record.key] = None
        return list(keys)

    def assemble(self) -> None:
        """The assembler: joins the outputs of jobs whose levels are done."""
        for partition, position in self._read.items():
            records = self.world.log.read(Place(Topic.FACTS, partition), position, 1_000)
            self._read[partition] = position + len(records)
            for record in records:
                envelope = decode(Topic.FACTS, record.value)
                new = is_new(self._marks.setdefault(partition, {}), envelope.cause)
                if new and isinstance(envelope.body, JobChanged) and envelope.body.state == "assembling":
                    self.say(Topic.TASKS, t.JobAssembled(root=envelope.body.root, output="joined+1"))
        self.world.after(20, self.assemble)
