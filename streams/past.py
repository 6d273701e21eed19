"""As it was: what was known at an earlier moment, decided again from the first command on.

A moment is a time (all that was appended up to then), or a place in the log (all that was appended up to that record).
Nothing is looked up in what was decided then, so it is also what should have been known.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from coordinator.picture import Picture
from schemas.codec import Undecodable, decode
from schemas.topics import Topic
from streams.audit import Progress
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Log, Place
from streams.loop import MachineType, Runner
from streams.moments import first_at, time_of
from streams.replaying import ReplayingLog, places_of
from streams.state import state_hash

DECIDED = (Topic.SETTINGS, Topic.TASKS, Topic.CLAIMS)
"""Not `work`: nothing that people are shown follows from it, and it is trimmed."""


class OutsideTheLog(Exception):
    """There is no such moment in the log; one line for people."""


def replay(
    log: Log,
    machines: Sequence[MachineType],
    moment: int,
    ends: Mapping[Place, int] = MappingProxyType({}),
    progress: Progress = lambda _what, _count: None,
) -> Picture:
    """What was known when every command appended up to `moment` (ms since 1970) had been decided.

    `ends`: partitions that are read to before an offset instead. Raises LogError, MachineStopped.
    """
    picture = Picture()
    for machine in machines:
        if machine.topic not in DECIDED:
            continue
        for source in places_of(log, machine.topic):
            end = ends.get(source, first_at(log, source, moment + 1))
            past = ReplayingLog(log, source, end, lambda outputs: _draw(picture, outputs))
            runner = Runner(past, machine, source.partition, MemoryCheckpoints(), every=2**62)
            while count := runner.poll():
                progress(f"deciding {source} again", count)
            picture.offsets[str(source)] = end
            picture.states[str(source)] = state_hash(runner.machine)
    return picture


def replay_to(
    log: Log, machines: Sequence[MachineType], place: Place, offset: int, progress: Progress = lambda _w, _c: None
) -> Picture:
    """What was known when this record, and all that was appended up to its time, had been decided.

    Raises OutsideTheLog if there is no such record, LogError, MachineStopped.
    """
    if place.topic not in DECIDED or place.partition >= log.partitions(place.topic):
        raise OutsideTheLog(f"no machine decides on {place}")
    start, end = log.start(place), log.end(place)
    if not start <= offset < end:
        raise OutsideTheLog(f"{place} holds the offsets {start} to {end - 1}, not {offset}")
    return replay(log, machines, time_of(log, place, offset), {place: offset + 1}, progress)


def replay_each_to(
    log: Log, machines: Sequence[MachineType], offset: int, progress: Progress = lambda _w, _c: None
) -> Picture:
    """What was known when each partition's records up to this offset had been decided.

    Raises OutsideTheLog if none has so many, LogError, MachineStopped.
    """
    ends = {place: log.end(place) for topic in DECIDED for place in places_of(log, topic)}
    if offset >= max(ends.values()):
        raise OutsideTheLog(f"no partition has the offset {offset}: the last one is {max(ends.values()) - 1}")
    return replay(log, machines, 0, {place: min(end, offset + 1) for place, end in ends.items()}, progress)


def check_moment(log: Log, moment: int) -> None:
    """Raises OutsideTheLog if nothing had been appended yet at `moment` (ms since 1970)."""
    places = [place for topic in DECIDED for place in places_of(log, topic)]
    first = min(time_of(log, place, log.start(place)) for place in places)
    if moment < first:
        raise OutsideTheLog(f"that was {_seconds(first - moment)} s before the log's first record")


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _draw(picture: Picture, outputs: Sequence[Append]) -> None:
    for output in outputs:
        if output.place.topic is Topic.FACTS:
            envelope = decode(Topic.FACTS, output.value)
            assert not isinstance(envelope, Undecodable), "a runner appends records"
            picture.draw(envelope.body)
