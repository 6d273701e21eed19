"""The story of a seed that failed: who did what and when, what is broken, and the last records that it is about."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schemas.codec import Undecodable
from schemas.work import Alive, Tick
from tests.simulation.sight import Broken
from tests.simulation.world import START

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

RECORDS = 30
LONGEST_VALUE = 60
SILENCE = (Alive, Tick)
SAID = (
    "task", "token", "owner", "node", "incarnation", "status", "state", "why", "kind", "reason", "outcome",
    "exit_code", "failure", "output", "child", "entry", "source", "replaces", "change",
)  # fmt: skip


def story(schedule: "Schedule", error: BaseException) -> str:
    """Readable as it is; times are virtual seconds since the beginning."""
    world = schedule.world
    about = error.about if isinstance(error, Broken) else ""
    lines = [f"Seed {world.seed}: what happened"]
    lines += [f"  {time / 1000:8.3f}  {line}" for time, line in world.story]
    lines += ["", f"At {world.now / 1000:.3f}: {error}", ""]
    told = list(_records(schedule, about))[-RECORDS:]
    lines += [f"The last {len(told)} records{f' about {about}' if about else ''}:", *told, ""]
    lines += [f"Replay it: ./run simulate --seed {world.seed}"]
    return "\n".join(lines)


def _records(schedule: "Schedule", about: str) -> Iterator[str]:
    """What landed about a fingerprint or a job, in the order in which it landed."""
    found = []
    for place, part in schedule.model.parts.items():
        for offset, record in enumerate(part.inputs):
            if about.encode() in record.stored.value and (about or type(record.body) not in SILENCE):
                found.append((record.rank, place, offset, record))
    for _, place, offset, record in sorted(found, key=lambda one: one[0]):
        cause = f" from {record.cause.log_id} {record.cause.offset}.{record.cause.index}" if record.cause else ""
        repeat = "" if record.fresh else " (repeat)"
        time = (record.stored.time - START) / 1000
        yield f"  {time:8.3f}  {place}@{offset}{cause}{repeat}: {_say(record.body)}"


def _say(body: Any) -> str:
    if isinstance(body, Undecodable):
        return f"bytes that are no record: {body.reason}"
    known = {name: getattr(body, name, "") for name in SAID}
    details = [f"{name}={str(value)[:LONGEST_VALUE]}" for name, value in known.items() if value not in ("", 0, -1)]
    return f"{type(body).__name__} {' '.join(details)}"
