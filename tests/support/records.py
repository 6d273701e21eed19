"""Hypothesis strategies for records: any value that the types allow, limits and awkward text included."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic, members

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CAUSES = st.builds(
    Cause, log_id=st.text("0123456789abcdef", min_size=1, max_size=32), offset=st.integers(0, 2**53), index=st.just(0)
)


def records(topic: Topic) -> st.SearchStrategy[Record]:
    """Any record of a topic."""
    return st.one_of([_struct(record) for record in members(topic)])


def _struct(shape: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    required = {field.name: _strategy(field.type) for field in info.fields if field.required}
    optional = {field.name: _strategy(field.type) for field in info.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: shape(**values))


def _strategy(node: Any) -> st.SearchStrategy[Any]:
    match node:
        case inspect.Metadata():
            return _strategy(node.type)
        case inspect.StructType():
            return st.deferred(lambda: _struct(node.cls))
        case inspect.UnionType():
            return st.one_of(list(map(_strategy, node.types)))
        case inspect.VarTupleType():
            return st.lists(_strategy(node.item_type), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*map(_strategy, node.item_types))
        case inspect.DictType():
            return st.dictionaries(_strategy(node.key_type), _strategy(node.value_type), max_size=3)
        case inspect.StrType():
            return _text(node)
    return _SCALARS[type(node)](node)


def _text(node: inspect.StrType) -> st.SearchStrategy[str]:
    low, high = node.min_length or 0, node.max_length or 20
    return st.text(st.characters(codec="utf-8"), min_size=low, max_size=max(low, min(high, 20)))


_SCALARS: dict[type, Any] = {
    inspect.IntType: lambda node: st.integers(node.ge, node.le),
    inspect.BoolType: lambda node: st.booleans(),
    inspect.RawType: lambda node: JSON_VALUES.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
    inspect.EnumType: lambda node: st.sampled_from(list(node.cls)),
    inspect.LiteralType: lambda node: st.sampled_from(list(node.values)),
}
