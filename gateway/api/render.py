"""From a row to the object that clients get."""

import hashlib
from typing import Any

import msgspec

from gateway.api.schema import Resource
from gateway.api.times import text_of

Object = dict[str, Any]


def shown(resource: Resource, row: dict[str, Any], select: frozenset[str] | None = None) -> Object:
    """The object, or the selected attributes of it; `kind` is always there."""
    values = {name: row[name] for name in resource.names if select is None or name in select}
    for name in resource.times:
        if name in values:
            values[name] = text_of(values[name])
    for name in resource.nested:
        if isinstance(values.get(name), str):
            values[name] = msgspec.json.decode(values[name])
    whole = {"href": f"/{resource.name}/{row['uuid']}", "kind": resource.kind, "etag": etag(values)} | values
    if select is None:
        return whole
    return {name: value for name, value in whole.items() if name in select or name == "kind"}


def listed(resource: Resource, items: list[Object], offset: int, limit: int, total: int | None) -> Object:
    """A page."""
    made = {
        "kind": f"{resource.kind}List",
        "etag": "",
        "self_link": "",
        "offset": offset,
        "limit": limit,
        "items": items,
    }
    return made if total is None else made | {"items_available": total}


def etag(values: Object) -> str:
    """Changes when the object does."""
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:25]
