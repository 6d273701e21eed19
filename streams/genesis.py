"""A partition's first record: who it is for ever, and whether it is the one we think it is."""

from uuid import uuid4

from schemas.codec import Envelope, decode
from schemas.log import Genesis
from streams.log import Log, LogMismatch, Place

HASH = "murmur2"


def random_id() -> str:
    """A log id that no other partition ever had: 122 random bits, in hexadecimal."""
    return uuid4().hex


def read_genesis(place: Place, value: bytes) -> Genesis:
    """The Genesis in a first record's value. Raises LogMismatch if it is something else."""
    envelope = decode(place.topic, value)
    if isinstance(envelope, Envelope) and isinstance(envelope.body, Genesis):
        return envelope.body
    raise LogMismatch(f"{place} does not begin with a Genesis record: it is no partition of such a log")


def checked_genesis(log: Log, place: Place, count: int) -> Genesis:
    """The partition's Genesis. Raises LogMismatch if it was not made for this place, this count and our hash."""
    genesis = log.genesis(place)
    expected = (place.topic, place.partition, count, HASH)
    found = (genesis.topic, genesis.partition, genesis.partitions, genesis.hash)
    if found != expected:
        raise LogMismatch(
            f"{place} says topic, partition, partitions, hash are {found}, not {expected}:"
            " it belongs to another log, or partitions were added"
        )
    return genesis
