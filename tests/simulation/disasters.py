"""What no code can heal and every start must notice: a log that was truncated, or made anew."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streams.faults import recreate, truncate
from streams.log import LogMismatch, Place
from streams.loop import Runner
from tests.simulation.sight import Broken
from tests.simulation.world import MACHINES, NEWEST_RULES, PARTITIONS, Code

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


def strike_at_the_end(schedule: "Schedule") -> None:
    """Truncate a partition below its floor, or make a topic anew; a runner must refuse to start or to go on."""
    world = schedule.world
    topic = world.random.choice(list(MACHINES))
    place = Place(topic, world.random.randrange(PARTITIONS[topic]))
    floor = world.log.floor(f"{topic}-machine", place)
    if floor is None or floor.offset < 2:
        return
    running = [p.runner for p in schedule.processes if p.place == place and p.is_idle() and not p.retired]
    if world.random.random() < 0.5:
        schedule.model.fired["truncation refused"] += 1
        truncate(world.log, place, max(world.log.start(place), world.random.randrange(1, floor.offset)))
        for runner in running:
            assert runner is not None
            _must_refuse(lambda runner=runner: runner.poll(), f"a running {place} after a truncation")
    else:
        schedule.model.fired["recreation refused"] += 1
        recreate(world.log, topic)
    _must_refuse(
        lambda: Runner(world.log, Code(topic, NEWEST_RULES), place.partition, world.checkpoints, rules=NEWEST_RULES),
        f"{place} after a disaster",
    )


def _must_refuse(action: Callable[[], Any], what: str) -> None:
    try:
        action()
    except LogMismatch:
        return
    raise Broken(3, f"{what} was not refused")
