"""A hot standby: silent while the owner speaks, saying the same where the owner stopped, whatever stopped it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.codec import decode
from schemas.topics import Topic
from streams.localstore import LocalStore
from streams.loop import Runner
from streams.snapshots import SharedSnapshots
from streams.standby import Hand, Patience
from tests.support.log_world import (
    TARGETS,
    Crash,
    CrashingCheckpoints,
    CrashingLog,
    Fuse,
    World,
    append,
    finish,
    request,
)
from tests.support.logs import records as appends
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


# --- Following --------------------------------------------------------------------------------------------------------


def test_a_standby_says_nothing_while_the_owner_speaks(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    for number in range(40):
        append(world.log, Topic.CLAIMS, request(number, children=1, same=1))
        look(standby, clock)
        before = said(world)
        owner.poll()
        look(standby, clock)
        assert said(world) == before + 3 + (0 if number else 12)
        assert standby.following
    assert standby.machine.snapshot() == owner.machine.snapshot()


def test_what_the_floor_has_passed_is_dropped_and_nothing_else(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    look(standby, clock)
    owner.poll(3)  # the Genesis and two requests, with what they lead to
    look(standby, clock)
    held = [decode(a.place.topic, a.value).cause.offset for c in standby._standby.hand.chunks(99, 99) for a in c]
    assert held == [offset for offset in range(3, standby.position) for _ in range(held.count(offset))]
    assert set(held) == set(range(3, standby.position))


def test_a_standby_that_is_behind_the_floor_steps_silently_up_to_it(clock: Clock) -> None:
    world = World(REQUESTS)
    standby = standby_of(world, clock)
    finish(world.runner())
    before = said(world)
    wait_out(standby, clock)
    assert (said(world), standby.following) == (before, True)
    assert standby._standby.hand.outputs == 0


def test_a_standby_keeps_no_state_above_the_floor(clock: Clock, tmp_path: Path) -> None:
    world, local = World(REQUESTS), LocalStore(tmp_path)
    owner, standby = world.runner(), standby_of(world, clock, local=local, every=2)
    standby.poll(2)
    assert standby.is_held_up()
    look(standby, clock)
    assert (standby.position, standby.poll()) == (2, 0)
    owner.poll(2)
    clock.now += 0.2
    assert standby.poll(2) == 2
    standby.checkpoint()
    assert local._open[PLACE].header.offset == 2
    local.close()


def test_a_standby_shares_no_snapshots(clock: Clock, tmp_path: Path) -> None:
    world, local, shared = World(REQUESTS), LocalStore(tmp_path / "local"), SharedSnapshots(tmp_path / "shared")
    finish(world.runner())
    finish(standby_of(world, clock, local=local, checkpoints=shared, every=1), limit=1)
    assert local._open[PLACE].header.offset == world.log.end(PLACE)
    assert shared.offsets(PLACE) == []
    local.close()


def test_a_full_hand_waits_for_the_floor(clock: Clock) -> None:
    world = World([request(number, children=8, same=1) for number in range(9)])
    owner = world.runner()
    standby = world.runner(standby=patience(clock, outputs=25), every=1_000)
    while standby.poll(1):
        pass
    assert (standby._standby.hand.outputs, standby.position, standby.is_held_up()) == (30, 4, True)  # ten a request
    owner.poll(3)
    clock.now += 0.2
    assert standby.poll(1) == 1
    wait_out(standby, clock)
    assert (standby.following, standby.position) == (False, world.log.end(PLACE))
    assert world.accepted() == World([request(n, children=8, same=1) for n in range(9)]).run().accepted()


@pytest.mark.parametrize(("outputs", "size"), [(3, 10**9), (10**9, 30)])
def test_a_hand_gives_pieces_that_an_append_can_take(outputs: int, size: int) -> None:
    hand = Hand(Patience())
    for offset in range(10):
        hand.hold(offset, appends(PLACE, *[b"0123456789"] * 2), 20)
    pieces = list(hand.chunks(outputs, size))
    assert [len(piece) for piece in pieces] == [4] * 5
    hand.drop(9)
    assert (hand.outputs, hand.size, len(list(hand.chunks(outputs, size)))) == (2, 20, 1)


# --- The owner falls silent -------------------------------------------------------------------------------------------


def test_it_leads_once_the_floor_has_stood_still_for_so_long(clock: Clock) -> None:
    world = World(REQUESTS)
    standby = look(standby_of(world, clock), clock, 0.0)
    look(standby, clock, 0.99)
    assert standby.following
    look(standby, clock, 0.2)
    assert not standby.following
    finish(world.runner(1))
    assert world.accepted() == UNDISTURBED
    assert world.log.floor(READER, PLACE).offset == world.log.end(PLACE)


def test_a_long_silence_without_work_is_no_sign_of_death(clock: Clock) -> None:
    world = World(REQUESTS)
    finish(world.runner())
    standby = wait_out(standby_of(world, clock), clock)
    look(standby, clock, 3_600.0)
    append(world.log, Topic.CLAIMS, request(9, same=1))
    look(standby, clock, 3_600.0)
    assert standby.following


def test_a_standby_that_was_frozen_looks_before_it_judges(clock: Clock) -> None:
    world = World(REQUESTS)
    standby = look(standby_of(world, clock), clock)
    finish(world.runner())
    look(standby, clock, 3_600.0)
    assert standby.following


def test_it_goes_on_as_an_owner_does(clock: Clock) -> None:
    world = World(REQUESTS[:2])
    standby = wait_out(standby_of(world, clock), clock)
    append(world.log, Topic.CLAIMS, *REQUESTS[2:])
    finish(standby)
    finish(world.runner(1))
    assert world.accepted() == UNDISTURBED


@pytest.mark.parametrize("flush", [1, 3, 1_000])
@pytest.mark.parametrize(("limit", "every"), [(1, 1), (2, 3), (100, 100)])
def test_an_owner_killed_at_any_point_is_followed_without_a_gap(
    limit: int, every: int, flush: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.loop.BATCH", flush)
    steps, blown = 0, True
    while blown:
        steps += 1
        world, fuse = World(REQUESTS), Fuse(steps)
        standbys = [world.runner(number, standby=patience(clock), every=1_000) for number in range(2)]
        blown = not own_until_crash(world, fuse, limit, every, standbys, clock)
        for standby in standbys:
            wait_out(standby, clock)
        assert world.accepted() == UNDISTURBED
    assert steps > 8


def own_until_crash(world: World, fuse: Fuse, limit: int, every: int, standbys: Sequence[Runner], clock: Clock) -> bool:
    """Run both partitions, each with a standby that looks on, until the fuse blows; whether it did not."""
    checkpoints = CrashingCheckpoints(world.checkpoints, fuse)
    try:
        for number, standby in enumerate(standbys):
            owner = world.runner(number, log=CrashingLog(world.log, fuse), checkpoints=checkpoints, every=every)
            while owner.poll(limit):
                look(standby, clock, 0.2)
    except Crash:
        return False
    return True


# --- Both at once -----------------------------------------------------------------------------------------------------


def test_both_may_lead_and_say_the_same(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    wait_out(standby, clock)
    finish(owner)
    finish(world.runner(1))
    assert world.accepted() == UNDISTURBED
    spoken = [record.value for place in TARGETS for record in world.log.read(place, 1, 10_000)]
    assert len(spoken) > len(set(spoken))


def test_it_follows_again_when_somebody_else_raises_the_floor(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    wait_out(standby, clock)
    assert not standby.following
    append(world.log, Topic.CLAIMS, request(8, same=1))
    finish(owner)
    before = said(world)
    look(standby, clock)
    assert standby.following
    look(standby, clock)
    assert said(world) == before
    append(world.log, Topic.CLAIMS, request(9, same=1))
    wait_out(standby, clock)
    assert not standby.following


def test_who_was_told_to_lead_does_not_follow_again(clock: Clock) -> None:
    world = World(REQUESTS)
    owner, standby = world.runner(), standby_of(world, clock)
    look(standby, clock)
    standby.lead()
    assert world.log.floor(READER, PLACE).offset == standby.position
    append(world.log, Topic.CLAIMS, request(8, same=1))
    finish(owner)
    look(standby, clock, 10.0)
    assert not standby.following
    assert standby.due_in() is None


def test_a_chain_of_standbys_one_dead_after_another(clock: Clock) -> None:
    world = World(REQUESTS[:1])
    standbys = [standby_of(world, clock) for _ in range(3)]
    for number, standby in enumerate(standbys):
        wait_out(standby, clock)
        for other in standbys[number:]:
            look(other, clock)
        append(world.log, Topic.CLAIMS, *REQUESTS[2 * number + 1 : 2 * number + 3])
    wait_out(world.runner(standby=patience(clock)), clock)
    wait_out(world.runner(1, standby=patience(clock)), clock)
    assert world.accepted() == UNDISTURBED
