"""Queued work in the order in which it is served: by priority, then fair share between owners, then age.

Work that has priority, owner and need in common forms a line; only the first of a line ever matters, since what holds
for it holds for all behind it. So a search looks at lines, not at items, and a job of 100,000 alike tasks is one line.
The lines of one priority and owner form a lane, in the order of their first items' age: the first that fits is served.
Where few needs can fit at all, a search looks at the lines with these alone.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from operator import attrgetter, itemgetter

from coordinator.dispatch_state import Item, Need, Turns

_age = attrgetter("offset")
_offset = itemgetter(0)
Share = tuple[int, int, str]


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


class Lane:
    """The lines of one priority and owner, the line with the oldest item first."""

    __slots__ = ("_order", "lines")

    def __init__(self) -> None:
        self.lines: dict[Need, Line] = {}
        self._order: list[tuple[int, Need]] = []  # age of each line's first item

    def add(self, item: Item) -> None:
        """Put an item into the line of its need."""
        line = self.lines.get(item.need)
        if line is None:
            line = self.lines[item.need] = Line()
        elif (first := line.first().offset) < item.offset:
            line.add(item)
            return
        else:
            self._unlist(first)
        line.add(item)
        insort(self._order, (item.offset, item.need))

    def discard(self, item: Item) -> None:
        """Take an item out of the line of its need."""
        line = self.lines[item.need]
        was_first = line.first() is item
        line.discard(item)
        if not was_first:
            return
        self._unlist(item.offset)
        if line.items:
            insort(self._order, (line.first().offset, item.need))
        else:
            del self.lines[item.need]

    def first(self, room: Need) -> Item | None:
        """The oldest item for which the room is enough."""
        free_cores, free_memory, free_scratch = room
        for _, need in self._order:
            cores, memory, scratch = need
            if cores <= free_cores and memory <= free_memory and scratch <= free_scratch:
                return self.lines[need].first()
        return None

    def first_that(self, wanted: Callable[[Item], bool]) -> Item | None:
        """The oldest item that is wanted; asked of the first of each line."""
        return next((item for _, need in self._order if wanted(item := self.lines[need].first())), None)

    def _unlist(self, offset: int) -> None:
        del self._order[bisect_left(self._order, offset, key=_offset)]


class Owners:
    """Whose turn it is: fewest in use first, then who was served longest ago, then by uuid: the order is total."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._in_use: dict[str, int] = {}
        self._queued: dict[str, int] = {}  # owner -> items queued
        self._shares: dict[str, Share] = {}  # of the owners with queued items
        self._order: list[Share] = []

    def share(self, owner: str) -> Share:
        """What the owner is ranked by, among those with queued items."""
        return self._shares[owner]

    def in_order(self, among: Collection[str]) -> Iterator[str]:
        """Those of the owners among these that have queued items, by turn."""
        if 8 * len(among) < len(self._order):
            return iter(sorted(among, key=self.share))
        return (owner for _, _, owner in self._order if owner in among)

    def queue(self, owner: str, items: int) -> None:
        """So many more items of this owner are queued, or fewer."""
        self._queued[owner] = self._queued.get(owner, 0) + items
        if self._queued[owner] <= 0 or owner not in self._shares:
            self._rank(owner)

    def use(self, item: Item, sign: int) -> None:
        """The item's owner has it in use (1), or no longer (-1): its cores, or one slot for a verification."""
        owner, amount = item.work.owner, 1 if item.work.kind == "verify" else item.work.cores
        self._in_use[owner] = self._in_use.get(owner, 0) + sign * amount
        self._rank(owner)

    def serve(self, owner: str) -> None:
        """It was this owner's turn."""
        self._turns.last += 1
        self._turns.of[owner] = self._turns.last
        self._rank(owner)

    def _rank(self, owner: str) -> None:
        if owner in self._shares:
            del self._order[bisect_left(self._order, self._shares.pop(owner))]
        if not self._in_use.get(owner, 1):
            del self._in_use[owner]
        if self._queued.get(owner, 0):
            self._shares[owner] = self._in_use.get(owner, 0), self._turns.of.get(owner, 0), owner
            insort(self._order, self._shares[owner])
        else:
            self._queued.pop(owner, None)


