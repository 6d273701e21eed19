"""Two examples of every record, made from its type: `full` sets each field to something else than its default,
`minimal` sets only what has none. The same in every process: they are the golden bytes.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import inspect

from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import RECORDS, Topic, members

CAUSE = Cause(log_id="6f1c0a5e9b3d4c2f8a7e6d5c4b3a2f10", offset=4711, index=2)

_TOKEN = "6f1c0a5e9b3d4c2f8a7e6d5c4b3a2f10.4711.0.9f86d081884c7d65"
_TASK = "zzzzz-8i9sb-p84k3cpfoe6qeoj"
_HASH = "d41d8cd98f00b204e9800998ecf8427e+0"
_WORDS = {
    **dict.fromkeys(("token", "entry", "keep", "replaces", "tokens"), _TOKEN),
    **dict.fromkeys(("task", "root", "source", "child", "created_by", "request"), _TASK),
    **dict.fromkeys(("owner", "user", "group", "subject", "object"), "zzzzz-tpzed-d9tiejq69daie8f"),
    **dict.fromkeys(("output", "outputs", "log", "code", "block", "inputs"), _HASH),
    "fingerprint": sha256(b"fingerprint").hexdigest(),
    "image": "sha256:" + sha256(b"image").hexdigest(),
    "commit": "4fe459abe02d9b365932b8f5dc419439ab4e2577",
    "commits": "4fe459abe02d9b365932b8f5dc419439ab4e2577",
    "detail": 'two readers, "one" line: naïve → 雪\n\t\\',  # what JSON escapes, and text beyond ASCII
}
_JSON = msgspec.Raw('{"k":21,"list":[1,-2.5,null,true],"naïve":"雪"}'.encode())

Build = Callable[[Any], Any]


def record_types(topic: Topic) -> dict[str, type[Record]]:
    """The record types of a topic by tag."""
    return {str(record.__struct_config__.tag): record for record in members(topic)}


def every_record() -> list[tuple[Topic, str, type[Record]]]:
    """Topic, tag and type of all records."""
    return [(topic, tag, record) for topic in RECORDS for tag, record in record_types(topic).items()]


def full(shape: type[msgspec.Struct]) -> Any:
    """An instance of a record or part with every field set, each to another value than its default."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return shape(**{field.name: _other(field, full) for field in info.fields})


def minimal(shape: type[msgspec.Struct]) -> Any:
    """An instance with only the fields that have no default."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return shape(**{field.name: _other(field, minimal) for field in info.fields if field.required})


def _other(field: inspect.Field, build: Build) -> Any:
    """A value of the field's type that is not its default; `build` makes the structs in it."""
    default = None if field.default is inspect.NODEFAULT else field.default
    return _value(field.type, field.name, build, default)


def _value(node: Any, name: str, build: Build, default: Any = None) -> Any:
    match node:
        case inspect.StructType():
            return build(node.cls)
        case inspect.Metadata():
            return _value(node.type, name, build, default)
        case inspect.VarTupleType():
            return (_value(node.item_type, name, build),)
        case inspect.TupleType():
            return tuple(_value(each, name, build) for each in node.item_types)
        case inspect.DictType():
            return {f"a {name}": _value(node.value_type, name, build)}
        case inspect.UnionType():
            first = next(each for each in node.types if not isinstance(each, inspect.NoneType | inspect.LiteralType))
            return _value(first, name, build, default)
    return _SCALARS[type(node)](node, name, default)


def _text(node: inspect.StrType, name: str, default: Any) -> str:
    if node.min_length == node.max_length and node.min_length is not None:
        return sha256(name.encode()).hexdigest()[: node.min_length]
    return _WORDS.get(name, f"some {name}")


_SCALARS: dict[type, Any] = {
    inspect.StrType: _text,
    inspect.IntType: lambda node, name, default: max(node.ge or 0, (default or 0) + 1 + sum(name.encode()) % 97),
    inspect.BoolType: lambda node, name, default: not default,
    inspect.RawType: lambda node, name, default: _JSON,
    inspect.EnumType: lambda node, name, default: next(each for each in node.cls if each != default),
    inspect.LiteralType: lambda node, name, default: next(each for each in node.values if each != default),
}


def parts_of(shape: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """The record or part itself and every struct nested in it."""
    found: set[type[msgspec.Struct]] = set()
    _collect(inspect.type_info(shape), found)
    return found


def _collect(node: Any, found: set[type[msgspec.Struct]]) -> None:
    if isinstance(node, inspect.StructType) and node.cls not in found:
        found.add(node.cls)
        for field in node.fields:
            _collect(field.type, found)
    for below in ("type", "item_type", "value_type"):
        if hasattr(node, below):
            _collect(getattr(node, below), found)
    for each in (*getattr(node, "types", ()), *getattr(node, "item_types", ())):
        _collect(each, found)
