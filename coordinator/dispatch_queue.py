"""Queued work in the order in which it is served: by priority, then fair share between owners, then age.

Work that has priority, owner and need in common forms a line; only the first of a line ever matters, since what holds
for it holds for all behind it. So a step looks at lines, not at items, and a job of 100,000 alike tasks is one line.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import heappop, heappush
from operator import attrgetter

from coordinator.dispatch_state import Item, Need, Turns

_age = attrgetter("offset")


class Line:
    """Items by age. The heap may name items that have left; they are skipped when they come first."""

    __slots__ = ("heap", "items")

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.heap: list[int] = []

    def add(self, item: Item) -> None:
        """Put an item where its age says."""
        self.items[item.offset] = item
        heappush(self.heap, item.offset)

    def discard(self, item: Item) -> None:
        """Take an item out."""
        del self.items[item.offset]
        if len(self.heap) > 2 * len(self.items) + 16:
            self.heap = sorted(self.items)

    def first(self) -> Item:
        """The oldest item; the line must not be empty."""
        while self.heap[0] not in self.items:
            heappop(self.heap)
        return self.items[self.heap[0]]


class Queue:
    """The queued work of one kind in one pool. An index: nothing in it outlives the process."""

    def __init__(self, turns: Turns) -> None:
        self.needs: dict[Need, int] = {}  # need -> how many items are queued with it
        self.in_use: dict[str, int] = {}  # owner -> cores in use; of verifications: slots in use
        self._turns = turns
        self._lanes: dict[int, dict[str, dict[Need, Line]]] = {}  # priority -> owner -> lines
        self._ranks: list[int] = []  # priorities negated, in order: the highest comes first

    def add(self, item: Item) -> None:
        """Put an item where its priority, owner, need and age say."""
        if item.priority not in self._lanes:
            self._lanes[item.priority] = {}
            insort(self._ranks, -item.priority)
        need = item.need
        lines = self._lanes[item.priority].setdefault(item.work.owner, {})
        lines.setdefault(need, Line()).add(item)
        self.needs[need] = self.needs.get(need, 0) + 1

    def discard(self, item: Item) -> None:
        """Take an item out; its priority must be the one it was added with."""
        need, lane = item.need, self._lanes[item.priority]
        lines = lane[item.work.owner]
        lines[need].discard(item)
        if not lines[need].items:
            del lines[need]
        if not lines:
            del lane[item.work.owner]
        if not lane:
            del self._lanes[item.priority]
            del self._ranks[bisect_left(self._ranks, -item.priority)]
        self.needs[need] -= 1
        if not self.needs[need]:
            del self.needs[need]

    def in_order(self) -> Iterator[tuple[Need, Item]]:
        """The first of each line with its need, in the order of service. Not to be read on after a change."""
        for rank in self._ranks:
            lane = self._lanes[-rank]
            for owner in sorted(lane, key=self._share) if len(lane) > 1 else lane:
                yield from self._of_owner(lane[owner])

    def of_needs(self, needs: list[Need]) -> list[Item]:
        """Every item with one of these needs, by age."""
        lines = [
            lines[need] for lane in self._lanes.values() for lines in lane.values() for need in needs if need in lines
        ]
        return sorted((item for line in lines for item in line.items.values()), key=_age)

    def use(self, item: Item, sign: int) -> None:
        """The item's owner has it in use (1), or no longer (-1): its cores, or one slot for a verification."""
        owner, amount = item.work.owner, 1 if item.work.kind == "verify" else item.work.cores
        left = self.in_use.get(owner, 0) + sign * amount
        if left:
            self.in_use[owner] = left
        else:
            self.in_use.pop(owner, None)

    def serve(self, owner: str) -> None:
        """It was this owner's turn."""
        self._turns.last += 1
        self._turns.of[owner] = self._turns.last

    @staticmethod
    def _of_owner(lines: dict[Need, Line]) -> Iterator[tuple[Need, Item]]:
        firsts = [(need, line.first()) for need, line in lines.items()]
        if len(firsts) > 1:
            firsts.sort(key=lambda first: first[1].offset)
        return iter(firsts)

    def _share(self, owner: str) -> tuple[int, int, str]:
        """Fewest in use first; among those who was served longest ago; then by uuid, so that the order is total."""
        return self.in_use.get(owner, 0), self._turns.of.get(owner, 0), owner
