"""Geometry of a lineage: boxes in four columns, and the lines between them, for a template to draw as SVG.

From left to right: the tasks that made the inputs, the inputs, the execution, and the tasks that hold its output.
"""

from typing import NamedTuple

from readmodel.board import Held
from readmodel.lineage import Lineage

BOX_WIDTH, BOX_HEIGHT = 176, 46
GAP_X, GAP_Y = 44, 14
LONGEST = 22  # characters in a box


class Box(NamedTuple):
    """`kind`: task, content or execution. `href`: where it leads, empty: nowhere. `is_own`: the task that is shown."""

    kind: str
    x: int
    y: int
    title: str
    note: str
    href: str = ""
    is_own: bool = False
    state: str = ""


class Line(NamedTuple):
    """A curve from the right side of a box to the left side of another."""

    path: str
    label: str = ""


class Picture(NamedTuple):
    """All of it, in units of the SVG."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


def picture(found: Lineage) -> Picture:
    """The boxes and lines of a lineage."""
    inputs, made_by = _inputs(found)
    execution = _execution(found)
    holders = [_task(held, found.own.task) for held in found.holders]
    if not any(box.is_own for box in holders):
        holders.append(_task(found.own, found.own.task))
    columns = [[box for box in made_by if box], inputs, execution, holders]
    boxes, lines = _placed(columns, made_by)
    used = sum(bool(column) for column in columns)
    tallest = max((len(column) for column in columns), default=0)
    width = used * BOX_WIDTH + (used - 1) * GAP_X + 2
    return Picture(boxes, lines, width, max(tallest, 1) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2)


def _inputs(found: Lineage) -> tuple[list[Box], list[Box | None]]:
    inputs = [Box("content", 0, 0, _short(one.name), _short(one.content)) for one in found.inputs]
    return inputs, [_task(one.maker, found.own.task) if one.maker else None for one in found.inputs]


def _execution(found: Lineage) -> list[Box]:
    execution = found.execution
    if execution is None:
        return []
    where = f"on {execution.node}" if execution.node else execution.runner or "not started"
    return [Box("execution", 0, 0, f"execution {execution.status}", _short(where))]


def _task(held: Held, own: str) -> Box:
    note = {"complete": "executed", "copied": "copied"}.get(held.state, held.state)
    href = f"/tasks/{held.task}"
    return Box("task", 0, 0, _short(held.name or held.task), note, href, held.task == own, held.state)


def _placed(columns: list[list[Box]], made_by: list[Box | None]) -> tuple[tuple[Box, ...], tuple[Line, ...]]:
    """Boxes at their places, and the lines between them: makers to inputs, inputs to the execution, it to holders."""
    tallest = max((len(column) for column in columns), default=0)
    at: list[list[Box]] = []
    x = 1
    for column in columns:
        top = 1 + (tallest - len(column)) * (BOX_HEIGHT + GAP_Y) // 2
        at.append([box._replace(x=x, y=top + rank * (BOX_HEIGHT + GAP_Y)) for rank, box in enumerate(column)])
        x += BOX_WIDTH + GAP_X if column else 0
    makers, inputs, execution, holders = at
    made = iter(makers)
    lines = [_line(next(made), box) for box, maker in zip(inputs, made_by, strict=True) if maker]
    lines += [_line(box, one) for one in execution for box in inputs]
    lines += [_line(one, box) for one in execution for box in holders]
    return tuple(box for column in at for box in column), tuple(lines)


def _line(start: Box, end: Box) -> Line:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x, end.y + BOX_HEIGHT // 2
    middle = (x1 + x2) // 2
    return Line(f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
