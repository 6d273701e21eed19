"""Key to partition: Kafka's own murmur2, computed by us because the client's default is another hash."""

from functools import lru_cache
from struct import unpack_from

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """32-bit unsigned murmur2 as org.apache.kafka.common.utils.Utils.murmur2 computes it."""
    length = len(data)
    h = 0x9747B28C ^ length
    for k in unpack_from(f"<{length >> 2}I", data):
        k = k * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    tail = data[length & ~3 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: str, partitions: int) -> int:
    """Partition of a key, from 0, as Kafka's DefaultPartitioner: positive murmur2 modulo the partition count."""
    return _positive(key) % partitions


@lru_cache(maxsize=65536)
def _positive(key: str) -> int:
    """Remembered by key alone: topics of other partition counts have the same keys, and this is the slow part."""
    return murmur2(key.encode()) & 0x7FFFFFFF
