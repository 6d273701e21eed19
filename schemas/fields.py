"""The vocabulary of field types: what an identifier looks like, how large a number may be, and what it means."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

KIB = 1024
MAX_RECORD_BYTES = 1024 * KIB
MAX_SPEC_BYTES = 256 * KIB
MAX_SAFE_INTEGER = 2**53
MAX_VALUE_DEPTH = 64
MAX_RECORD_DEPTH = 80

Uuid = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(max_length=1024)]
Text = Annotated[str, Meta(max_length=4096)]
Path = Annotated[str, Meta(max_length=4096)]
Token = Annotated[str, Meta(min_length=1, max_length=160)]
Fingerprint = Annotated[str, Meta(min_length=1, max_length=96)]
Digest = Annotated[str, Meta(min_length=64, max_length=64)]
Locator = Annotated[str, Meta(max_length=256)]
Count = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
Signed = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Offset = Count
Milliseconds = Count
Mebibytes = Count


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A value nested in records: frozen, named fields only, unknown fields refused."""


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    gc=False,
):
    """A command or an event. The tag `type` names it on the wire and never changes once used."""


EMPTY_OBJECT = Raw(b"{}")
NULL = Raw(b"null")
