"""One schedule: who acts, which faults are on, and how it ends: faults cease, and everything must come to rest."""

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from schemas.topics import Topic
from streams.faults import no_faults
from tests.simulation.containers import Containers
from tests.simulation.disasters import strike_at_the_end
from tests.simulation.model import Model
from tests.simulation.nodes import Node, Watch
from tests.simulation.people import People
from tests.simulation.processes import RELIABLE, Process, Unreliable, standby, start_all
from tests.simulation.replay import audit
from tests.simulation.sight import Broken
from tests.simulation.world import World
from tests.support.mutations import flushing_every

ACTIVE = 9_000  # virtual ms in which people act and faults strike
SUBMITTED = (0, 0, 10, 10, 100, 1_000, 5_000)
LATER = (5, 15, 15, 50, 300, 1_000, 1_000, 3_000)
CONFIGS: tuple[dict[str, int], ...] = (
    {"verify_rate": 5_000},
    {"quarantine_losses": 1},
    {"lease": 5_000},
    {"max_waiters": 1},
    {"max_children": 1},
    {"max_attempts": 2},
    *[{}] * 6,
)
LONGEST = 600_000
MOST_EVENTS = 60_000


class Schedule:
    """Everything that follows from one seed. Each seed draws the kinds of trouble it has: few at a time, all in all."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed)
        self.model = Model({place: part.records[0] for place, part in world.log.at.items()})
        world.watch = self.model.landed
        self._flush = world.random.choice((1, 3, 1_000, 1_000, 1_000, 1_000))
        self.people = People(world, self._pure, self._entries)
        self.processes = start_all(world, self._trouble())
        self.containers = Containers(world)
        work = self.model.work
        watch = Watch(work.container_starts, work.alive_is_sent, work.speaks)
        count = world.random.choice((1, 1, 2, 3))
        self.nodes = [Node(world, f"node{n}", self.containers, watch, cores=4) for n in range(count)]
        world.in_flight = self._in_flight
        self._set_moods()
        times = [world.random.choice(SUBMITTED) for _ in range(world.random.choice((2, 3, 3, 4)))]
        if world.random.randrange(10) == 0:
            times = self._plan_succession()
        self.people.introduce(self._config())
        for time in times:
            world.after(time, self.people.submit)
        self._plan_trouble(times)
        self._plan_urgency(Random(f"urgency {seed}"))
        self._plan_loss(Random(f"loss {seed}"))

    def _in_flight(self) -> bool:
        return any(node.running for node in self.nodes if node.core)

    # --- What this seed draws -------------------------------------------------------------------------------------

    def _one_in(self, odds: int, value: float) -> float:
        return value if self.world.random.randrange(odds) == 0 else 0.0

    def _trouble(self) -> Unreliable:
        random = self.world.random
        limits = random.choice(((50,), (50,), (50,), (1, 3, 50)))
        pace = random.choice(((0, 1, 1, 4), (2, 5, 15), (2, 5, 15), (5, 50)))
        appends = 0.1 if self._flush > 5 else 0.02
        return Unreliable(self._one_in(3, appends), self._one_in(4, 0.1), limits, pace)

    def _set_moods(self) -> None:
        people, containers = self.people, self.containers
        people.faults = self._one_in(4, 0.2)
        people.whims = self._one_in(3, 0.4)
        containers.failing = self._one_in(3, 0.4) or self._one_in(8, 0.9)
        containers.disagreeing = self._one_in(5, 0.4)
        if containers.disagreeing:
            people.whims = 0.4
        containers.impure = self._one_in(6, 0.3)
        containers.talking = self._one_in(4, 0.5)
        containers.hanging = self._one_in(12, 0.2)
        containers.unheld = self._one_in(5, 0.5)
        faults = self._one_in(4, 0.2)
        survival = self._one_in(2, 0.8)
        for node in self.nodes:
            node.faults, node.survival = faults, survival

    def _config(self) -> dict[str, int]:
        """The numbers of this schedule, and the trouble without which one of them means nothing."""
        world, config = self.world, dict[str, int]()
        if self.people.whims or b'"cores":16' in msgspec.json.encode(self.people.kinds):
            config["unplaceable"] = 8_000
        config |= world.random.choice(CONFIGS)
        if self.containers.disagreeing:
            config["verify_rate"] = 5_000
        if "quarantine_losses" in config:
            for time in (50, 400, 5_300):
                world.after(time, self._kill_node)
        if "lease" in config:
            world.after(world.random.choice((50, 5_000)), self._cut_node_off)
        return config

    def _plan_succession(self) -> list[int]:
        """Everybody asks for the same, the others wait on the first one's, and that one leaves."""
        self.people.in_turn = True
        self.world.after(self.world.random.choice((30, 60, 400)), self.people.cancel)
        return [0, 10, 10, 20]

    def _plan_trouble(self, submitted: list[int]) -> None:
        """Some time after a job was submitted, most likely soon: while it runs."""
        world, random = self.world, self.world.random
        for kind in random.sample(self._kinds_of_trouble(), random.randrange(1, 7)):
            for _ in range(random.choice((1, 1, 1, 2))):
                world.after(random.choice(submitted) + random.choice(LATER), kind)
        if random.randrange(16) == 0:
            world.after(random.randrange(ACTIVE), self._compare)

    def _plan_urgency(self, random: Random) -> None:
        """Drawn apart, so that schedules without it stay as they were."""
        if random.randrange(3) == 0:
            for _ in range(random.choice((1, 2, 5))):
                which, priority = random.random(), random.randrange(4)
                self.world.after(random.choice((1, 20, 60, 300, 1_500, 6_000)), self.people.prioritise, which, priority)

    def _plan_loss(self, random: Random) -> None:
        """Entries go, most often where outputs disagree. Drawn apart: schedules without it stay as they were."""
        if random.randrange(2 if self.containers.disagreeing else 12) == 0:
            for _ in range(random.choice((1, 2, 3))):
                kind = random.choice((self.people.make_room, self.people.make_room, self._lose_entries))
                self.world.after(random.choice((400, 1_500, 3_000, 6_000, 8_000)), kind, random)

    def _kinds_of_trouble(self) -> list[Callable[[], None]]:
        people = self.people
        return [
            people.take_history_over, people.take_history_over,
            people.cancel, people.cancel, people.revoke, people.revoke, people.grant, people.change_standing,
            people.take_purity_back, people.operate, people.operate, people.age, people.age, people.babble,
            people.add_task, people.raise_rules, self._kill_process, self._freeze_process, self._zombie, self._zombie,
            self._stand_by,
            self._kill_node, self._freeze_node, self._hold_node_up, self._deafen_node, self._cut_node_off,
            self._drain_node, self._big_node, people.assume_pure,
            self._clock_jump, self._lose_output, self._store_away, self._forget_floor, self._trim,
        ]  # fmt: skip

    # --- Trouble --------------------------------------------------------------------------------------------------

    def _kill_process(self) -> None:
        self.world.random.choice(self.processes).crash()

    def _freeze_process(self) -> None:
        self.world.random.choice(self.processes).freeze(self.world.random.choice((100, 2_000, 17_000)))

    def _zombie(self) -> None:
        """A second runner on the same partition: one of the two is frozen, and wakes when the other has gone on."""
        random = self.world.random
        twin = random.choice([process for process in self.processes if not process.retired])
        self.world.strike("zombie runner")
        self.world.tell(f"{twin.place} has two runners")
        other = Process(self.world, *twin.place, twin.trouble, rules=random.choice((1, 2)))
        self.processes.append(other)
        if random.random() < 0.7:
            twin.freeze(random.choice((50, 1_000, 8_000)))
        self.world.after(random.randrange(1_000, 12_000), random.choice((twin, other)).retire)

    def _stand_by(self) -> None:
        """A standby looks on, or two; then the owner dies, freezes or goes away, or nothing happens to it at all."""
        random = self.world.random
        twin = random.choice([process for process in self.processes if not process.retired])
        self.world.strike("standby joined")
        self.world.tell(f"{twin.place} has a standby")
        for _ in range(random.choice((1, 1, 1, 2))):
            self.processes.append(standby(self.world, twin, rules=random.choice((1, 2))))
        fates = (twin.crash, lambda: twin.freeze(random.choice((500, 8_000))), twin.retire, lambda: None)
        self.world.after(random.choice((10, 100, 1_000, 3_000)), random.choice(fates))

    def _kill_node(self) -> None:
        self.world.random.choice(self.nodes).kill()

    def _freeze_node(self) -> None:
        self.world.random.choice(self.nodes).freeze(self.world.random.choice((500, 8_000, 13_000, 20_000)))

    def _hold_node_up(self) -> None:
        self.world.random.choice(self.nodes).hold_up(self.world.random.choice((500, 8_000, 30_000, 90_000)))

    def _deafen_node(self) -> None:
        self.world.random.choice(self.nodes).deafen(self.world.random.choice((1_000, 12_000, 30_000)))

    def _cut_node_off(self) -> None:
        self.world.random.choice(self.nodes).cut_off(self.world.random.choice((500, 8_000, 16_000)))

    def _drain_node(self) -> None:
        self.world.random.choice(self.nodes).drain()

    def _big_node(self) -> None:
        """A larger node joins."""
        self.world.strike("node joined")
        watch = self.nodes[0].watch
        self.nodes.append(Node(self.world, f"node{len(self.nodes)}", self.containers, watch, cores=16))

    def _clock_jump(self) -> None:
        back = self.world.random.random() < 0.5
        self.world.strike("clock set back" if back else "clock set forward")
        self.world.tell(f"the log's clock is set {'back' if back else 'forward'}")
        self.world.clock_error += (-1 if back else 1) * self.world.random.randrange(3_600_000)

    def _lose_output(self) -> None:
        self.world.strike("output lost")
        self.world.tell("all outputs of pure work are lost")
        self.containers.missing |= {f"out-{f[-12:]}+1" for f in self._pure()}
        self.people.age()

    def _lose_entries(self, _random: Random) -> None:
        """All outputs, those that disagree among them; and somebody asks once more."""
        self.world.strike("output lost")
        self.world.tell("all outputs are lost")
        claims = [claim for machine in self.model.claims.values() for claim in machine.claims.values()]
        self.containers.missing |= {run.output for claim in claims for run in claim.runs.values() if run.output}
        self.people.age()
        self.world.after(20, self.people.submit)

    def _store_away(self) -> None:
        self.world.strike("store unreachable")
        self.containers.unreachable = True
        self.people.age()
        self.world.after(5_000, setattr, self.containers, "unreachable", False)

    def _forget_floor(self) -> None:
        """The log's server crashes and takes the last moves of the floors back, and everybody starts over."""
        self.world.strike("floors taken back")
        self.world.tell("floors are taken back")
        log = self.world.log
        for process in self.processes:
            kept = [one for one in self.world.checkpoints.load(process.place) if one.rules == 1]
            floor = log.floor(f"{process.place.topic}-machine", process.place)
            if floor is not None and kept and kept[-1].offset < floor.offset:
                older = kept[-1]
                floor = floor._replace(offset=older.offset, digest=older.digest)
                log.floors[f"{process.place.topic}-machine", process.place] = floor
            process.crash()

    def _trim(self) -> None:
        """What all kept checkpoints of `work` have behind them is forgotten."""
        for process in self.processes:
            kept = list(self.world.checkpoints.load(process.place))
            if process.place.topic is Topic.WORK and kept and kept[-1].rules == 1:
                self.world.strike("work trimmed")
                self.world.tell(f"work is trimmed to {kept[-1].offset}")
                self.world.log.trim(process.place, kept[-1].offset)

    def _pure(self) -> list[str]:
        claims = self.model.claims.values()
        return [key for machine in claims for key in machine.claims if not key.startswith("impure:")]

    def _entries(self, fingerprint: str) -> list[str]:
        claims = self.model.claims.values()
        return [
            token for machine in claims if fingerprint in machine.claims for token in machine.claims[fingerprint].runs
        ]

    def _compare(self) -> None:
        self.world.strike("audited")
        self.model.fired["decided again"] += audit(self.world, self.processes)

    # --- The run --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let it all happen, then let it come to rest. Raises Broken for what must never be."""
        world = self.world
        with flushing_every(self._flush):
            while world.now < ACTIVE:
                world.step()
            self._cease()
            events = 0
            while not self.at_rest():
                events += 1
                if world.now > LONGEST or events > MOST_EVENTS:
                    raise Broken(10, f"it never comes to rest: {self.model.unfinished()[:9]}", self.model.stuck())
                world.step()
        self.model.finish(self.people.acknowledged)
        if world.seed % 10 == 0:
            self._compare()
        strike_at_the_end(self)

    def _cease(self) -> None:
        self.world.tell("faults cease")
        self.people.faults = 0.0
        containers = self.containers
        containers.failing = containers.impure = containers.disagreeing = containers.hanging = 0.0
        everything = self.world.random.random() < 0.5
        for process in self.processes:
            process.trouble = RELIABLE
            process.log.plan = no_faults
            process.upgrade()
            if everything:
                process.runner = None
            process.thaw()
        for node in self.nodes:
            node.faults = 0.0

    def at_rest(self) -> bool:
        """Nothing is under way, every job was created and has ended, and every process has read all there is."""
        model = self.model
        quiet = model.is_quiet() and model.knows(self.people.jobs)
        return quiet and all(p.retired or p.is_idle() for p in self.processes if p.place.topic is not Topic.WORK)

    def counters(self) -> Counter[str]:
        """How often each fault struck while work was in flight, and how often each rule decided something."""
        counted: Counter[str] = Counter({f"fault: {name}": n for name, n in self.world.struck.items()})
        counted.update({f"rule: {name}": n for name, n in self.model.fired.items()})
        return counted
