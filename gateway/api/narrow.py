"""A list of objects that stand in no table, as lists of tables are: filters, order, select, limit and count."""

import operator
import re
from collections.abc import Callable
from typing import Any

from gateway.api import filters
from gateway.api.dispatch import Handler, Object, asked_page
from gateway.api.render import listed, shown
from gateway.api.request import Call
from gateway.api.schema import Resource
from gateway.api.service import Caller
from readmodel.listing import Term

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, given: value in given,
    "not in": lambda value, given: value not in given,
    "like": lambda value, given: is_like(value, given),
    "ilike": lambda value, given: is_like(value.lower(), given.lower()),
    "never": lambda _, __: False,
}


def narrowed(resource: Resource, everything: Handler) -> Handler:
    """What replies with those objects of `everything` that are asked for. None of their attributes is null."""

    def answer(caller: Caller, call: Call, uuid: str) -> Object:
        select, asked = filters.select(resource, call.option("select")), asked_page(resource, call)
        found = [one for one in everything(caller, call, uuid)["items"] if all(_meets(one, t) for t in asked.terms)]
        for name, descending in reversed(asked.order) if call.option("order") else ():
            found.sort(key=operator.itemgetter(name), reverse=descending)
        items = [shown(resource, one, select) for one in found[asked.offset : asked.offset + asked.limit]]
        return listed(resource, items, asked.offset, asked.limit, len(found) if asked.counted else None)

    return answer


def _meets(one: Object, term: Term) -> bool:
    return _COMPARE[term.operator](one[term.column], term.operand)


def is_like(value: str, pattern: str) -> bool:
    """As SQL has it: `%` is any text, `_` any character, a backslash before either is that one itself.

    In time that the product of both lengths bounds: after a `%` only the last one is ever gone back to.
    """
    parts = re.findall(r"\\.|[^\\]", pattern, re.DOTALL)
    at = part = 0
    back: tuple[int, int] | None = None  # where to go on if this leads nowhere
    while at < len(value) or part < len(parts):
        if part < len(parts) and parts[part] == "%":
            part += 1
            back = (at + 1, part)
        elif part < len(parts) and at < len(value) and _fits(parts[part], value[at]):
            at, part = at + 1, part + 1
        elif back is not None and back[0] <= len(value):
            at, part = back
            back = (at + 1, part)
        else:
            return False
    return True


def _fits(part: str, character: str) -> bool:
    return part == "_" or part.removeprefix("\\") == character
