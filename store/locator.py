"""Block locators: `md5+size`, followed by hints that say where a block is or who may read it, never what it holds."""

import hashlib
from typing import NamedTuple

from coordinator.locators import (
    is_collection_uuid,
    is_locator,
    is_manifest,
    is_portable_data_hash,
    split_reference,
    strip_hints,
)
from store.errors import LocatorInvalid

__all__ = [
    "EMPTY_BLOCK",
    "Locator",
    "is_collection_uuid",
    "is_locator",
    "is_manifest",
    "is_portable_data_hash",
    "locator_of",
    "parse_locator",
    "portable_data_hash_of",
    "split_reference",
    "strip_hints",
]

EMPTY_BLOCK = "d41d8cd98f00b204e9800998ecf8427e+0"


class Locator(NamedTuple):
    """A parsed locator. `md5`: 32 lower-case hexadecimal digits; `size`: bytes; `hints`: without their plus signs."""

    md5: str
    size: int
    hints: tuple[str, ...] = ()

    @property
    def stripped(self) -> str:
        """`md5+size`, without hints."""
        return f"{self.md5}+{self.size}"

    def __str__(self) -> str:
        return "+".join((self.stripped, *self.hints))


def parse_locator(text: str) -> Locator:
    """Parse `md5+size[+hint…]`; LocatorInvalid if `text` is not wholly a locator."""
    if not is_locator(text):
        raise LocatorInvalid(text)
    md5, size, *hints = text.split("+")
    return Locator(md5, int(size), tuple(hints))


def portable_data_hash_of(text: str) -> str:
    """The portable data hash that `text` is, hints dropped; LocatorInvalid if it is none."""
    return parse_locator(text).stripped


def locator_of(data: bytes | bytearray | memoryview) -> Locator:
    """The locator of a block with this content."""
    return Locator(hashlib.md5(data, usedforsecurity=False).hexdigest(), memoryview(data).nbytes)
