"""A hot standby: the same runner, which says nothing while somebody else does.

It steps records as they come and keeps its outputs in hand. The floor says how far the owner's outputs are in the log:
what it has passed is dropped from the hand. If the floor stands still although there is something in hand, the owner
is taken for dead, and the standby says what it holds and goes on as an owner does. Nobody is asked, because nobody
has to agree: if the owner was only slow, both say the same, and whoever reads it drops one of the two.

A standby that leads and sees somebody else raise the floor follows again. While it follows, its state is kept only
where the floor has come that far; a state above the floor would be of no use to whoever starts from it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from streams.log import Append


class Patience(NamedTuple):
    """How long a standby waits, and how much it holds meanwhile.

    `silence`: ms that the floor stands still, with records above it, until the owner is taken for dead; `look`: ms
    between two looks at the floor. `outputs`, `size` (bytes): when the hand holds so much, nothing more is read until
    the floor moves or the standby leads; a single step may exceed it. `clock`: seconds, monotonic.
    """

    silence: int = 1_000
    look: int = 200
    outputs: int = 100_000
    size: int = 64 * 1024 * 1024
    clock: Callable[[], float] = time.monotonic


class Hand:
    """Outputs above the floor, in order, with the offset that they follow from."""

    def __init__(self, patience: Patience) -> None:
        self._most = patience
        self._held: deque[tuple[int, list[Append], int]] = deque()
        self.outputs = self.size = 0

    def hold(self, offset: int, outputs: list[Append], size: int) -> None:
        """Take these too; offsets never decrease."""
        self._held.append((offset, outputs, size))
        self.outputs += len(outputs)
        self.size += size

    def drop(self, floor: int) -> None:
        """What follows from records below `floor` is in the log."""
        while self._held and self._held[0][0] < floor:
            _, outputs, size = self._held.popleft()
            self.outputs -= len(outputs)
            self.size -= size

    def is_full(self) -> bool:
        """Whether it holds as much as it may."""
        return self.outputs >= self._most.outputs or self.size >= self._most.size

    def chunks(self, most: int, size: int) -> Iterator[list[Append]]:
        """All that is held, in order, in pieces that end as soon as they have so many outputs or bytes."""
        chunk, weight = list[Append](), 0
        for _, outputs, added in self._held:
            chunk += outputs
            weight += added
            if len(chunk) >= most or weight >= size:
                yield chunk
                chunk, weight = [], 0
        if chunk:
            yield chunk

    def clear(self) -> None:
        """Let go of all."""
        self._held.clear()
        self.outputs = self.size = 0


class Watch:
    """When to look at the floor, and for how long it has stood still below what was read."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._next_look = self._since = patience.clock()

    def is_time(self) -> bool:
        """Whether to look now; the next look is due one interval from now."""
        now = self._patience.clock()
        if now < self._next_look:
            return False
        self._next_look = now + self._patience.look / 1000
        return True

    def due_in(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next_look - self._patience.clock())

    def moved(self) -> None:
        """The floor has moved, or nothing is above it."""
        self._since = self._patience.clock()

    def is_over(self) -> bool:
        """Whether the floor has stood still for longer than we wait."""
        return self._patience.clock() - self._since >= self._patience.silence / 1000


class Following:
    """What a standby has beside what every runner has."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.hand = Hand(patience)
        self.watch = Watch(patience)
