"""The verifier's rules: is an entry's output still all there? No clock, thread or store of its own.

A store that can't be reached says nothing about an output: the look is repeated, less and less often, until there is
an answer. Only the store's own "not found" makes an `OutputMissing`.
"""

from typing import NamedTuple

import msgspec

from schemas.claims import OutputMissing, Verified
from schemas.work import Ready
from store.collections import CollectionStore
from store.errors import LocatorInvalid
from store.verification import Verdict, Verification

FIRST_PAUSE = 500
LONGEST_PAUSE = 30_000


class Look(NamedTuple):
    """Verify the collection `ready.output`, then call `looked`."""

    token: str
    ready: Ready


class Judged(NamedTuple):
    """Append `report` to `claims`; this verification is done."""

    token: str
    report: Verified | OutputMissing


class _Open(msgspec.Struct):
    ready: Ready
    pause: int = FIRST_PAUSE
    again: int | None = None  # when to look again; None while somebody looks


class VerifierCore:
    """The verifications a node holds. Times are milliseconds on the node's monotonic clock."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def begin(self, ready: Ready) -> Look:
        """A verification was assigned."""
        self._open[ready.token] = _Open(ready)
        return Look(ready.token, ready)

    def drop(self, token: str) -> None:
        """It is no longer wanted; what a look still finds is ignored."""
        self._open.pop(token, None)

    def looked(self, token: str, found: Verification, now: int) -> Judged | None:
        """What a look found; None if there is nothing to say (yet)."""
        held = self._open.get(token)
        if held is None:
            return None
        if found.verdict is Verdict.UNREACHABLE:
            held.again = now + held.pause
            held.pause = min(held.pause * 2, LONGEST_PAUSE)
            return None
        del self._open[token]
        return Judged(token, _report(held.ready, found))

    def due(self) -> int | None:
        """When `tick` has a look to repeat; None: not by itself."""
        return min((held.again for held in self._open.values() if held.again is not None), default=None)

    def tick(self, now: int) -> list[Look]:
        """Time has passed: the looks to repeat."""
        due = [held for held in self._open.values() if held.again is not None and held.again <= now]
        for held in due:
            held.again = None
        return [Look(held.ready.token, held.ready) for held in due]


def look(collections: CollectionStore, ready: Ready) -> Verification:
    """Look, block by block, whether the entry's output is there. Reads sizes; never raises for what it finds."""
    try:
        return collections.verify(ready.output)
    except LocatorInvalid:
        return Verification(verdict=Verdict.MISSING, missing=(ready.output,))


def _report(ready: Ready, found: Verification) -> Verified | OutputMissing:
    if found.verdict is Verdict.WHOLE:
        return Verified(fingerprint=ready.fingerprint, entry=ready.entry, token=ready.token)
    block = next(iter(found.missing + found.damaged), "")
    return OutputMissing(fingerprint=ready.fingerprint, entry=ready.entry, token=ready.token, block=block)
