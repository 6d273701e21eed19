"""Whether a collection is still all there. "Not found" and "can't be reached" are two answers, never one."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from store.errors import BlockCorrupt, BlockMissing, ManifestInvalid, StoreUnreachable
from store.manifest import Manifest
from store.port import Blocks
from store.reader import read_manifest


class Verdict(StrEnum):
    """The outcome. Only MISSING, which is authoritative, may cost an entry its reuse."""

    WHOLE = "whole"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A look at a collection's blocks, its manifest among them.

    `missing`: locators not in the store with their size; `damaged`: locators whose content is not what they say, or of
    a manifest that is none; either makes the verdict MISSING. `reason`: why the store can't be reached, with
    UNREACHABLE. `checked`: how many blocks were found good.
    """

    verdict: Verdict
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    reason: str = ""
    checked: int = 0


def verify(blocks: Blocks, pdh: str, *, deep: bool = False) -> Verification:
    """Look whether each block of the collection is there with its size; `deep`: also read it and compare its md5."""
    missing: list[str] = []
    damaged: list[str] = []
    checked = 0
    try:
        for locator in _readable_locators(blocks, pdh, damaged):
            try:
                _look(blocks, locator, deep=deep)
                checked += 1
            except BlockMissing:
                missing.append(locator)
            except BlockCorrupt:
                damaged.append(locator)
    except StoreUnreachable as error:
        return Verification(verdict=Verdict.UNREACHABLE, reason=str(error), checked=checked)
    verdict = Verdict.MISSING if missing or damaged else Verdict.WHOLE
    return Verification(verdict=verdict, missing=tuple(missing), damaged=tuple(damaged), checked=checked)


def locators(pdh: str, manifest: Manifest) -> Iterator[str]:
    """Each block of a collection once, its manifest first."""
    yield from dict.fromkeys((pdh, *(segment.locator for _, file in manifest.files() for segment in file)))


def _readable_locators(blocks: Blocks, pdh: str, damaged: list[str]) -> Iterator[str]:
    """The collection's blocks; of one whose manifest can't be read only the manifest's own."""
    try:
        yield from locators(pdh, read_manifest(blocks, pdh))
    except BlockMissing:
        yield pdh
    except (BlockCorrupt, ManifestInvalid):
        damaged.append(pdh)


def _look(blocks: Blocks, locator: str, *, deep: bool) -> None:
    if deep:
        blocks.check(locator)
    elif not blocks.exists(locator):
        raise BlockMissing(locator)
