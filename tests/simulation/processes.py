"""The coordinator's processes: the shipped runner, killed between any two steps, doubled, frozen, upgraded."""

import logging
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from schemas.topics import Topic
from streams.driver import Ticker
from streams.faults import Delayed, Duplicated, Fault, FaultyLog, LostAck, Partial, Refused
from streams.log import Append, Floor, LogError, Place
from streams.loop import MachineStopped, Runner
from streams.standby import Patience
from tests.simulation.world import MACHINES, NEWEST_RULES, PARTITIONS, Code, World

logging.getLogger("streams.loop").addHandler(logging.NullHandler())  # who leads is told in the story


class Unreliable(NamedTuple):
    """How often appends go wrong, and how often a process dies before it moves its floor.

    `limits`: how many records it takes in one turn; `pace`: ms until it takes the next; one of each is drawn.
    """

    appends: float = 0.0
    floors: float = 0.0
    limits: tuple[int, ...] = (50,)
    pace: tuple[int, ...] = (2, 5, 15)


RELIABLE = Unreliable()


class Process:
    """One runner of one partition. When its log fails it dies, and later another one starts.

    `standby`: how long it waits for another one before it leads; None: it leads.
    """

    def __init__(
        self,
        world: World,
        topic: Topic,
        partition: int,
        trouble: Unreliable,
        *,
        rules: int = 1,
        standby: Patience | None = None,
    ) -> None:
        self.world = world
        self.standby = standby
        self.place = Place(topic, partition)
        self.code = Code(topic, rules)
        self.trouble = trouble
        self.frozen = False
        self.retired = False
        self.runner: Runner | None = None
        self._planned = self._looks = False
        self._ticks_at = -1
        self._every = world.random.choice((1, 10, 40, 100_000, 100_000))
        self.log = FaultyLog(world.log, self._plan)
        self.log.move_floor = self._move_floor
        world.listen(self.place, self.wake)
        self.wake()

    def wake(self) -> None:
        """There is something to read, or it may go on: it takes its turn soon."""
        if not self._planned and not self.frozen and not self.retired:
            self._planned = True
            self.world.after(self.world.random.choice(self.trouble.pace), self._turn)

    def _turn(self) -> None:
        self._planned = False
        if self.frozen or self.retired:
            return
        try:
            self._poll()
        except LogError as error:
            self.world.tell(f"{self.place} dies: {error}")
            self.runner = None
            self.world.after(self.world.random.choice((1, 30, 400)), self.wake)
        except MachineStopped as error:
            self._stopped(error)

    def _poll(self) -> None:
        if self.runner is None:
            self._start()
        assert self.runner is not None
        followed = self.runner.following
        self.runner.poll(self.world.random.choice(self.trouble.limits))
        if followed and not self.runner.following:
            self.world.strike("standby leads")
            self.world.tell(f"{self.place}: the standby leads from {self.runner.floor}")
        elif self.runner.following and not followed:
            self.world.strike("standby follows again")
        due = self.runner.due_in()
        if due is not None:
            self._look_again(due)
        if not self.runner.is_held_up() and not self.is_idle():
            self.wake()
        elif self.place.topic is Topic.WORK:
            self._plan_tick()

    def _look_again(self, due: float) -> None:
        """A follower looks at the floor although nothing has come."""
        if not self._looks:
            self._looks = True
            self.world.after(ceil(due * 1000), self._looked)

    def _looked(self) -> None:
        self._looks = False
        self.wake()

    def _start(self) -> None:
        self.runner = Runner(
            self.log,
            self.code,
            self.place.partition,
            self.world.checkpoints,
            every=self._every,
            rules=self.code.rules,
            standby=self.standby,
        )
        if self.place.topic is Topic.WORK:
            machine = self.runner.machine
            self._ticker = Ticker(
                self.world.log, self.runner, machine.deadline_outstanding, machine.tick, lambda: self.world.now / 1000
            )

    def _plan_tick(self) -> None:
        due = self._ticker.due_in()
        if due is not None and self._ticks_at < self.world.now:
            self._ticks_at = self.world.now + ceil(due * 1000)
            self.world.after(self._ticks_at - self.world.now, self._tick)

    def _tick(self) -> None:
        self._ticks_at = -1
        if self.runner is None or self.frozen or self.retired or not self.is_idle():
            return
        if self._ticker.due_in() == 0:
            self._ticker.append()
        else:
            self._plan_tick()

    def is_idle(self) -> bool:
        """Whether it has read all there is, and knows that somebody has said what follows."""
        return self.runner is not None and self.runner.floor >= self.world.log.end(self.place)

    # --- What goes wrong ------------------------------------------------------------------------------------------

    def _plan(self, records: Sequence[Append]) -> Fault | None:
        world = self.world
        if not world.chance(self.trouble.appends):
            return None
        kind = world.random.randrange(5)
        world.strike(("append refused", "lost ack", "partial append", "duplicated append", "delayed append")[kind])
        if kind == 2:
            return Partial({record.place: world.random.randrange(len(records) + 1) for record in records})
        if kind == 4:
            world.after(world.random.randrange(400), self._land)
        return (Refused(), LostAck(), None, Duplicated(), Delayed())[kind]

    def _land(self) -> None:
        if self.log.in_flight:
            self.log.land()

    def _move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        is_there = self.world.log.floor(reader, place) == floor  # and is only waited for
        if not is_there and self.world.chance(self.trouble.floors):
            self.world.strike("death before the floor")
            raise LogError("killed between append and floor")
        self.world.log.move_floor(reader, place, floor)

    def _stopped(self, error: MachineStopped) -> None:
        if "NewerRules" not in str(error):
            raise error
        self.world.strike("old code stops")
        self.world.tell(f"{self.place} stops: {error}")
        self.runner = None
        self.frozen = True
        self.world.after(self.world.random.randrange(1, 5_000), self.upgrade)

    def upgrade(self) -> None:
        """The same process with the newest code."""
        if self.code.rules < NEWEST_RULES:
            self.code = Code(self.place.topic, NEWEST_RULES)
            self.runner = None
            self.thaw()

    def crash(self) -> None:
        """kill -9: whatever it had in memory is gone."""
        self.world.strike("runner killed")
        self.world.tell(f"{self.place} is killed")
        self.runner = None
        self.world.after(self.world.random.randrange(1, 3_000), self.wake)

    def freeze(self, milliseconds: int) -> None:
        """SIGSTOP, and later SIGCONT: it goes on as if nothing had happened."""
        self.world.strike("runner frozen")
        self.world.tell(f"{self.place} is frozen for {milliseconds} ms")
        self.frozen = True
        self.world.after(milliseconds, self.thaw)

    def thaw(self) -> None:
        """It goes on."""
        self.frozen = False
        self.wake()

    def retire(self) -> None:
        """It ends for ever, another runs on this partition."""
        if not self.retired:
            self.retired = True
            self.world.ignore(self.place, self.wake)


def standby(world: World, twin: Process, *, rules: int) -> Process:
    """Another process of the twin's partition, which follows it and leads when it falls silent."""
    silence = world.random.choice((100, 300, 1_000))
    outputs = world.random.choice((3, 50, 100_000))
    patience = Patience(silence, look=silence // 3, outputs=outputs, clock=lambda: world.now / 1000)
    return Process(world, *twin.place, twin.trouble, rules=rules, standby=patience)


def start_all(world: World, trouble: Unreliable) -> list[Process]:
    """One process for each partition of each machine."""
    return [Process(world, t, p, trouble) for t in MACHINES for p in range(PARTITIONS[t])]
