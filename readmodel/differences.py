"""In what two pieces of work differ: per component of the fingerprint, each parameter by path, each input by name.

Components are compared by their digests, as the fingerprint takes them; what stands behind a digest only says which
part of it differs. Pure functions.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from coordinator.fingerprint import COMPONENT_ORDER
from readmodel.rows import Row
from schemas.spec import TaskSpec

MOST = 1_000  # differences of one component that are told
SHOWN = 200  # characters of a value
JOB_PARAMETERS = "job_parameters"


class Difference(Row, frozen=True):
    """One place where two tasks differ. `path`: within the component, as `genome.build` or `reads`; empty: as a whole.

    `mine`, `other`: the values as JSON text, cut where they are long; null: there is none.
    """

    component: str
    path: str
    mine: str | None
    other: str | None


def differences(spec: str, bound: str, other_spec: str, other_bound: str) -> tuple[Difference, ...]:
    """All differences between two tasks, in the order of the components; the arguments are the read model's JSON."""
    mine, other = msgspec.json.decode(spec, type=TaskSpec), msgspec.json.decode(other_spec, type=TaskSpec)
    found: list[Difference] = []
    for component in COMPONENT_ORDER:
        digest, its = getattr(mine.components, component), getattr(other.components, component)
        if digest != its:
            inside = list(_within(component, _value(mine, component), _value(other, component)))
            found += inside or [Difference(component=component, path="", mine=digest[:12], other=its[:12])]
    found += _within(JOB_PARAMETERS, msgspec.json.decode(bound), msgspec.json.decode(other_bound))
    return tuple(found)


def components_of(found: tuple[Difference, ...]) -> tuple[str, ...]:
    """The components that differ, each once."""
    return tuple(dict.fromkeys(one.component for one in found))


def _value(spec: TaskSpec, component: str) -> Any:
    """What a component's digest is made of, as far as the task carries it."""
    match component:
        case "commit":
            return {"commit": spec.commit} if spec.commit else {"code": spec.code}
        case "script":
            named = {"script": spec.script, "command": list(spec.command)}
            return named | {"verdict": spec.verdict, "children": spec.children}
        case "image":
            return {"image": spec.image}
        case "parameters":
            return msgspec.json.decode(spec.parameters)
        case "inputs":
            return spec.inputs
    return dict.fromkeys(spec.outputs, True)


def _within(component: str, mine: Any, other: Any) -> Iterator[Difference]:
    paths = _paths("", mine, other)
    for path, one, another in islice(paths, MOST):
        yield Difference(component=component, path=path, mine=one, other=another)
    more = sum(1 for _ in paths)
    if more:
        yield Difference(component=component, path=f"and {more} more", mine=None, other=None)


def _paths(path: str, mine: Any, other: Any) -> Iterator[tuple[str, str | None, str | None]]:
    """Where two JSON values differ: the deepest places that both lead to."""
    if isinstance(mine, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*mine, *other)):
            yield from _item(f"{path}.{name}" if path else name, name, mine, other)
    elif isinstance(mine, list) and isinstance(other, list):
        ours, theirs = dict(enumerate(mine)), dict(enumerate(other))
        for rank in range(max(len(mine), len(other))):
            yield from _item(f"{path}[{rank}]", rank, ours, theirs)
    elif _text(mine) != _text(other):  # as text: 1 and true are equal to Python
        yield path, _text(mine), _text(other)


def _item(path: str, key: Any, mine: Any, other: Any) -> Iterator[tuple[str, str | None, str | None]]:
    if key in mine and key in other:
        yield from _paths(path, mine[key], other[key])
    else:
        yield path, _text(mine[key]) if key in mine else None, _text(other[key]) if key in other else None


def _text(value: Any) -> str:
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
