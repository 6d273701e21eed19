"""A hot standby in trouble, and in time: what ends it, when it looks, when it ticks; and over every adapter."""

import itertools

import pytest
from msgspec.structs import replace

from schemas.claims import Requested
from schemas.codec import decode
from schemas.topics import Topic
from schemas.work import Tick
from streams.checkpoints import MemoryCheckpoints
from streams.driver import Ticker
from streams.faults import FaultyLog, Refused, truncate
from streams.log import Floor, Log, LogError, LogMismatch, LogUnreachable, Place
from streams.loop import MachineStopped, Runner
from streams.routes import Routes
from streams.standby import Patience
from tests.support.log_world import (
    Crash,
    CrashingLog,
    Fuse,
    World,
    append,
    finish,
    request,
)
from tests.support.logs import Logs
from tests.support.logtoy import Toy
from tests.support.standbys import (
    PLACE,
    READER,
    REQUESTS,
    UNDISTURBED,
    Clock,
    look,
    patience,
    said,
    standby_of,
    wait_out,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 5], ids=["while it is held up", "as it takes over"])
def test_a_standby_that_reads_no_more_sees_a_truncated_log(clock: Clock, waits: int) -> None:
    world = World([request(number, children=8, same=1) for number in range(9)])
    world.runner()
    standby = world.runner(standby=patience(clock, outputs=25), every=1_000)
    while standby.poll(1):
        pass
    assert standby.is_held_up()
    before = world.accepted()
    truncate(world.log, PLACE, 2)
    clock.now += waits
    with pytest.raises(LogMismatch, match="truncated"):
        standby.poll(1)
    assert world.accepted() == before


def test_a_standby_that_dies_while_it_takes_over_repeats_and_loses_nothing(clock: Clock) -> None:
    steps, blown = 0, True
    while blown:
        steps += 1
        world, fuse = World(REQUESTS), Fuse(1_000_000)
        dying = world.runner(log=CrashingLog(world.log, fuse), standby=patience(clock))
        look(dying, clock)
        fuse.left, blown = steps, False
        try:
            wait_out(dying, clock)
        except Crash:
            blown = True
        wait_out(standby_of(world, clock), clock)
        finish(world.runner(1))
        assert world.accepted() == UNDISTURBED
    assert steps > 3


def test_a_log_that_refuses_the_takeover_ends_the_standby(clock: Clock) -> None:
    world = World(REQUESTS)
    standby = standby_of(world, clock, log=FaultyLog(world.log, lambda records: Refused()))
    with pytest.raises(LogUnreachable):
        wait_out(standby, clock)
    with pytest.raises(AssertionError, match="make a new one"):
        standby.poll()


def test_a_step_that_fails_stops_the_standby_too(clock: Clock) -> None:
    world = World([*REQUESTS[:2], request(0, children=-1, same=1), *REQUESTS[2:]])
    before = said(world)
    with pytest.raises(MachineStopped, match="claims/0 stopped at offset"):
        wait_out(standby_of(world, clock), clock)
    assert said(world) == before


@pytest.mark.parametrize("wrong", [{"digest": "0" * 64}, {"log_id": "other"}])
def test_a_floor_that_is_not_of_what_was_read_stops_it(wrong: dict[str, str], clock: Clock) -> None:
    world = World(REQUESTS)
    standby = look(standby_of(world, clock), clock)
    finish(world.runner())
    world.log.floors[READER, PLACE] = world.log.floors[READER, PLACE]._replace(**wrong)
    with pytest.raises(LogMismatch, match="the floor of claims-machine is not of claims/0 as it was read"):
        look(standby, clock)


def test_a_floor_that_cannot_be_read_is_an_error_of_the_log(clock: Clock) -> None:
    def blind(reader: str, place: Place) -> Floor:
        raise LogError("no floor today")

    world = World(REQUESTS)
    log = FaultyLog(world.log)
    standby = standby_of(world, clock, log=log)
    log.floor = blind
    with pytest.raises(LogError, match="no floor today"):
        look(standby, clock)


# --- Time -------------------------------------------------------------------------------------------------------------


def test_it_asks_to_be_polled_only_while_it_waits_for_the_floor(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    assert standby.due_in() is None
    look(standby, clock)
    assert standby.due_in() == pytest.approx(0.2)
    finish(owner)
    look(standby, clock)
    assert standby.due_in() is None
    assert owner.due_in() is None


def test_a_standby_ticks_only_where_nobody_else_does(clock: Clock) -> None:
    world = World(REQUESTS)
    owner = finish(world.runner())
    standby = look(standby_of(world, clock), clock)
    owners = Ticker(world.log, owner, lambda: True, lambda: 1_000, clock)
    standbys = Ticker(world.log, standby, lambda: True, lambda: 1_000, clock)
    assert (owners.due_in(), standbys.due_in()) == (1.0, 2.0)
    clock.now += 1.0
    assert (owners.due_in(), standbys.due_in()) == (0.0, 1.0)
    clock.now += 1.0
    assert standbys.due_in() == 0.0
    standbys.append()
    wait_out(standby, clock)
    assert not standby.following
    assert standbys.due_in() <= 1.0
    [tick] = world.log.read(PLACE, world.log.end(PLACE) - 1, 1)
    assert decode(Topic.WORK, tick.value).body == Tick()


# --- Over every adapter -----------------------------------------------------------------------------------------------


def toy(log: Log, standby: Patience | None = None) -> Runner:
    return Runner(log, Toy, 0, MemoryCheckpoints(), standby=standby)


def commands_of(log: Log, place: Place, count: int) -> list[Requested]:
    """So many requests that belong there."""
    routes = Routes(log)
    drawn = (replace(request(number), fingerprint=f"f{number}") for number in itertools.count())
    return list(itertools.islice((one for one in drawn if routes.place(place.topic, one.fingerprint) == place), count))


def test_an_owner_stops_and_a_standby_goes_on(logs: Logs, clock: Clock) -> None:
    log = logs.new()
    commands = commands_of(log, PLACE, 20)
    append(log, Topic.CLAIMS, *commands[:5])
    owner, standby = toy(logs.again()), toy(logs.again(), Patience(clock=clock))
    finish(owner)
    look(standby, clock)
    append(log, Topic.CLAIMS, *commands[5:])
    look(standby, clock)
    assert standby.following
    before = log.end(Place(Topic.WORK, 0))
    wait_out(standby, clock)
    assert not standby.following
    assert log.floor(READER, PLACE).offset == log.end(PLACE)
    assert log.end(Place(Topic.WORK, 0)) == before + 15
    owner.poll()  # it was only frozen
    assert owner.machine.snapshot() == standby.machine.snapshot()
    values = [record.value for record in log.read(Place(Topic.WORK, 0), 1, 1_000)]
    assert (len(values), len(set(values))) == (20 + 15, 20)
