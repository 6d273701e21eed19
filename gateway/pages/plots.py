"""Geometry of plots: from figures to the rectangles and marks that a template draws as SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from readmodel.board import HOUR

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 12, 26
LINES = 4
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


class Bar(NamedTuple):
    """A rectangle. `kind`: what it shows, a class of the style sheet."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Column(NamedTuple):
    """What is drawn for one span of time, and said of it: `start` is its first millisecond since 1970."""

    start: int
    bars: tuple[Bar, ...]
    values: tuple[int, ...]


class Tick(NamedTuple):
    """A mark at an axis. `at`: its place; `label`: a value in words, or for the lower axis ms since 1970."""

    at: float
    label: str


class Plot(NamedTuple):
    """Columns over spans of time, stacked. `rows`: marks of the left axis; `spans`: of the lower one."""

    columns: tuple[Column, ...]
    rows: tuple[Tick, ...]
    spans: tuple[tuple[float, int], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    base: int = HEIGHT - BOTTOM


def stacked(
    known: Mapping[int, Any], kinds: Sequence[str], since: int, until: int, *, is_time: bool, step: int = HOUR
) -> Plot:
    """A plot of these fields, one on the other, from `since` to `until`, each `step`, all in ms.

    `known`: by the first ms of a span of time what has the fields. `is_time`: they are lengths of time, in ms.
    """
    starts = range(since, until + 1, step)
    values = [[int(getattr(known[start], kind)) if start in known else 0 for kind in kinds] for start in starts]
    top = _round_up(max((sum(row) for row in values), default=0), is_time=is_time)
    width = (WIDTH - LEFT - RIGHT) / max(len(starts), 1)
    columns = tuple(
        Column(start, tuple(_bars(kinds, row, LEFT + rank * width, width, top)), tuple(row))
        for rank, (start, row) in enumerate(zip(starts, values, strict=True))
    )
    labelled = range(0, len(starts), max(len(starts) // 6, 1))
    marks = tuple((round(LEFT + (rank + 0.5) * width, 1), starts[rank]) for rank in labelled)
    return Plot(columns, tuple(_rows(top, is_time=is_time)), marks)


def length(milliseconds: int) -> str:
    """A length of time in words: `1.5 h`."""
    for unit, name in _UNITS:
        if milliseconds >= unit:
            return f"{milliseconds / unit:.3g} {name}"
    return f"{milliseconds} ms"


def _bars(kinds: Sequence[str], row: Sequence[int], x: float, width: float, top: int) -> list[Bar]:
    made, done = [], 0
    for kind, value in zip(kinds, row, strict=True):
        if value:
            height = _scaled(value, top)
            y = HEIGHT - BOTTOM - _scaled(done + value, top)
            made.append(Bar(kind, round(x + width * 0.1, 1), round(y, 1), round(width * 0.8, 1), round(height, 1)))
        done += value
    return made


def _rows(top: int, *, is_time: bool) -> list[Tick]:
    values = sorted({round(top * rank / LINES) for rank in range(LINES + 1)})
    return [
        Tick(round(HEIGHT - BOTTOM - _scaled(value, top), 1), _marked(value, top) if is_time else f"{value:,}")
        for value in values
    ]


def _marked(value: int, top: int) -> str:
    """A length of time in the unit that suits the whole axis."""
    unit, name = next(((unit, name) for unit, name in _UNITS if top >= 2 * unit), (1, "ms"))
    return f"{value / unit:.3g} {name}" if value else "0"


def _scaled(value: int, top: int) -> float:
    return value / top * (HEIGHT - TOP - BOTTOM)


def _round_up(value: int, *, is_time: bool) -> int:
    """The next number that marks divide well: 1, 2, 4 or 8 times a power of ten, of the unit that fits."""
    unit = next((unit for unit, _ in _UNITS if is_time and value >= unit), 1)
    whole = max(math.ceil(value / unit), LINES)
    power = int(10 ** math.floor(math.log10(whole)))
    return unit * next(factor * power for factor in (1, 2, 4, 8, 10) if factor * power >= whole)
