"""A busy office: people, jobs and mishaps drawn from a seed, decided by the real machines, some of it said twice."""

from random import Random
from typing import Any

from schemas import claims as c
from schemas.reasons import Failure
from schemas.settings import GroupSet
from schemas.spec import Resources, TaskSpec
from schemas.tasks import PurityTakenBack, TaskSubmitted
from schemas.topics import Topic
from schemas.work import Ready
from streams.loop import Runner
from tests.support.office import Office, machine_types, spec

PEOPLE = ("ada", "ben", "eve", "root")
OWNERS = ("ada", "ben", "eve", "lab")
INPUTS = "abcdef"


class Traffic:
    """Everything that happens is drawn from `random`; the same seed, the same log."""

    def __init__(self, office: Office, seed: int) -> None:
        self.office = office
        self.random = Random(seed)
        self.jobs: list[str] = []
        self.zombies: list[Runner] = []
        office.runner = lambda ready: "process" if self.random.random() < 0.15 else "bubblewrap"
        office.proves = lambda ready: self.random.random() < 0.7
        office.children = self.children
        office.exits = self.exits

    def settle_in(self) -> None:
        """People, and who may read whom."""
        for name in PEOPLE:
            self.office.user(name, is_admin=name == "root")
        self.office.say(Topic.SETTINGS, GroupSet(group="lab", name="lab", owner="ben"), 0)
        self.office.number("unplaceable", 30)
        self.office.number("verify_rate", 1_000)
        self.office.may_read("ada", "ben")
        self.office.may_read("ben", "ada")
        self.office.settle()

    def happen(self) -> None:
        """One thing, drawn."""
        things = [self.submit] * 5 + [self.poll] * 6 + [self.work] * 4
        things += [
            self.cancel,
            self.add_task,
            self.take_back,
            self.mishap,
            self.judge,
            self.age,
            self.permit,
            self.haunt,
        ]
        self.random.choice(things)()

    def submit(self) -> None:
        root = f"job-{len(self.jobs)}"
        self.jobs.append(root)
        self.office.submit(self.random.choice(OWNERS), root, self.draw_spec(0), {"genome": "hg38", "n": 3})

    def draw_spec(self, level: int) -> TaskSpec:
        rng = self.random
        fields: dict[str, Any] = {"sequence": level, "is_pure": rng.random() < 0.85, "refresh": rng.random() < 0.1}
        fields["resources"] = Resources(cores=rng.choice([1, 1, 1, 2, 99]))
        fields["share"] = rng.choice(["visible", "visible", "by_inputs"])
        fields["job_parameters"] = rng.choice([(), (), ("genome",), "all"])
        return spec(f"level {level}", inputs=rng.choice(INPUTS), script=f"s{level}", **fields)

    def children(self, ready: Ready) -> list[TaskSpec]:
        deep = b'"level 2"' in bytes(ready.spec)
        level = 2 if b'"level 1"' in bytes(ready.spec) else 1
        return [] if deep else [self.draw_spec(level) for _ in range(self.random.choice([0, 0, 1, 2]))]

    def exits(self, ready: Ready) -> dict[str, Any]:
        rng = self.random
        match rng.choice(["fine"] * 9 + ["fails", "again", "other"]):
            case "fails":
                return {"exit_code": 3, "failure": Failure.EXIT, "reason": "it said no\0"}
            case "again":
                return {"exit_code": 111, "failure": Failure.EXIT}
            case "other":
                return {"output": f"other-{rng.randrange(3)}"}
        return {"output": f"out-{ready.fingerprint[:12]}", "log": "log"}

    def poll(self) -> None:
        self.random.choice(self.office.runners).poll(self.random.randrange(1, 20))

    def work(self) -> None:
        self.office.work(self.random.randrange(1, 4))

    def cancel(self) -> None:
        if self.jobs and self.random.random() < 0.3:
            self.office.cancel(self.random.choice(self.jobs))

    def add_task(self) -> None:
        if self.jobs:
            root = self.random.choice(self.jobs)
            task = f"{root}-extra-{self.random.randrange(3)}"
            self.office.say(Topic.TASKS, TaskSubmitted(root=root, task=task, spec=self.draw_spec(1)))

    def take_back(self) -> None:
        if self.jobs:
            root = self.random.choice(self.jobs)
            self.office.say(Topic.TASKS, PurityTakenBack(root=root, task=f"{root}-extra-0"))

    def mishap(self) -> None:
        """Something befalls a piece of work, which may long be over, or be another's by now."""
        work = self.office.read_work()
        if not work:
            return
        ready = self.random.choice(work)
        about = {"fingerprint": ready.fingerprint, "token": ready.token}
        befalls = [
            c.PurityLost(**about, access="/etc/passwd"),
            c.Reported(**about, progress=500),
            c.Exited(**about, node="n1", exit_code=0, output="late"),
            c.OutputMissing(**about, entry=ready.entry or "none", block="b+1"),
        ]
        self.office.say(Topic.CLAIMS, self.random.choice(befalls))

    def judge(self) -> None:
        """An operator judges a fingerprint."""
        if not self.office.done:
            return
        fingerprint = self.random.choice(self.office.done).fingerprint
        about = {"fingerprint": fingerprint}
        judgements = [
            c.Quarantined(**about, reason="odd"),
            c.Released(**about),
            c.Released(**about),
            c.Invalidated(**about),
        ]
        self.office.say(Topic.CLAIMS, self.random.choice(judgements))

    def age(self) -> None:
        for number in range(self.office.log.partitions(Topic.CLAIMS)):
            self.office.say(Topic.CLAIMS, c.Aged(before=self.random.randrange(100)), number)

    def permit(self) -> None:
        subject, thing = self.random.sample(OWNERS, 2)
        self.random.choice([self.office.may_read, self.office.may_not_read])(subject, thing)

    def restart(self) -> None:
        """The node begins anew, rarely."""
        self.office.tick()
        if self.random.random() < 0.3:
            self.office.start_node()

    def haunt(self) -> None:
        """A runner that was frozen wakes up and says again what has been said; another one freezes."""
        for zombie in self.zombies:
            zombie.poll(50)
        counts = self.office.routes.counts
        machine = self.random.choice(machine_types(counts))
        number = self.random.randrange(counts[machine.topic])
        self.zombies = [Runner(self.office.log, machine, number, self.office.checkpoints)]

    def finish(self) -> None:
        """Everybody goes on until nobody has anything to do, and every job has its output."""
        self.office.run()
        for _ in range(40):
            self.office.tick()  # what fits no node fails in the end
        self.office.run()
        for root in self.jobs:
            self.office.assembled(root, f"joined-{root}")
        self.office.run()


def busy_office(seed: int, events: int = 150) -> Office:
    """An office after so many events, all settled."""
    office = Office(every=25)
    traffic = Traffic(office, seed)
    traffic.settle_in()
    for _ in range(events):
        traffic.happen()
    traffic.finish()
    return office
