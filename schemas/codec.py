"""Bytes to records and back. Whatever can't be read becomes a value, never an exception that escapes.

Schema versions: a reader refuses fields, tags and words that it does not know, and refusing is a decision. So anything
added to a record raises SCHEMA_VERSION, and code that meets a higher version than its own stops instead of deciding.
Version 1 is what the first release freezes: logs that a checkout before it wrote are discarded, not read.
"""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, inspect

from schemas.fields import MAX_RECORD_BYTES, MAX_RECORD_DEPTH, Record
from schemas.log import SCHEMA_VERSION, Cause
from schemas.nesting import depth
from schemas.reasons import Reason
from schemas.topics import RECORDS, Topic

B = TypeVar("B")


class Envelope(
    msgspec.Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False
):
    """What a record's value is on the wire: its schema version, its cause, its body."""

    v: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION, description="schema version; always written out")]
    cause: Annotated[Cause | None, Meta(description="what a machine's output follows from; null: from outside")] = None
    body: Annotated[B, Meta(description="the command or event, tagged by `type`")]


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no record of the topic: the reason, and one line for people that says what is wrong and where.

    The line is worded by the library that read the bytes: show it, but never put it into a decision.
    """

    reason: Reason
    detail: str


class NewerSchema(Exception):
    """The record was written by newer code: deciding on it would be guessing, so the reader stops."""


class _Version(msgspec.Struct):
    v: int = SCHEMA_VERSION


def _carries_raw(node: inspect.Type) -> bool:
    """Whether a value of this type holds JSON that decoding passes over unread."""
    if isinstance(node, inspect.Metadata):
        return _carries_raw(node.type)
    if isinstance(node, inspect.StructType):
        return any(_carries_raw(field.type) for field in node.fields)
    if isinstance(node, inspect.UnionType):
        return any(map(_carries_raw, node.types))
    if isinstance(node, inspect.DictType):
        return _carries_raw(node.value_type)
    return isinstance(node, inspect.RawType)


_DECODE: dict[Topic, Callable[[bytes], Envelope[Any]]] = {
    topic: msgspec.json.Decoder(Envelope[records]).decode  # type: ignore[valid-type]
    for topic, records in RECORDS.items()
}
_WITH_RAW = frozenset(
    record for records in RECORDS.values() for record in records.__args__ if _carries_raw(inspect.type_info(record))
)
_VERSION = msgspec.json.Decoder(_Version)
_ANYTHING = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_RANKS = tuple(b'%d],"body":' % index for index in range(256))


def encode(body: Record, cause: Cause | None = None) -> bytes:
    """The record's bytes: compact JSON, fields in order of definition, defaults left out."""
    return _encode(Envelope(v=SCHEMA_VERSION, body=body, cause=cause))


def log_head(log_id: str) -> bytes:
    """How the bytes of all that follows from one partition begin; see `cause_head`."""
    return b'{"v":%d,"cause":[%b,' % (SCHEMA_VERSION, _encode(log_id))


def cause_head(log_head: bytes, offset: int) -> bytes:
    """How the bytes of every output of one step begin; see `encode_output`."""
    return b"%b%d," % (log_head, offset)


def encode_output(head: bytes, index: int, body: Record) -> bytes:
    """The bytes of `encode(body, Cause(log_id, offset, index))`, without making either envelope or cause."""
    rank = _RANKS[index] if index < 256 else b'%d],"body":' % index
    return b"".join((head, rank, _encode(body), b"}"))


def decode(topic: Topic, value: bytes) -> "Envelope[Any] | Undecodable":
    """The envelope in `value`, or why there is none.

    Raises NewerSchema if the bytes were written by a newer schema version than this code knows.
    """
    if len(value) > MAX_RECORD_BYTES:
        return Undecodable(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_RECORD_BYTES} are read")
    try:
        envelope = _DECODE[topic](value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_newer(topic, value)
        return Undecodable(Reason.UNDECODABLE, str(error)[:500])
    except RecursionError:
        return _too_deep(value)
    # A machine's output holds only what was looked at when it came in, so commands from outside alone pay for this.
    if envelope.cause is None and type(envelope.body) in _WITH_RAW:
        return _unread_fault(value) or envelope
    return envelope


def _unread_fault(value: bytes) -> Undecodable | None:
    """What is wrong in JSON that decoding passed over: bad UTF-8, numbers without a value, nesting without end."""
    if depth(value) > MAX_RECORD_DEPTH:
        return _too_deep(value)
    try:
        _ANYTHING.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Undecodable(Reason.UNDECODABLE, str(error)[:500])
    return None


def _too_deep(value: bytes) -> Undecodable:
    """The refusal of too deep a record. At lesser depth it was our own stack that ran out: that is no decision."""
    levels = depth(value)
    if levels <= MAX_RECORD_DEPTH:
        raise RecursionError(f"no stack left to read a record {levels} levels deep")
    return Undecodable(Reason.UNDECODABLE, f"nested {levels} levels deep, at most {MAX_RECORD_DEPTH} are read")


def _refuse_newer(topic: Topic, value: bytes) -> None:
    try:
        version = _VERSION.decode(value).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version > SCHEMA_VERSION:
        raise NewerSchema(
            f"a record in topic {topic} has schema version {version}, this code knows {SCHEMA_VERSION}: upgrade it"
        )
