"""Key to partition: Kafka's own murmur2, computed by us because the client's default is another hash."""

from murmurhash2 import murmurhash2

SEED = 0x9747B28C


def partition_of(key: str, partitions: int) -> int:
    """Partition of a key, from 0, as Kafka's DefaultPartitioner: positive murmur2 modulo the partition count."""
    return (murmurhash2(key.encode(), SEED) & 0x7FFFFFFF) % partitions
