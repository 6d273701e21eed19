"""A floor may still be on its way when a state is kept: whatever is lost then, a runner can start from that state."""

from collections.abc import Sequence

import pytest

from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import Append, Floor, Place
from streams.memory import MemoryLog
from tests.support.log_world import World, finish, request

PLACE = Place(Topic.CLAIMS, 0)


@pytest.fixture
def world() -> World:
    return World([request(number, same=3) for number in range(12)])


class SlowFloors(MemoryLog):
    """The same records as `log`, in a process whose floors are on their way until it waits for them.

    `waits`: how often it did so for a floor alone.
    """

    def __init__(self, log: MemoryLog) -> None:
        vars(self).update(vars(log))
        self._under_way: list[tuple[str, Place, Floor]] = []
        self.waits = 0

    def append(self, records: Sequence[Append]) -> list[int]:
        self._land()
        return super().append(records)

    def floor(self, reader: str, place: Place) -> Floor | None:
        self._land()
        return super().floor(reader, place)

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        if (reader, place, floor) in self._under_way:
            self.waits += 1
            self._land()
        else:
            self._under_way.append((reader, place, floor))

    def _land(self) -> None:
        while self._under_way:
            super().move_floor(*self._under_way.pop(0))


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_what_was_committed_is_of_use_whenever_the_log_goes_away(limit: int, world: World, local: LocalStore) -> None:
    runner = world.runner(log=SlowFloors(world.log), local=local, every=1)
    reached = 0
    while runner.poll(limit):
        reached = runner.position
        again = world.runner(local=local, checkpoints=MemoryCheckpoints())  # the floor on its way is lost
        assert again.position == reached
        runner = world.runner(log=SlowFloors(world.log), local=local, every=1)
    assert reached == world.log.end(PLACE)


def test_a_floor_is_waited_for_where_a_state_is_kept_and_nowhere_else(world: World, local: LocalStore) -> None:
    log = SlowFloors(world.log)
    runner = finish(world.runner(log=log, local=local, every=5), limit=2)
    assert (runner.position, log.waits) == (world.log.end(PLACE), 1)
