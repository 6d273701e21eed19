"""The processes of the coordinator: runners of machines that crash, are doubled, freeze, and start again."""

from collections.abc import Sequence

from schemas.topics import Topic
from streams.faults import Delayed, Duplicated, Fault, FaultyLog, LostAck, Partial, Refused
from streams.log import Append, LogError
from streams.loop import MachineStopped, Runner
from tests.simulation.world import PARTITIONS, Code, World

MACHINE_TOPICS = (Topic.SETTINGS, Topic.TASKS, Topic.CLAIMS, Topic.WORK)


class Process:
    """One runner of one partition. When its append fails, it dies; `restart_after` ms later another one starts."""

    def __init__(self, world: World, topic: Topic, partition: int, *, faults: float, rules: int = 1) -> None:
        self.world = world
        self.name = f"{topic}/{partition}"
        self.topic, self.partition = topic, partition
        self.code = Code(topic, rules)
        self.faults = faults
        self.frozen = False
        self.upgrade_needed = False
        self.retired = False
        self.runner: Runner | None = None
        self.log = FaultyLog(world.log, self._plan)
        self._start()
        world.after(world.random.randrange(5), self._turn)

    def _start(self) -> None:
        every = self.world.random.choice((1, 5, 40, 100_000))
        self.runner = Runner(
            self.log, self.code, self.partition, self.world.checkpoints, every=every, rules=self.code.rules
        )

    def _plan(self, records: Sequence[Append]) -> Fault | None:
        world = self.world
        if world.random.random() >= self.faults:
            return None
        kind = world.random.randrange(5)
        world.strike(("refused", "lost ack", "partial", "duplicated", "delayed")[kind])
        if kind == 2:
            return Partial({record.place: world.random.randrange(len(records) + 1) for record in records})
        if kind == 4:
            world.after(world.random.randrange(400), self._land)
        return (Refused(), LostAck(), None, Duplicated(), Delayed())[kind]

    def _land(self) -> None:
        if self.log.in_flight:
            self.log.land()

    def _turn(self) -> None:
        """One poll, then the next turn."""
        if self.retired:
            return
        world = self.world
        if not self.frozen and not self.upgrade_needed:
            self._poll()
        world.after(world.random.choice((1, 2, 3, 20)), self._turn)

    def _poll(self) -> None:
        try:
            if self.runner is None:
                self._start()
            assert self.runner is not None
            self.runner.poll(self.world.random.choice((1, 3, 50)))
        except LogError as error:
            self.world.tell(f"{self.name} dies: {error}")
            self.runner = None
        except MachineStopped as error:
            self._stopped(error)

    def _stopped(self, error: MachineStopped) -> None:
        if "NewerRules" not in str(error):
            raise error
        self.world.strike("newer rules")
        self.world.tell(f"{self.name} stops: {error}")
        self.runner, self.upgrade_needed = None, True

    def crash(self) -> None:
        """kill -9: whatever it had in memory is gone."""
        self.world.strike("crash")
        self.world.tell(f"{self.name} is killed")
        self.runner = None

    def freeze(self, milliseconds: int) -> None:
        """SIGSTOP, and later SIGCONT: it goes on as if nothing had happened."""
        self.world.strike("frozen runner")
        self.frozen = True
        self.world.after(milliseconds, self._thaw)

    def _thaw(self) -> None:
        self.frozen = False

    def upgrade(self, rules: int) -> None:
        """The same process with newer code."""
        self.code = Code(self.topic, rules)
        self.upgrade_needed = False
        self.runner = None

    def is_idle(self) -> bool:
        """Whether it has read all there is."""
        return self.runner is not None and self.runner.position >= self.world.log.end(self.runner.place)


def start_all(world: World, faults: float) -> list[Process]:
    """One process for each partition of each machine."""
    return [Process(world, t, p, faults=faults) for t in MACHINE_TOPICS for p in range(PARTITIONS[t])]
