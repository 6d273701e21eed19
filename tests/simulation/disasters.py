"""What no code can heal and every start must notice: a log that was truncated, or made anew.

And if people make it go on all the same, what was granted before must not be granted again under the same name.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from schemas.claims import Requested
from schemas.codec import decode
from schemas.facts import Granted
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.faults import recreate, truncate
from streams.log import Append, LogMismatch, Place
from streams.loop import Runner
from streams.replaying import ReplayingLog
from tests.simulation.sight import Broken
from tests.simulation.world import MACHINES, NEWEST_RULES, PARTITIONS, Code, World, to_append

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


def strike_at_the_end(schedule: "Schedule") -> None:
    """Truncate a partition below its floor, or make a topic anew; a runner must refuse to start or to go on."""
    world = schedule.world
    topic = world.random.choice((*MACHINES, Topic.CLAIMS))
    place = Place(topic, world.random.randrange(PARTITIONS[topic]))
    floor = world.log.floor(f"{topic}-machine", place)
    if floor is None or floor.offset < 2:
        return
    if world.random.random() < 0.5:
        schedule.model.fired["truncation refused"] += 1
        truncate(world.log, place, max(world.log.start(place), world.random.randrange(1, floor.offset)))
        for process in schedule.processes:
            if process.place == place and process.runner is not None and not process.retired:
                _must_refuse(process.runner.poll, f"a running {place} after a truncation")
    else:
        schedule.model.fired["recreation refused"] += 1
        recreate(world.log, topic)
    _must_refuse(
        lambda: Runner(world.log, Code(topic, NEWEST_RULES), place.partition, world.checkpoints, rules=NEWEST_RULES),
        f"{place} after a disaster",
    )
    if topic is Topic.CLAIMS:
        _go_on(schedule, place)


def _must_refuse(action: Callable[[], Any], what: str) -> None:
    try:
        action()
    except LogMismatch:
        return
    raise Broken(3, f"{what} was not refused")


def _go_on(schedule: "Schedule", place: Place) -> None:
    """The same tasks ask again, in another order than before, and the machine begins anew: no token comes back."""
    world, first = schedule.world, schedule.world.log.end(place)
    asked = [i.body for i in schedule.model.parts[place].inputs if type(i.body) is Requested and i.fresh]
    for want in reversed(asked):
        world.log.append([to_append(Topic.CLAIMS, want)])
    known = {token for claims in schedule.model.claims.values() for token in claims.tokens}
    again = [token for token in _tokens_from(world, place, first) if token in known]
    if again and len(asked) > 1:
        raise Broken(3, f"{again} were granted before the disaster, and are granted again")
    schedule.model.fired["granted after a disaster"] += bool(asked)


def _tokens_from(world: World, place: Place, first: int) -> list[str]:
    """What a machine that begins anew grants at offset `first` and later."""
    said: list[Append] = []

    def keep(appends: Sequence[Append]) -> None:
        said.extend(appends)

    past = ReplayingLog(world.log, place, world.log.end(place), keep)
    runner = Runner(past, Code(Topic.CLAIMS, NEWEST_RULES), place.partition, MemoryCheckpoints())
    while runner.poll():
        pass
    facts = [decode(Topic.FACTS, append.value) for append in said if append.place.topic is Topic.FACTS]
    granted = [fact for fact in facts if type(getattr(fact, "body", None)) is Granted]
    return [fact.body.token for fact in granted if fact.cause.offset >= first]
