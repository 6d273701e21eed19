"""What collections need of what holds blocks: a folder (`store/blocks.py`) or a Keep cluster (`store/keep.py`)."""

from contextlib import AbstractContextManager
from typing import Protocol

from store.words import Words

Data = bytes | bytearray | memoryview


class SpokenWords(Protocol):
    """What running tasks have said so far, by the names of their executions. All may raise StoreUnreachable."""

    def put(self, name: str, words: Words) -> None:
        """In place of what was there. StoreFull."""
        ...

    def get(self, name: str) -> Words | None:
        """None: nothing was said, or it is over, or nobody keeps it."""
        ...

    def remove(self, name: str) -> None:
        """Nothing happens if there is nothing."""
        ...


class Putting(Protocol):
    """Takes blocks."""

    def put(self, data: Data, *, md5: str = "") -> str:
        """Store a block; its locator (`md5+size`). BlockTooLarge, StoreFull; BlockCorrupt if its md5 is another."""
        ...


class Blocks(Putting, Protocol):
    """Blocks by locator, given with or without hints and returned without. All may raise StoreUnreachable.

    The empty block is always there. "Not there" is authoritative: whoever can't know raises StoreUnreachable.
    """

    @property
    def words(self) -> SpokenWords:
        """What running tasks say, beside the blocks."""
        ...

    def together(self) -> AbstractContextManager[Putting]:
        """Put many blocks in less time: those that were put in here are sure to stay only when it ends."""
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
