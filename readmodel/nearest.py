"""The earlier work that is nearest to a task: for each component of the fingerprint what differs in that one alone.

One query, which looks into the index `alike_by_key` once for each key of the task and each owner that the viewer may
read (`rm.alike_keys` says what the keys are): it costs the same among a thousand tasks and among millions.
"""

from typing import NamedTuple

from readmodel import queries
from readmodel.connection import Connection
from readmodel.differences import Difference, components_of, differences
from readmodel.rows import Named, Row
from readmodel.sight import Sight

CANDIDATES = 30  # finished tasks looked at for each of the keys that leave out all but one thing
FARTHEST = 3  # tasks that are named where none differs in one component alone


class Nearest(Row, frozen=True):
    """An earlier task with an output, and all in which it differs. `finished_at`: ms since 1970."""

    task: Named
    finished_at: int
    components: tuple[str, ...]
    different: tuple[Difference, ...]


class Work(NamedTuple):
    """What is compared: the TaskSpec and the job parameters bound into it, as JSON; its fingerprint; since when.

    Only what had finished at `before` (ms since 1970) is earlier.
    """

    spec: str
    bound: str
    fingerprint: str
    before: int


def nearest_to(connection: Connection, seen: Sight, work: Work) -> tuple[Nearest, ...]:
    """The newest that differs in one component alone, for each component; if there are none, the few that differ least.

    Only tasks that the viewer may see. Raises ReadModelError.
    """
    found: dict[tuple[str, str], Nearest] = {}
    asked = work._asdict() | {"limit": CANDIDATES}
    for row in queries.fetch(connection, "nearest", seen, asked):
        place = (row["root"], row["task"])
        if place not in found:
            different = differences(work.spec, work.bound, row["spec"], row["bound"])
            found[place] = Nearest(
                task=queries.named(row),
                finished_at=row["ended_at"],
                components=components_of(different),
                different=different,
            )
    return chosen(list(found.values()))


def chosen(found: list[Nearest]) -> tuple[Nearest, ...]:
    """Those to be told of, from all that were found, newest first. Pure."""
    alone: dict[str, Nearest] = {}
    for one in found:
        if len(one.components) == 1:
            alone.setdefault(one.components[0], one)
    others = sorted((one for one in found if one.components), key=lambda one: len(one.components))
    return tuple(alone.values()) or tuple(others[:FARTHEST])
