"""What a waiting task waits for, as its owner may know it: whose, where, since when, how many before it, how long."""

from collections.abc import Callable
from typing import Literal

import msgspec

from readmodel.connection import Connection
from readmodel.queries import select
from readmodel.rows import Row, Task
from readmodel.sight import Sight
from readmodel.sql import statements

SQL = statements("waiting.sql")
Heard = Callable[[str], int | None]
"""When a node last gave a sign of life, by its name: ms since 1970; None: not known."""

ALIKE = 30  # finished runs of the same program that an estimate is made from, for each owner


class Wait(Row, frozen=True):
    """The execution or entry that is waited for. Times in ms since 1970, lengths in ms.

    `alive_at`: the node's last sign of life, where the log was asked for it: the read model does not know it.
    `position`: 1 for who has waited longest among those that the viewer sees. `progress`: permille, as the task says.
    `takes`: median of what earlier runs of the same program took, as far as the viewer sees any.
    """

    kind: Literal["execution", "verification"]
    owner: str
    status: str
    node: str
    granted_at: int | None
    running_at: int | None
    progress: int
    position: int
    takes: int | None
    alive_at: int | None = None


def wait_of(connection: Connection, seen: Sight, task: Task) -> Wait | None:
    """What the task waits for; None if it does not, or if that may not be seen any more. Raises ReadModelError."""
    if task.waiting_on is None:
        return None
    about = {"root": task.root, "task": task.task, "spec": task.spec, "bound": task.bound, "alike": ALIKE}
    found = select(connection, SQL["waited_for"], seen, about)
    return msgspec.convert(found[0], Wait) if found else None


def with_life(wait: Wait, heard: Heard) -> Wait:
    """The same with the last sign of life of the node that runs what is waited for."""
    if wait.status != "running" or not wait.node:
        return wait
    return msgspec.structs.replace(wait, alive_at=heard(wait.node))
