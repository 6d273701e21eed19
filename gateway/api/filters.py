"""Filters, `where`, `order` and `select` of a list request, checked against the table of attributes.

The operators are those of Arvados 1.3.3 (`record_filters.rb`): `!=` and `not in` find null too; `is_a` looks at the
class that a uuid names. What it passes over in silence (an unknown order) is refused here: 422 names it.
"""

import re
from typing import Any

from gateway.api.errors import ApiError, invalid
from gateway.api.schema import NESTED, RESOURCES, Attribute, Resource
from gateway.api.times import microseconds_of
from readmodel.listing import Term
from schemas.fields import MAX_SAFE_INTEGER

MAX_TERMS = 200
MAX_LISTED = 10_000
_COMPARE = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "like": "like", "ilike": "ilike"}
_LIKE = ("like", "ilike")
_TRUTH = dict.fromkeys(("1", "t", "true", "y", "yes"), True) | dict.fromkeys(("0", "f", "false", "n", "no"), False)
_ORDER = re.compile(r"(?:(\w+)\.)?(\w+)(?:\s+(asc|desc))?", re.IGNORECASE)
PARENTS = {"job_tasks": ("job", "jobs"), "jobs": ("parent_job", "jobs")}


def terms(resource: Resource, filters: Any, where: Any) -> list[Term]:
    """The conditions. `filters`: [[attribute, operator, operand], …]; `where`: {attribute: value or values}."""
    given = [] if filters in (None, "") else filters
    if not isinstance(given, list):
        raise invalid("filters: must be an array of [attribute, operator, operand]")
    if len(given) > MAX_TERMS:
        raise invalid(f"filters: more than {MAX_TERMS}")
    return [_term(resource, one) for one in given] + _where(resource, where)


def _term(resource: Resource, given: Any) -> Term:
    if not isinstance(given, list) or len(given) != 3 or not all(isinstance(part, str) for part in given[:2]):
        raise invalid("filters: each is [attribute, operator, operand]")
    name, operator, operand = given
    table, attribute = _column(resource, name)
    operator = operator.lower()
    if operator == "is_a":
        return Term(attribute.name, *_class(attribute, operand), "string", table)
    if operator in ("in", "not in"):
        return Term(attribute.name, operator, _values(attribute, operand), attribute.kind, table)
    if operator not in _COMPARE:
        raise invalid(f"Invalid operator '{operator[:40]}' in filters")
    return Term(attribute.name, _COMPARE[operator], _operand(attribute, operator, operand), attribute.kind, table)


def _where(resource: Resource, where: Any) -> list[Term]:
    if where in (None, "", {}):
        return []
    if not isinstance(where, dict):
        raise invalid("where: must be an object")
    return [_term(resource, [name, "in" if isinstance(value, list) else "=", value]) for name, value in where.items()]


def _column(resource: Resource, name: str) -> tuple[str, Attribute]:
    """The table (`r`: the row's own, `p`: its job's) and attribute that a filter's name means."""
    prefix, _, rest = name.rpartition(".")
    parent, holder = PARENTS.get(resource.name, ("", ""))
    if prefix and prefix == parent:
        return "p", _known(RESOURCES[holder], rest, "filter")
    if prefix and prefix != resource.name:
        raise invalid(f"Invalid attribute '{name[:80]}' in filter")
    return "r", _known(resource, rest, "filter")


def _known(resource: Resource, name: str, where: str) -> Attribute:
    found = resource.attribute(name)
    if found is None or found.kind in NESTED:
        raise invalid(f"Invalid attribute '{name[:80]}' in {where}")
    return found


def _operand(attribute: Attribute, operator: str, operand: Any) -> Any:
    """The operand as SQL compares it."""
    if operator in _LIKE:
        if attribute.kind not in ("string", "text") or not isinstance(operand, str) or operand.endswith("\\"):
            raise _bad_operand(attribute, operator)
        return operand.replace("\0", "")
    if operand is None and operator in ("=", "!="):
        return None
    if attribute.kind == "boolean" and operator not in ("=", "!="):
        raise invalid(f"Invalid operator '{operator}' for boolean attribute '{attribute.name}'")
    return _value(attribute, operator, operand)


def _values(attribute: Attribute, operand: Any) -> list[Any]:
    if not isinstance(operand, list):
        raise invalid(f"filters: the operand of in and not in for '{attribute.name}' must be an array")
    if len(operand) > MAX_LISTED:
        raise invalid(f"filters: more than {MAX_LISTED} values for '{attribute.name}'")
    return [None if value is None else _value(attribute, "in", value) for value in operand]


def _value(attribute: Attribute, operator: str, value: Any) -> Any:
    match attribute.kind, value:
        case "boolean", bool():
            return value
        case "boolean", str() if value.lower() in _TRUTH:
            return _TRUTH[value.lower()]
        case "integer", int() if not isinstance(value, bool) and abs(value) <= MAX_SAFE_INTEGER:
            return value
        case "float", int() | float() if not isinstance(value, bool) and abs(value) <= MAX_SAFE_INTEGER:
            return float(value)
        case "datetime", str():
            return _moment(attribute, operator, value)
        case "string" | "text", str() if "\0" not in value:
            return value
    raise _bad_operand(attribute, operator)


def _moment(attribute: Attribute, operator: str, text: str) -> int:
    try:
        return microseconds_of(text)
    except (ValueError, OverflowError):
        raise _bad_operand(attribute, operator) from None


def _bad_operand(attribute: Attribute, operator: str) -> ApiError:
    return invalid(f"Invalid operand for '{operator}' operator on {attribute.kind} attribute '{attribute.name}'")


def _class(attribute: Attribute, operand: Any) -> tuple[str, Any]:
    """`is_a`: operator and operand that tell a uuid of this class by its middle part."""
    kinds = operand if isinstance(operand, list) else [operand]
    if attribute.kind != "string" or not all(isinstance(kind, str) for kind in kinds):
        raise _bad_operand(attribute, "is_a")
    infixes = {one.infix for one in RESOURCES.values() if one.kind in kinds}
    if not infixes:
        return "never", True
    if len(infixes) > 1:
        raise invalid("filters: is_a takes one class")
    return "like", f"_____-{infixes.pop()}-_______________"


def order(resource: Resource, given: Any) -> list[tuple[str, bool]]:
    """Columns and directions, ending with the uuid, so that pages never overlap. Default: changed last comes first."""
    if given in (None, "", []):
        return [("modified_at", True), ("uuid", False)]
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, list) or len(parts) > MAX_TERMS or not all(isinstance(part, str) for part in parts):
        raise invalid("order: must be text like 'created_at desc', or an array of such")
    found = [_direction(resource, part.strip()) for part in parts]
    return [*found, ("uuid", False)]


def _direction(resource: Resource, part: str) -> tuple[str, bool]:
    match = _ORDER.fullmatch(part)
    if match is None or match[1] not in (None, resource.name):
        raise invalid(f"Invalid order '{part[:80]}'")
    return _known(resource, match[2], "order").name, (match[3] or "").lower() == "desc"


def select(resource: Resource, given: Any) -> frozenset[str] | None:
    """Names of the attributes to give; None: all."""
    if given in (None, "", []):
        return None
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid("select: must be an array of attributes")
    for name in names:
        if resource.attribute(name) is None and name not in ("kind", "etag", "href"):
            raise invalid(f"Invalid attribute '{name[:80]}' in select")
    return frozenset(names)
