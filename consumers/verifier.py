"""The verifier's rules: is an entry's output still all there? No clock, thread or store of its own.

A store that can't be reached says nothing about an output: the look is repeated, less and less often, until there is
an answer. Only the store's own "not found" makes an `OutputMissing`.

Who can't see the entry is given it for a proof that they may read its inputs. That comes first, and without it nobody
looks, so that how long it takes says nothing of the output; and it is made again when the output is known to be there.
"""

from collections.abc import Callable
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


class Found(NamedTuple):
    """What a look found. `output` None: who asks has not proved that they may have it, so nobody looked."""

    output: Verification | None
    proved: bool = False


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

    def looked(self, token: str, found: Found, now: int) -> Judged | None:
        """What a look found; None if there is nothing to say (yet)."""
        held = self._open.get(token)
        if held is None:
            return None
        if found.output is not None and found.output.verdict is Verdict.UNREACHABLE:
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


def look(collections: CollectionStore, ready: Ready, proves: Callable[[Ready], bool]) -> Found:
    """Look whether the entry's output is there. `proves`: whether who asks may read all inputs, now. Never raises for
    what it finds."""
    if not ready.prove:
        return Found(_output(collections, ready))
    if not proves(ready):
        return Found(None)
    found = _output(collections, ready)
    return Found(found, proved=found.verdict is Verdict.WHOLE and proves(ready))


def _output(collections: CollectionStore, ready: Ready) -> Verification:
    """Block by block, by their sizes."""
    try:
        return collections.verify(ready.output)
    except LocatorInvalid:
        return Verification(verdict=Verdict.MISSING, missing=(ready.output,))


def _report(ready: Ready, found: Found) -> Verified | OutputMissing:
    output, proved = found
    if output is None or output.verdict is Verdict.WHOLE:
        return Verified(fingerprint=ready.fingerprint, entry=ready.entry, token=ready.token, proved=proved)
    block = next(iter(output.missing + output.damaged), "")
    return OutputMissing(fingerprint=ready.fingerprint, entry=ready.entry, token=ready.token, block=block)
