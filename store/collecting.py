"""Removing blocks that nothing refers to, while others read and write.

A block is first set aside, then forgotten by a later run. What was written or renewed lately is left alone, and looked
at again after it was set aside: a writer who renewed it meanwhile finds it back, and one who looks for it in between
finds nothing and writes it anew (`BlockStore.put`). What turns out to be referred to after all is put back.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from store.blocks import BlockStore, StoredBlock
from store.errors import BlockCorrupt, BlockMissing, ManifestInvalid
from store.locator import parse_locator, portable_data_hash_of
from store.reader import read_manifest
from store.verification import locators


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run did, in blocks and bytes. `aside`: set aside now; `forgotten`: removed, set aside by earlier runs.

    `missing`: collections that are referred to, and whose manifest is not there or damaged; `unknown`: those that jobs
    name, and that the store never had as far as anybody knows.
    """

    blocks: int = 0
    aside: int = 0
    aside_bytes: int = 0
    forgotten: int = 0
    restored: int = 0
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The md5 of each block that must stay, and the collections of which that could not be said."""

    kept: frozenset[str]
    missing: tuple[str, ...]


def mark(blocks: BlockStore, collections: Iterable[str]) -> Marked:
    """What these collections are made of. Raises StoreUnreachable."""
    kept: set[str] = set()
    missing = []
    for pdh in collections:
        try:
            kept.update(parse_locator(one).md5 for one in locators(pdh, read_manifest(blocks, pdh)))
        except (BlockMissing, BlockCorrupt):
            missing.append(pdh)
        except ManifestInvalid:  # the locator of a block, which names nothing further
            kept.add(parse_locator(portable_data_hash_of(pdh)).md5)
    return Marked(kept=frozenset(kept), missing=tuple(missing))


def unreferenced(blocks: BlockStore, marked: Marked, before_ns: int) -> Iterator[StoredBlock]:
    """Blocks that nothing refers to, and that nobody wrote or renewed since a time (ns since the epoch)."""
    for block in blocks.blocks():
        if block.modified_ns < before_ns and parse_locator(block.locator).md5 not in marked.kept:
            yield block


def set_aside(blocks: BlockStore, found: Iterable[StoredBlock], before_ns: int) -> list[StoredBlock]:
    """Set these aside; one that was renewed meanwhile stays where it was. Raises StoreUnreachable, StoreFull."""
    return [block for block in found if blocks.set_aside(block.locator, before_ns)]


def restore(blocks: BlockStore, aside: Iterable[StoredBlock], marked: Marked) -> int:
    """Put back what is referred to after all, and the manifests that were not found; how many."""
    wanted = marked.kept | {parse_locator(portable_data_hash_of(pdh)).md5 for pdh in marked.missing}
    return sum(blocks.put_back(block.locator) for block in aside if parse_locator(block.locator).md5 in wanted)


def recover(blocks: BlockStore, collections: Collection[str]) -> tuple[Marked, int]:
    """What these collections are made of, with all of it put back that is set aside; how many blocks were.

    A manifest that is put back names further blocks, so this goes on until none is found. Raises StoreUnreachable.
    """
    restored = 0
    while True:
        marked = mark(blocks, collections)
        found = restore(blocks, blocks.aside(), marked)
        if not found:
            return marked, restored
        restored += found
