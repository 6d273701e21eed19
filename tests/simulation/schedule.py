"""One schedule: who acts, which faults are on, and how it ends: faults cease, and everything must come to rest."""

from schemas.topics import Topic
from schemas.work import Tick
from streams.faults import no_faults
from tests.simulation.nodes import Behaviour, Node
from tests.simulation.people import People
from tests.simulation.processes import Process, start_all
from tests.simulation.world import World, to_append

ACTIVE = 60_000  # virtual ms in which people act and faults strike
LONGEST = 4_000_000


class Schedule:
    """Everything that follows from one seed."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed)
        random = world.random
        on = lambda chance, value: value if random.random() < chance else 0.0  # noqa: E731
        self.people = People(world, faults=on(0.3, 0.2))
        self.processes = start_all(world, faults=on(0.4, 0.1))
        self.behaviour = Behaviour(world, failing=on(0.4, 0.3), disagreeing=on(0.2, 0.3), impure=on(0.2, 0.2))
        faults = on(0.3, 0.2)
        self.nodes = [Node(world, f"node{n}", self.behaviour, faults=faults) for n in range(random.randrange(1, 4))]
        world.in_flight = lambda: any(node.running for node in self.nodes if node.core)
        self.people.introduce()
        self.people.assemble()
        for _ in range(random.randrange(2, 6)):
            world.after(random.choice((0, 10, 100, 5_000, 20_000)), self.people.submit)
        self._plan_trouble()
        world.after(1_000, self._tick)

    def _plan_trouble(self) -> None:
        world, random = self.world, self.world.random
        trouble = [
            self.people.cancel, self.people.revoke, self.people.grant, self.people.take_purity_back,
            self.people.operate, self.people.age, self._kill_process, self._freeze_process, self._zombie,
            self._kill_node, self._freeze_node, self._clock_jump, self._lose_output, self._store_away,
        ]  # fmt: skip
        for kind in random.sample(trouble, random.randrange(6)):
            for _ in range(random.randrange(1, 3)):
                world.after(random.randrange(ACTIVE // 2), kind)

    def _kill_process(self) -> None:
        self.world.random.choice(self.processes).crash()

    def _freeze_process(self) -> None:
        self.world.random.choice(self.processes).freeze(self.world.random.randrange(20_000))

    def _zombie(self) -> None:
        """A second runner on the same partition, as after a rebalance that the first has not noticed."""
        twin = self.world.random.choice(self.processes)
        self.world.strike("zombie")
        zombie = Process(self.world, twin.topic, twin.partition, faults=twin.faults)
        self.world.after(self.world.random.randrange(20_000), lambda: setattr(zombie, "retired", True))

    def _kill_node(self) -> None:
        self.world.random.choice(self.nodes).kill()

    def _freeze_node(self) -> None:
        self.world.random.choice(self.nodes).freeze(self.world.random.randrange(1_000, 40_000))

    def _clock_jump(self) -> None:
        self.world.strike("clock jump")
        self.world.clock_error += self.world.random.choice((-1, 1)) * self.world.random.randrange(3_600_000)

    def _lose_output(self) -> None:
        self.world.strike("output lost")
        self.behaviour.missing |= {f"out-{f[-12:]}+1" for f in self.people.fingerprints()}
        self.people.age()

    def _store_away(self) -> None:
        self.world.strike("store unreachable")
        self.behaviour.unreachable = True
        self.people.age()
        self.world.after(5_000, lambda: setattr(self.behaviour, "unreachable", False))

    def _tick(self) -> None:
        """What the driver does when `work` is silent: time passes by a record."""
        for process in self.processes:
            idle = process.topic is Topic.WORK and process.runner and process.is_idle()
            if idle and process.runner.machine.deadline_outstanding():
                self.world.log.append([to_append(Topic.WORK, Tick())])
        self.world.after(1_000, self._tick)

    def run(self) -> None:
        """Let it all happen, then let it come to rest. Raises AssertionError for what must never be."""
        while self.world.now < ACTIVE:
            self.world.step()
        self._cease()
        while not self.at_rest():
            assert self.world.now < LONGEST, f"it never comes to rest: {self.unfinished()}"
            self.world.step()

    def _cease(self) -> None:
        self.world.tell("faults cease")
        self.people.faults = 0.0
        self.behaviour.failing = self.behaviour.impure = self.behaviour.disagreeing = 0.0
        for process in self.processes:
            process.faults, process.frozen = 0.0, False
            process.log.plan = no_faults
        for node in self.nodes:
            node.faults = 0.0

    def unfinished(self) -> list[str]:
        """Jobs that have not ended, as the jobs machines have it."""
        trees = [
            tree
            for process in self.processes
            if process.topic is Topic.TASKS and process.runner
            for tree in process.runner.machine.state.trees.values()
        ]
        open_ones = [tree.root for tree in trees if tree.state not in ("complete", "failed", "cancelled")]
        return open_ones + [root for root in self.people.jobs if root not in {tree.root for tree in trees}]

    def at_rest(self) -> bool:
        """Every job has ended and every process has read all there is."""
        return not self.unfinished() and all(p.is_idle() for p in self.processes if p.topic is not Topic.WORK)
