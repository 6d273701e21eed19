"""Crashes, lost acknowledgements, zombies: whatever happens to runners, a reader downstream sees every output once."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import Topic
from streams.faults import Delayed, Duplicated, Fault, FaultyLog, Gap, LostAck, Partial, Refused
from streams.log import Append, Floor, LogUnreachable, Place
from streams.loop import MachineType, Runner
from streams.marks import Marks
from streams.resume import Start
from tests.support import log_world
from tests.support.log_world import (
    TARGETS,
    Crash,
    CrashingCheckpoints,
    CrashingLog,
    Fuse,
    World,
    accept,
    by_cause,
    finish,
    request,
)

REQUESTS = [request(number, children=number % 4, same=3) for number in range(6)]
UNDISTURBED = World(REQUESTS).run().accepted()


def test_undisturbed_every_request_has_its_outputs() -> None:
    said = [body for outputs in UNDISTURBED.values() for _, body in outputs]
    assert len(said) == sum(number % 4 + 2 for number in range(6))


# --- Crashes ---------------------------------------------------------------------------------------------------------


def run_until_crash(world: World, fuse: Fuse, limit: int, every: int) -> None:
    """Run both partitions in a process that dies when the fuse blows."""
    try:
        for partition in range(log_world.COUNTS[Topic.CLAIMS]):
            checkpoints = CrashingCheckpoints(world.checkpoints, fuse)
            finish(
                world.runner(partition, log=CrashingLog(world.log, fuse), checkpoints=checkpoints, every=every), limit
            )
    except Crash:
        pass


@pytest.mark.parametrize(("limit", "every", "chunk"), [(1, 1, 1), (2, 3, 2), (100, 2, 3), (100, 100, 1_000)])
def test_a_crash_at_any_point_repeats_and_loses_nothing(
    limit: int, every: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.loop.BATCH", chunk)
    steps = 0
    while True:
        steps += 1
        world, fuse = World(REQUESTS), Fuse(steps)
        run_until_crash(world, fuse, limit, every)
        if not fuse.blown:
            break
        assert world.run().accepted() == UNDISTURBED
    assert steps > 8


@pytest.mark.parametrize(("limit", "every"), [(1, 2), (3, 3)])
def test_two_crashes_at_any_two_points_repeat_and_lose_nothing(
    limit: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.loop.BATCH", 3)
    for first in range(1, 60, 2):
        for second in range(1, 60, 3):
            world = World(REQUESTS)
            run_until_crash(world, Fuse(first), limit, every)
            run_until_crash(world, Fuse(second), limit, every)
            assert world.run().accepted() == UNDISTURBED


# --- Faults and zombies, in any order ---------------------------------------------------------------------------------

FAULTS = st.sampled_from([None, None, None, "refused", "lost", "partial", "duplicated", "delayed"])


class Troubled:
    """A process whose appends meet the faults that are drawn for them; it dies of each and starts again."""

    def __init__(self, world: World, data: st.DataObject) -> None:
        self.world = world
        self.data = data
        self.log = FaultyLog(world.log, self.plan)
        self.runner: Runner | None = None

    def plan(self, records: Sequence[Append]) -> Fault | None:
        named = {"refused": Refused(), "lost": LostAck(), "duplicated": Duplicated(), "delayed": Delayed()}
        fault = self.data.draw(FAULTS)
        if fault == "partial":
            return Partial({record.place: self.data.draw(st.integers(0, 3)) for record in records})
        return named.get(fault or "")

    def poll(self) -> None:
        every = self.data.draw(st.sampled_from([1, 3, 100]))
        try:
            self.runner = self.runner or self.world.runner(log=self.log, every=every)
            self.runner.poll(self.data.draw(st.integers(1, 5)))
        except LogUnreachable:
            self.runner = None

    def land(self) -> None:
        if self.log.in_flight:
            self.log.land(self.data.draw(st.integers(0, len(self.log.in_flight) - 1)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_faults_and_zombies_in_any_order_repeat_and_lose_nothing(data: st.DataObject) -> None:
    world = World(REQUESTS)
    processes = [Troubled(world, data) for _ in range(data.draw(st.integers(1, 3)))]
    for _ in range(data.draw(st.integers(1, 25))):
        process = data.draw(st.sampled_from(processes))
        data.draw(st.sampled_from([process.poll, process.poll, process.land]))()
    for process in processes:
        while process.log.in_flight:
            process.land()
    assert world.run().accepted() == UNDISTURBED


def test_a_second_runner_only_repeats_what_the_first_says_and_lowers_no_floor() -> None:
    world = World(REQUESTS)
    first, second = world.runner(), world.runner()
    finish(first)
    floor = world.log.floor(first.reader, first.place)
    finish(second, limit=1)
    assert world.log.floor(first.reader, first.place) == floor
    assert world.run().accepted() == UNDISTURBED
    assert first.machine.snapshot() == second.machine.snapshot()


# --- The simpler rules, and how they fail -----------------------------------------------------------------------------


def read_in_turn(world: World, marks: dict[Place, Marks]) -> dict[Place, list[log_world.Said]]:
    said = {place: accept(world.log.read(place, 1, 1_000), place, marks[place]) for place in reversed(TARGETS)}
    return {place: sorted(outputs, key=by_cause) for place, outputs in said.items()}


def test_the_simpler_rule_one_mark_for_a_source_whatever_is_read_loses_records() -> None:
    world = World(REQUESTS).run()
    assert read_in_turn(world, {place: {} for place in TARGETS}) == UNDISTURBED
    one_for_all: Marks = {}
    assert read_in_turn(world, dict.fromkeys(TARGETS, one_for_all)) != UNDISTURBED


class CheckpointForFloor(Runner):
    """The simpler rule: where my state stands, there my outputs must have been appended."""

    def _begin(self, machine: MachineType, start: Start) -> None:
        newest = next(self._keeper.load(self.place), None)
        if newest is not None:
            floor = Floor(newest.offset, newest.digest, newest.log_id)
            start = Start(newest.offset, newest.digest, dict(newest.marks), newest, floor)
        super()._begin(machine, start)


@pytest.mark.parametrize(("rule", "loses"), [(Runner, False), (CheckpointForFloor, True)])
def test_the_simpler_rule_the_states_position_for_the_floor_loses_outputs(rule: type[Runner], loses: bool) -> None:
    standby, world = World(REQUESTS), World(REQUESTS)
    finish(standby.runner(every=1))  # its state is ahead of what was ever appended here
    for partition in range(2):
        finish(rule(world.log, log_world.Toy, partition, standby.checkpoints))
    assert (world.accepted() != UNDISTURBED) == loses


def test_the_simpler_rule_idempotence_without_gaplessness_loses_outputs() -> None:
    world = World(REQUESTS)
    gappy = FaultyLog(world.log, lambda records: Gap({records[0].place: 1}))
    with pytest.raises(LogUnreachable):
        finish(world.runner(log=gappy))
    assert world.run().accepted() != UNDISTURBED
