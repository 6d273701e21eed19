"""What befalls a node that is none of the town's own. Each strike returns whom it struck."""

import time
from contextlib import closing, suppress

from schemas.codec import encode
from schemas.topics import Topic
from schemas.work import Alive, Joined
from streams.log import Append, Log, LogError
from streams.routes import Routes
from tests.chaos.field import Field

POOL, NODE = "default", "node-deaf"
SIGNS = 8  # a second apart: longer than an assignment may go unlisted


def deaf(field: Field) -> str:
    """A node offers itself and gives signs of life, and never hears what it is given."""
    incarnation = f"deaf-{time.monotonic_ns()}"
    joined = Joined(
        pool=POOL, node=NODE, incarnation=incarnation, slots=2, verify_slots=1, cores=2, memory=1024, scratch=1024
    )
    with field.alone("visitors"), suppress(LogError), closing(field.town.log()) as log:
        _say(log, joined)
        for _ in range(SIGNS):
            field.hold(1.0)
            _say(log, Alive(pool=POOL, node=NODE, incarnation=incarnation))
        return NODE
    return ""


def _say(log: Log, body: Joined | Alive) -> None:
    log.append([Append(Routes(log).place(Topic.WORK, POOL), POOL, encode(body))])
