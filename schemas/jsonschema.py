"""JSON Schema of each topic's records, for readers in other languages; `schemas/json/` holds the generated text."""

import json
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import msgspec

from schemas.codec import Envelope
from schemas.topics import RECORDS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{name}"


def schema_of(topic: Topic) -> dict[str, Any]:
    """JSON Schema (2020-12) of the value of a record in this topic: the envelope, and in it one of the bodies."""
    envelope: Any = Envelope[_described(RECORDS[topic])]  # type: ignore[misc]
    (root,), definitions = msgspec.json.schema_components([envelope], ref_template=REFERENCE)
    outer = definitions.pop(root["$ref"].removeprefix(REFERENCE.format(name="")))
    return {"$schema": DIALECT, **outer, "title": f"A record of the topic {topic}", "$defs": definitions}


def text_of(topic: Topic) -> str:
    """The schema as it stands in `schemas/json/<topic>.json`."""
    return json.dumps(schema_of(topic), indent=2, ensure_ascii=False) + "\n"


def _described(annotation: Any) -> Any:
    """The same type, with every record in it such that msgspec can describe it: it can't where a default is a Raw."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _describable(annotation)
    origin, arguments = get_origin(annotation), tuple(map(_described, get_args(annotation)))
    if origin is None:
        return annotation
    if origin is Annotated:
        return Annotated[(arguments[0], *annotation.__metadata__)]
    return reduce(or_, arguments) if origin is UnionType else origin[arguments]


@cache
def _describable(record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    config = record.__struct_config__
    fields = msgspec.structs.fields(record)
    return msgspec.defstruct(
        record.__name__,
        [(field.name, _described(field.type), _default(field)) for field in fields],
        namespace={"__doc__": record.__doc__},
        kw_only=True,
        array_like=config.array_like,
        forbid_unknown_fields=config.forbid_unknown_fields,
        tag_field=config.tag_field,
        tag=config.tag,
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if isinstance(field.default, msgspec.Raw):
        return json.loads(bytes(field.default))
    factory: Any = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else msgspec.field(default_factory=factory)
