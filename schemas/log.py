"""What every partition carries besides its topic's own records."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Count, Name, Offset, Record, Uuid

SCHEMA_VERSION = 1


class Genesis(Record, frozen=True, tag="genesis", kw_only=True):
    """First record of a partition. The first one counts; any later one is a no-op."""

    log_id: Annotated[Uuid, Meta(description="this partition's identity for ever; random, by who creates it")]
    topic: Annotated[Name, Meta(description="topic it was written to")]
    partition: Annotated[Count, Meta(description="partition number, from 0")]
    partitions: Annotated[Count, Meta(description="number of partitions of the topic; never changes once used")]
    hash: Annotated[Name, Meta(description="name of the key-to-partition hash")] = "murmur2"


class Cause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an output comes from: the idempotence key of every record that a machine writes."""

    log_id: Annotated[Uuid, Meta(description="log id of the partition whose record caused this one")]
    offset: Annotated[Offset, Meta(description="offset of that record")]
    index: Annotated[Count, Meta(description="rank among the outputs of that step, from 0")]
