"""Bytes to records and back. Whatever can't be read becomes a value, never an exception that escapes."""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from schemas.fields import MAX_RECORD_BYTES, Record
from schemas.log import SCHEMA_VERSION, Cause
from schemas.reasons import Reason
from schemas.topics import RECORDS, Topic

B = TypeVar("B")


class Envelope(msgspec.Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a record's value is on the wire: its schema version, its cause, its body."""

    v: Annotated[int, Meta(ge=1, description="schema version; always written out")]
    cause: Annotated[Cause | None, Meta(description="what a machine's output follows from; null: from outside")] = None
    body: Annotated[B, Meta(description="the command or event, tagged by `type`")]


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no record of the topic, with the reason and one line that says what is wrong and where."""

    reason: Reason
    detail: str


class NewerSchema(Exception):
    """The record was written by newer code: deciding on it would be guessing, so the reader stops."""


class _Version(msgspec.Struct):
    v: int = SCHEMA_VERSION


_DECODERS: dict[Topic, "msgspec.json.Decoder[Envelope[Any]]"] = {
    topic: msgspec.json.Decoder(Envelope[records])  # type: ignore[valid-type]
    for topic, records in RECORDS.items()
}
_VERSION = msgspec.json.Decoder(_Version)
_ENCODER = msgspec.json.Encoder()


def encode(body: Record, cause: Cause | None = None) -> bytes:
    """The record's bytes: compact JSON, fields in order of definition, defaults left out."""
    return _ENCODER.encode(Envelope(v=SCHEMA_VERSION, body=body, cause=cause))


def decode(topic: Topic, value: bytes) -> "Envelope[Any] | Undecodable":
    """The envelope in `value`, or why there is none.

    Raises NewerSchema if the bytes were written by a newer schema version than this code knows.
    """
    if len(value) > MAX_RECORD_BYTES:
        return Undecodable(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_RECORD_BYTES} are read")
    try:
        envelope = _DECODERS[topic].decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_newer(topic, value)
        return Undecodable(Reason.UNDECODABLE, str(error)[:500])
    if envelope.v > SCHEMA_VERSION:
        raise _newer(topic, envelope.v)
    return envelope


def _refuse_newer(topic: Topic, value: bytes) -> None:
    try:
        version = _VERSION.decode(value).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version > SCHEMA_VERSION:
        raise _newer(topic, version)


def _newer(topic: Topic, version: int) -> NewerSchema:
    return NewerSchema(
        f"a record in topic {topic} has schema version {version}, this code knows {SCHEMA_VERSION}: upgrade the code"
    )
