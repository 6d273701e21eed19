"""The driver: several runners in one thread, time where a machine waits for it, a log that goes away and returns."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from schemas.codec import decode
from schemas.topics import Topic
from schemas.work import Tick
from streams.driver import PATIENCE, RESTARTS, Crew, Driver, Ticker
from streams.faults import Fault, FaultyLog, LostAck, Refused
from streams.log import Append, Floor, Log, LogError, LogMismatch, LogUnreachable, Place, Stored
from streams.loop import MachineStopped, Runner
from streams.memory import MemoryLog
from tests.support.log_world import COUNTS, World, append, finish, request

SOON = 20.0
CLAIMS = range(COUNTS[Topic.CLAIMS])


class Driving:
    """A driver in a thread of its own."""

    def __init__(self, driver: Driver, pool: ThreadPoolExecutor) -> None:
        self.driver = driver
        self.ended: Future[None] = pool.submit(driver.run)

    def stop(self) -> None:
        self.driver.stop()
        self.ended.result(SOON)


@pytest.fixture
def drive() -> Iterator[Callable[[Driver], Driving]]:
    started: list[Driving] = []
    with ThreadPoolExecutor(4) as pool:

        def start(driver: Driver) -> Driving:
            started.append(Driving(driver, pool))
            return started[-1]

        yield start
        for driving in started:
            driving.driver.stop()


def driver_of(world: World, log: Log | None = None) -> Driver:
    return Driver(log or world.log, lambda: Crew([world.runner(n, log=log, every=1_000) for n in CLAIMS]))


def await_records(world: World, **ends: int) -> None:
    """Wait until partition 0 of these topics holds so many records besides its Genesis."""
    for topic, number in ends.items():
        assert world.log.wait({Place(Topic(topic), 0): number}, SOON)


def test_all_runners_of_a_crew_do_what_comes_until_they_are_stopped(drive: Callable[[Driver], Driving]) -> None:
    requests = [request(number, children=1) for number in range(10)]
    world = World(requests[:5])
    driving = drive(driver_of(world))
    await_records(world, work=5)
    append(world.log, Topic.CLAIMS, *requests[5:])
    await_records(world, work=10)
    driving.stop()
    assert world.accepted() == World(requests).run().accepted()


class Read(MemoryLog):
    """Notes where it is read."""

    def __init__(self, inner: MemoryLog) -> None:
        self.__dict__.update(inner.__dict__)
        self.places: Counter[Place] = Counter()

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        self.places[place] += 1
        return super().read(place, offset, limit)


def test_who_has_nothing_to_read_is_left_out(drive: Callable[[Driver], Driving]) -> None:
    world, number = World(), 50
    log, begun = Read(world.log), time.monotonic()
    driving = drive(driver_of(world, log))
    for done in range(1, number + 1):
        append(world.log, Topic.CLAIMS, request(0))
        await_records(world, work=done)
    driving.stop()
    idle = log.places[Place(Topic.CLAIMS, 1)]
    rounds = 2 + (time.monotonic() - begun) / PATIENCE
    assert 0 < idle <= 2 * rounds < log.places[Place(Topic.CLAIMS, 0)]


def test_a_stop_keeps_a_checkpoint_of_each(drive: Callable[[Driver], Driving]) -> None:
    world = World([request(number) for number in range(10)])
    driving = drive(driver_of(world))
    await_records(world, work=10)
    driving.stop()
    for number in CLAIMS:
        place = Place(Topic.CLAIMS, number)
        assert [kept.offset for kept in world.checkpoints.load(place)] == [world.log.end(place)]


def test_a_stop_before_the_start_is_a_stop() -> None:
    driver = driver_of(World())
    driver.stop()
    driver.run()


def test_a_machine_that_stops_ends_the_driver_with_its_story() -> None:
    with pytest.raises(MachineStopped, match="claims/0 stopped at offset 1"):
        driver_of(World([request(0, children=-1)])).run()


def test_a_mismatch_ends_the_driver_at_once() -> None:
    world = World()

    def assemble() -> Crew:
        raise LogMismatch("another log")

    with pytest.raises(LogMismatch, match="another log"):
        Driver(world.log, assemble).run()


# --- A log that goes away ---------------------------------------------------------------------------------------------


class Outages:
    """A plan: each append meets the next of these faults, until there are no more."""

    def __init__(self, *faults: Fault) -> None:
        self.left = list(faults)

    def __call__(self, records: Sequence[Append]) -> Fault | None:
        return self.left.pop(0) if self.left else None


def test_after_an_outage_runners_start_over_from_their_floors(drive: Callable[[Driver], Driving]) -> None:
    requests = [request(number, children=1) for number in range(10)]
    world = World(requests)
    log = FaultyLog(world.log, Outages(Refused(), LostAck(), Refused(), LostAck()))
    missing = {Place(Topic.CLAIMS, number): world.log.end(Place(Topic.CLAIMS, number)) for number in CLAIMS}
    all_done = threading.Event()

    def move_floor(reader: str, place: Place, floor: Floor) -> None:
        world.log.move_floor(reader, place, floor)
        if missing.get(place) == floor.offset:
            del missing[place]
        if not missing:
            all_done.set()

    log.move_floor = move_floor
    driving = drive(driver_of(world, log))
    assert all_done.wait(SOON)
    driving.stop()
    assert world.accepted() == World(requests).run().accepted()


def test_a_log_that_goes_away_again_and_again_ends_the_driver() -> None:
    world = World([request(0)])
    plan = Outages(*[Refused()] * 100)
    with pytest.raises(LogUnreachable, match="Refused"):
        driver_of(world, FaultyLog(world.log, plan)).run()
    assert len(plan.left) == 100 - RESTARTS - 1


def test_a_log_that_does_not_come_back_ends_the_driver() -> None:
    world = World([request(0)])
    attempts = []

    def assemble() -> Crew:
        attempts.append(1)
        if len(attempts) > 1:
            raise LogUnreachable("still away")
        return Crew([world.runner(log=FaultyLog(world.log, Outages(Refused())))])

    with pytest.raises(LogUnreachable, match="still away"):
        Driver(world.log, assemble).run()


# --- Time ------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Waiting:
    """A runner that has caught up, of a machine that waits for a deadline 1,000 ms of silence away."""

    def __init__(self) -> None:
        self.world = World([request(number) for number in range(3)])
        self.runner = finish(self.world.runner())
        self.clock = Clock()
        self.outstanding = True
        self.ticker = Ticker(self.world.log, self.runner, lambda: self.outstanding, lambda: 1_000, self.clock)


def test_a_tick_is_due_after_so_much_silence() -> None:
    waiting = Waiting()
    assert waiting.ticker.due_in() == 1.0
    waiting.clock.now += 0.75
    assert waiting.ticker.due_in() == 0.25
    waiting.clock.now += 10
    assert waiting.ticker.due_in() == 0.0


def test_a_record_breaks_the_silence() -> None:
    waiting = Waiting()
    waiting.clock.now += 0.75
    append(waiting.world.log, Topic.CLAIMS, request(0))
    finish(waiting.runner)
    assert waiting.ticker.due_in() == 1.0
    waiting.clock.now += 1
    waiting.ticker.append()
    assert decode(Topic.WORK, waiting.world.log.read(waiting.runner.place, waiting.runner.position, 1)[0].value)
    finish(waiting.runner)
    assert waiting.ticker.due_in() == 1.0


def test_no_deadline_no_tick() -> None:
    waiting = Waiting()
    waiting.outstanding = False
    waiting.clock.now += 10
    assert waiting.ticker.due_in() is None
    waiting.outstanding = True
    assert waiting.ticker.due_in() == 0.0


def test_the_driver_lets_time_pass_while_a_deadline_is_outstanding(drive: Callable[[Driver], Driving]) -> None:
    world = World()
    left = [3]
    three_ticks = threading.Event()

    class TimedRunner(Runner):
        """Counts the ticks it sees; the deadline is the third."""

        def poll(self, limit: int = 1_000) -> int:
            taken = super().poll(limit)
            left[0] = 3 - (self.position - 1)
            if self.position and left[0] <= 0:
                three_ticks.set()
            return taken

    def assemble() -> Crew:
        runner = TimedRunner(world.log, TimedMachine, 0, world.checkpoints)
        return Crew([runner], Ticker(world.log, runner, lambda: left[0] > 0, lambda: 1))

    driving = drive(Driver(world.log, assemble))
    assert three_ticks.wait(SOON)
    driving.stop()
    ticks = [decode(Topic.WORK, record.value).body for record in world.log.read(Place(Topic.WORK, 0), 1, 100)]
    assert ticks == [Tick()] * 3


class TimedMachine:
    """Runs on `work` and has nothing to say."""

    topic = Topic.WORK

    def step(self, seen: object) -> tuple[()]:
        return ()

    def snapshot(self) -> bytes:
        return b"{}"

    @classmethod
    def restore(cls, snapshot: bytes) -> "TimedMachine":
        return cls()


def test_an_error_of_the_log_that_is_no_outage_ends_the_driver() -> None:
    world = World([request(0)])

    def full_disk(records: Sequence[Append]) -> Fault | None:
        raise LogError("no space left")

    with pytest.raises(LogError, match="no space left"):
        driver_of(world, FaultyLog(world.log, full_disk)).run()