class Queue:
    """The queued work of one kind in one pool. An index: nothing in it outlives the process."""

    def __init__(self, turns: Turns) -> None:
        self.owners = Owners(turns)
        self.all = Line()
        self.needs: dict[Need, dict[tuple[int, str], Line]] = {}  # need -> priority and owner -> line
        self._lanes: dict[int, dict[str, Lane]] = {}  # priority -> owner -> lane
        self._ranks: list[int] = []  # priorities negated, in order: the highest comes first
        self._sizes: list[Need] = []  # the needs, in order
        self._lines = 0

    def add(self, item: Item) -> None:
        """Put an item where its priority, owner, need and age say."""
        need, owner = item.need, item.work.owner
        lane = self._lane(item.priority, owner)
        lane.add(item)
        if need not in self.needs:
            self.needs[need] = {}
            insort(self._sizes, need)
        if (item.priority, owner) not in self.needs[need]:
            self.needs[need][item.priority, owner] = lane.lines[need]
            self._lines += 1
        self.all.add(item)
        self.owners.queue(owner, 1)

    def discard(self, item: Item) -> None:
        """Take an item out; its priority must be the one it was added with."""
        owner = item.work.owner
        lane = self._lanes[item.priority][owner]
        lane.discard(item)
        if item.need not in lane.lines:
            self._close(item.need, item.priority, owner)
        self.all.discard(item)
        self.owners.queue(owner, -1)

    def first(self, room: Need) -> Item | None:
        """Whoever is served first of those for whom the room is enough."""
        cores, memory, scratch = room
        enough = bisect_left(self._sizes, Need(cores + 1, 0, 0))
        if enough**2 < self._lines:
            fit = [need for need in self._sizes[:enough] if need[1] <= memory and need[2] <= scratch]
            if sum(len(self.needs[need]) for need in fit) ** 2 < self._lines:
                firsts = [line.first() for need in fit for line in self.needs[need].values()]
                return min(firsts, key=self._rank, default=None)
        return next((item for lane in self._in_order() if (item := lane.first(room))), None)

    def first_that(self, wanted: Callable[[Item], bool]) -> Item | None:
        """Whoever is served first of those that are wanted; asked of the first of each line."""
        return next((item for lane in self._in_order() if (item := lane.first_that(wanted))), None)

    def of_needs(self, needs: list[Need]) -> list[Item]:
        """Every item with one of these needs, by age."""
        lines = [line for need in needs for line in self.needs[need].values()]
        return sorted((item for line in lines for item in line.items.values()), key=_age)

    def _in_order(self) -> Iterator[Lane]:
        for rank in self._ranks:
            lanes = self._lanes[-rank]
            for owner in self.owners.in_order(lanes):
                yield lanes[owner]

    def _rank(self, item: Item) -> tuple[int, Share, int]:
        return -item.priority, self.owners.share(item.work.owner), item.offset

    def _lane(self, priority: int, owner: str) -> Lane:
        if priority not in self._lanes:
            self._lanes[priority] = {}
            insort(self._ranks, -priority)
        return self._lanes[priority].setdefault(owner, Lane())

    def _close(self, need: Need, priority: int, owner: str) -> None:
        """The last of a line has left."""
        self._lines -= 1
        del self.needs[need][priority, owner]
        if not self.needs[need]:
            del self.needs[need]
            del self._sizes[bisect_left(self._sizes, need)]
        if not self._lanes[priority][owner].lines:
            del self._lanes[priority][owner]
        if not self._lanes[priority]:
            del self._lanes[priority]
            del self._ranks[bisect_left(self._ranks, -priority)]
