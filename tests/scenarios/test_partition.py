"""Keys belong where Kafka's own clients put them."""

from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st
from murmurhash2 import murmurhash2

from schemas.partition import SEED, partition_of

# From Kafka's UtilsTest.testMurmur2.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def murmur2(data: bytes) -> int:
    """As org.apache.kafka.common.utils.Utils.murmur2 says it, unsigned."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = SEED ^ len(data)
    for k in unpack_from(f"<{len(data) >> 2}I", data):
        k = k * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    tail = data[len(data) & ~3 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@pytest.mark.parametrize(("key", "hashed"), VECTORS.items())
def test_kafkas_own_vectors(key: str, hashed: int) -> None:
    assert murmur2(key.encode()) == hashed & 0xFFFFFFFF
    assert partition_of(key, 2**31) == hashed & 0x7FFFFFFF
    assert partition_of(key, 7) == (hashed & 0x7FFFFFFF) % 7


@given(st.binary(max_size=200))
def test_the_library_and_the_definition_agree(data: bytes) -> None:
    assert murmurhash2(data, SEED) == murmur2(data)


@given(st.text(), st.integers(1, 1000))
def test_text_of_any_kind_has_a_partition(key: str, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
