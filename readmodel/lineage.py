"""Where a task's output came from, and where it went: which execution made it, of what, and who holds copies of it."""

import msgspec

from readmodel import board, queries
from readmodel.board import Held
from readmodel.connection import Connection
from readmodel.rows import Execution, Named, Row, Task
from readmodel.sight import sight
from schemas.spec import TaskSpec

HOLDERS = 8  # shown at most
INPUTS = 8


class Input(Row, frozen=True):
    """What the task is given under a name. `maker`: a visible task that made this content, if there is one."""

    name: str
    content: str
    maker: Held | None


class Lineage(Row, frozen=True):
    """A task's surroundings, as far as the viewer sees them. `own`: the task itself.

    `queued_by`: the task that queued it. `execution`: what made, or makes, its output. `holders`: tasks that have that
    output, first the one that ran; `more_holders`, `more_inputs`: whether there are more than are listed.
    """

    own: Held
    queued_by: Named | None
    inputs: tuple[Input, ...]
    more_inputs: bool
    execution: Execution | None
    holders: tuple[Held, ...]
    more_holders: bool
    children: int


def lineage(connection: Connection, viewer: str, task: Task) -> Lineage:
    """The surroundings of a task that the viewer sees. Raises ReadModelError."""
    seen = sight(connection, viewer)
    given = sorted(msgspec.json.decode(task.spec, type=TaskSpec).inputs.items())
    makers = board.makers(connection, seen, [content for _, content in given[:INPUTS]])
    holders = board.holders(connection, seen, task.token, HOLDERS + 1) if task.token else []
    queued_by = queries.tasks_named(connection, seen, [task.created_by])
    return Lineage(
        own=Held(task=task.task, root=task.root, name=task.name, state=task.state),
        queued_by=queued_by.get(task.created_by),
        inputs=tuple(Input(name=name, content=pdh, maker=makers.get(pdh)) for name, pdh in given[:INPUTS]),
        more_inputs=len(given) > INPUTS,
        execution=queries.execution(connection, viewer, task.token) if task.token else None,
        holders=tuple(holders[:HOLDERS]),
        more_holders=len(holders) > HOLDERS,
        children=task.children,
    )
