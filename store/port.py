"""What collections need of what holds blocks: a folder (`store/blocks.py`) or a Keep cluster (`store/keep.py`)."""

from typing import Protocol

Data = bytes | bytearray | memoryview


class Blocks(Protocol):
    """Blocks by locator, given with or without hints and returned without. All may raise StoreUnreachable.

    The empty block is always there. "Not there" is authoritative: whoever can't know raises StoreUnreachable.
    """

    def put(self, data: Data, *, md5: str = "") -> str:
        """Store a block; its locator (`md5+size`). BlockTooLarge, StoreFull; BlockCorrupt if its md5 is another."""
        ...

    def get(self, locator: str) -> bytes:
        """A block's content, its size and md5 checked. BlockMissing, BlockCorrupt."""
        ...

    def exists(self, locator: str) -> bool:
        """Whether a block is there with the size it should have. Its content is not read."""
        ...

    def check(self, locator: str) -> None:
        """Read a block and compare size and md5. BlockMissing, BlockCorrupt."""
        ...
