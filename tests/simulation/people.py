"""Who asks: users, the operator, the janitor and the assembler, each with a way to the log that may lose replies."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from coordinator.fingerprint import fingerprint_of
from coordinator.ids import first_task_uuid
from schemas import claims as c
from schemas import settings as s
from schemas import tasks as t
from schemas.codec import decode
from schemas.facts import JobChanged
from schemas.fields import Record
from schemas.spec import JobParameter, JobSpec, Resources, TaskSpec
from schemas.topics import Topic
from streams.log import Append, Place
from streams.marks import Marks, is_new
from tests.simulation.catalogue import OLD_COMMIT, OLD_SCRIPT, digest, specs
from tests.simulation.world import PARTITIONS, World, to_append

WHIMS = (
    ("no_reuse", True),
    ("refresh", True),
    *[("share", "by_inputs")] * 5,
    ("resources", Resources(cores=2)),
    ("resources", Resources(cores=4)),
    ("resources", Resources(cores=16)),
)


class People:
    """Everybody who sends commands. `pure`: fingerprints of pure work; `executions`: tokens under one of them.

    `acknowledged`: place and offset of each command whose append was acknowledged.
    """

    def __init__(self, world: World, pure: Callable[[], list[str]], executions: Callable[[str], list[str]]) -> None:
        self.world = world
        self.pure = pure
        self.executions = executions
        self.faults = 0.0
        random = world.random
        self.users = [f"user{n}" for n in range(random.choice((2, 2, 3, 3, 4)))]
        self.owners = list(self.users)
        self.granted: list[tuple[str, str]] = []
        self._introduced: dict[str, None] = {}
        self.jobs: dict[str, str] = {}  # root -> owner
        self.acknowledged: list[tuple[Place, int]] = []
        self.kinds = specs(random)
        self.whims = 0.0
        self._histories = 0
        self.in_turn = False
        self._heard: list[tuple[Place, int, Marks]] = []
        for partition in range(PARTITIONS[Topic.FACTS]):
            self._heard.append((Place(Topic.FACTS, partition), 0, {}))
            world.listen(Place(Topic.FACTS, partition), self._wake)
        self._planned = False

    def say(self, topic: Topic, body: Record, again: int = 3) -> None:
        """Append a command; a client that gets no reply repeats it."""
        self.send(to_append(topic, body), again)

    def send(self, append: Append, again: int = 3) -> None:
        """Append; who gets no acknowledgement repeats it, at most `again` times."""
        fault = again > 0 and self.world.chance(self.faults)
        if not fault or self.world.chance(0.5):
            offsets = self.world.log.append([append])
            if not fault:
                self.acknowledged.append((append.place, offsets[0]))
        if fault:
            self.world.strike("client's reply lost")
            self.world.after(self.world.random.choice((1, 40, 400)), self.send, append, again - 1)

    # --- Users ----------------------------------------------------------------------------------------------------

    def introduce(self, config: dict[str, int]) -> None:
        """Users, perhaps a group, what they may read at first, and the numbers of this schedule."""
        random = self.world.random
        if random.random() < 0.2:
            owner = random.choice(self.users)
            self._introduce(owner)
            self.owners.append("group")
            self._introduced["group"] = None
            self.say(Topic.SETTINGS, s.GroupSet(group="group", name="group", owner=owner))
        if self.in_turn or random.random() < 0.5:
            for user in self.users[1:]:
                self._grant(user, self.users[0])
        elif random.random() < 0.7:
            self.grant()
        for name, value in config.items():
            self.say(Topic.SETTINGS, s.ConfigSet(name=name, value=value))  # type: ignore[arg-type]

    def _introduce(self, user: str) -> None:
        """Who is party to no grant may do without: what they own is theirs, known or not."""
        if user not in self._introduced:
            self._introduced[user] = None
            self.say(Topic.SETTINGS, s.UserSet(user=user, name=user))

    def grant(self) -> None:
        self.world.strike("grant")
        self._grant(*self.world.random.sample(self.owners, 2))

    def _grant(self, reader: str, owner: str) -> None:
        if (reader, owner) not in self.granted:
            self.granted.append((reader, owner))
            self._introduce(reader)
            self._introduce(owner)
            self.world.tell(f"{reader} may read {owner}")
            self.say(Topic.SETTINGS, s.GrantSet(subject=reader, object=owner))

    def revoke(self) -> None:
        if self.granted:
            reader, owner = self.granted.pop(self.world.random.randrange(len(self.granted)))
            self.world.strike("revocation")
            self.world.tell(f"{reader} may not read {owner}")
            self.say(Topic.SETTINGS, s.GrantRemoved(subject=reader, object=owner))

    def change_standing(self) -> None:
        """Somebody becomes an admin, or may read nothing more, for a while or for ever."""
        random = self.world.random
        user, is_admin = random.choice(self.users), random.random() < 0.5
        self.world.strike("admin" if is_admin else "inactive user")
        self.world.tell(f"{user} is {'an admin' if is_admin else 'inactive'}")
        self.say(Topic.SETTINGS, s.UserSet(user=user, name=user, is_admin=is_admin, is_active=is_admin))
        if random.random() < 0.5:
            self.world.after(random.randrange(4_000), self.say, Topic.SETTINGS, s.UserSet(user=user, name=user))

    def raise_rules(self) -> None:
        """From here on newer rules decide."""
        self.world.tell("rules version 2 is set")
        self.say(Topic.SETTINGS, s.RulesSet(version=2))

    def assume_pure(self) -> None:
        """The operator declares an old script pure."""
        self.world.strike("script assumed pure")
        self.world.tell("the old script is assumed to be pure")
        self.say(Topic.SETTINGS, s.PureAssumed(**OLD_SCRIPT, commits=(OLD_COMMIT,)))

    def submit(self) -> None:
        random = self.world.random
        root, owner = f"job{len(self.jobs)}", random.choice(self.owners)
        if self.in_turn or (not self.jobs and random.random() < 0.5):
            owner = self.users[len(self.jobs) % len(self.users)]
        self.jobs[root] = owner
        genome = random.choice(("hg19", "hg38"))
        kind = self.kinds[0] if self.in_turn else random.choice((self.kinds[0], *self.kinds))
        changes: dict[str, Any] = {"priority": random.randrange(3)}
        if self.world.chance(self.whims):
            name, value = random.choice(WHIMS)
            changes[name] = value
        spec = JobSpec(
            task=msgspec.structs.replace(kind, **changes),
            parameters={"genome": JobParameter(value=msgspec.Raw(msgspec.json.encode(genome)), digest=digest(genome))},
        )
        self.world.tell(f"{owner} submits {root}: {kind.name} with {genome} {changes}")
        self.say(Topic.TASKS, t.JobSubmitted(root=root, owner=owner, request=f"request-{root}", spec=spec))

    def take_history_over(self) -> None:
        """A job of another system, with what its first task had queued; sent again after a while, as by who resumes."""
        random = self.world.random
        self._histories += 1
        root, owner, kind = f"past{self._histories}", random.choice(self.owners), random.choice(self.kinds)
        parameters = {"genome": JobParameter(value=msgspec.Raw(b'"hg19"'), digest=digest("hg19"))}
        first = f"{root}-first"
        children = msgspec.json.decode(kind.parameters, type=dict[str, list[TaskSpec]])["children"]
        specs = {first: kind} | {f"{root}-{rank}": child for rank, child in enumerate(children)}
        tasks: list[Record] = [
            t.TaskImported(
                root=root,
                task=task,
                created_by="" if task == first else first,
                spec=spec,
                state=random.choice(("complete", "complete", "complete", "failed", "cancelled")),
                output=self._past_output(spec, parameters),
            )
            for task, spec in specs.items()
        ]
        job = JobSpec(task=kind, parameters=parameters)
        state = random.choice(("complete", "failed", "cancelled"))
        begin = t.JobImported(
            root=root, owner=owner, request=f"request-{root}", spec=job, state=state, tasks=len(tasks), output="past+1"
        )
        self.world.strike("history taken over")
        self.world.tell(f"{owner} takes {root} over: {kind.name}, which was {state}")
        for record in (begin, *tasks):
            self.say(Topic.TASKS, record)
            self.world.after(3_000, self.say, Topic.TASKS, record, 0)

    def _past_output(self, spec: TaskSpec, parameters: dict[str, JobParameter]) -> str:
        """What the same work gives here, but now and then something else."""
        named = parameters if spec.job_parameters == "all" else set(spec.job_parameters) & set(parameters)
        fingerprint = fingerprint_of(spec.components, {name: parameters[name].digest for name in named})
        return f"out-{fingerprint[-12:]}+1" if self.world.random.random() < 0.8 else f"past-{self._histories}+1"

    def add_task(self) -> None:
        """A user adds a task to a running job."""
        if self.jobs:
            random = self.world.random
            root, spec = random.choice(list(self.jobs)), random.choice(self.kinds)
            self.world.strike("task added")
            self.world.tell(f"{spec.name} is added to {root}")
            task = f"{root}-added{random.randrange(2)}"
            self.say(Topic.TASKS, t.TaskSubmitted(root=root, task=task, created_by="", spec=spec))

    def cancel(self) -> None:
        if self.jobs:
            # Others are more likely to wait on the first ones.
            root = self.world.random.choice([*self.jobs][: 1 if self.in_turn else 2])
            self.world.strike("cancel")
            self.world.tell(f"{root} is cancelled")
            self.say(Topic.TASKS, t.JobCancelled(root=root))

    def take_purity_back(self) -> None:
        if self.jobs:
            root = self.world.random.choice(list(self.jobs))
            self.world.strike("purity taken back")
            self.world.tell(f"purity of {root}'s first task is taken back")
            self.say(Topic.TASKS, t.PurityTakenBack(root=root, task=first_task_uuid(root)))

    def prioritise(self, which: float, priority: int) -> None:
        """The owner of a job gives it another priority. `which`: from 0 to 1, of the jobs there are."""
        if self.jobs:
            root = list(self.jobs)[int(which * len(self.jobs))]
            self.world.strike("priority changed")
            self.world.tell(f"{root} is given priority {priority}")
            self.say(Topic.TASKS, t.JobPrioritised(root=root, priority=priority))

    def babble(self) -> None:
        """A broken client: bytes that are no record, a key not the record's, a partition not the key's."""
        random = self.world.random
        self.world.strike("broken client")
        kind = random.choice((Topic.TASKS, Topic.CLAIMS))
        right = to_append(kind, t.JobCancelled(root="x") if kind is Topic.TASKS else c.Released(fingerprint="f" * 64))
        elsewhere = right.place._replace(partition=1 - right.place.partition)
        wrong = (right._replace(value=b"{"), right._replace(key="y"), right._replace(place=elsewhere))
        self.send(random.choice(wrong))

    # --- Operator and services ------------------------------------------------------------------------------------

    def operate(self) -> None:
        """The operator judges a fingerprint that was seen."""
        pure = self.pure()
        if pure:
            random = self.world.random
            fingerprint = random.choice(pure)
            kind: Any = random.choice((c.Quarantined, c.Released, c.Released, c.Invalidated))
            self.world.strike(kind.__name__.lower())
            self.world.tell(f"operator: {kind.__name__.lower()} {fingerprint[:8]}")
            tokens = self.executions(fingerprint)
            which = random.choice(("token", "keep", ""))
            if kind is c.Invalidated and tokens and which:
                self.say(Topic.CLAIMS, c.Invalidated(fingerprint=fingerprint, **{which: random.choice(tokens)}))
            else:
                self.say(Topic.CLAIMS, kind(fingerprint=fingerprint))

    def make_room(self, random: Random) -> None:
        """Somebody takes an entry out of reuse: of work that was executed more than once, if there is any."""
        known = [(fingerprint, self.executions(fingerprint)) for fingerprint in self.pure()]
        fewest = 2 if any(len(tokens) > 1 for _, tokens in known) else 1
        fit = [(fingerprint, tokens) for fingerprint, tokens in known if len(tokens) >= fewest]
        if fit:
            fingerprint, tokens = random.choice(fit)
            token = random.choice(tokens)
            self.world.strike("room made")
            self.world.tell(f"{token} makes room")
            self.say(Topic.CLAIMS, c.Removed(fingerprint=fingerprint, token=token))

    def age(self) -> None:
        """The janitor: everything verified so far must be looked at again."""
        self.world.strike("entries aged")
        self.world.tell("entries are aged")
        for partition in range(PARTITIONS[Topic.CLAIMS]):
            place = Place(Topic.CLAIMS, partition)
            aged = to_append(Topic.CLAIMS, c.Aged(before=self.world.log.end(place)))
            self.send(aged._replace(place=place))

    def _wake(self) -> None:
        if not self._planned:
            self._planned = True
            self.world.after(self.world.random.choice((1, 5, 50)), self._assemble)

    def _assemble(self) -> None:
        """The assembler: joins the outputs of jobs whose levels are done."""
        self._planned = False
        for rank, (place, position, marks) in enumerate(self._heard):
            records = self.world.log.read(place, position, 1_000)
            self._heard[rank] = (place, position + len(records), marks)
            for record in records:
                if b'"assembling"' in record.value:
                    self._join(decode(Topic.FACTS, record.value), marks)

    def _join(self, envelope: Any, marks: Marks) -> None:
        fact = envelope.body
        if isinstance(fact, JobChanged) and fact.state == "assembling" and is_new(marks, envelope.cause):
            odd = self.world.chance(self.whims / 4)
            self.say(
                Topic.TASKS,
                t.JobAssembled(root=fact.root, output="" if odd else "joined+1", detail="they clash" if odd else ""),
            )
