"""The free room on the nodes of a pool: an index, made anew from who holds what.

Best fit: of the nodes with room, the one with the fewest free cores takes it, then the least free memory, then the
least scratch, then by name. That leaves the large holes whole for the work that needs them. Verifications go where most
of their slots are free: they read, and reading is faster spread out.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from coordinator.dispatch_state import Item, Need, Node, Pool


class Berth:
    """A node, the work it holds, and what is left."""

    __slots__ = ("cores", "held", "listed", "memory", "name", "node", "scratch", "slots", "verify_slots")

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self.node = node
        self.held: dict[str, Item] = {}  # token -> item
        self.slots, self.verify_slots = node.slots, node.verify_slots
        self.cores, self.memory, self.scratch = node.cores, node.memory, node.scratch
        self.listed: tuple[int, int, int, str] | None = None

    def fits(self, need: Need) -> bool:
        """Whether there is room for an execution now."""
        cores, memory, scratch = need
        return self.slots > 0 and cores <= self.cores and memory <= self.memory and scratch <= self.scratch

    @property
    def room(self) -> Need:
        """What is free."""
        return Need(self.cores, self.memory, self.scratch)

    def hold(self, item: Item) -> None:
        """The item takes its room."""
        self.held[item.work.token] = item
        self._change(item, -1)

    def let_go(self, item: Item) -> None:
        """The item gives its room back."""
        del self.held[item.work.token]
        self._change(item, 1)

    def by_age(self) -> list[Item]:
        """What it holds, oldest first."""
        return sorted(self.held.values(), key=lambda item: item.offset)

    def _change(self, item: Item, sign: int) -> None:
        if item.work.kind == "verify":
            self.verify_slots += sign
            return
        cores, memory, scratch = item.need
        self.slots += sign
        self.cores += sign * cores
        self.memory += sign * memory
        self.scratch += sign * scratch


class Room:
    """All berths of a pool, those with room in the order in which they are filled, and what is kept for whom."""

    def __init__(self, pool: Pool) -> None:
        self.berths = {name: Berth(name, node) for name, node in pool.nodes.items()}
        self.kept: dict[str, Item] = {}  # node -> the work it is kept free for
        self._open: list[tuple[int, int, int, str]] = []
        self._verifiers: dict[str, int] = {}
        for item in pool.work.values():
            if item.status == "reserving":
                self.kept[item.node] = item
            elif item.node:
                self.berths[item.node].hold(item)
        for berth in self.berths.values():
            self.relist(berth)

    def best(self, kind: str, need: Need) -> Berth | None:
        """The node that takes this work, if one has room for it."""
        if kind == "verify":
            name = min(self._verifiers, key=lambda name: (-self._verifiers[name], name), default="")
            return self.berths.get(name)
        for rank in range(bisect_left(self._open, need), len(self._open)):
            berth = self.berths[self._open[rank][3]]
            if berth.fits(need):
                return berth
        return None

    def could_hold(self, kind: str, need: Need) -> bool:
        """Whether some node, were it empty, had room; one that drains counts until it is gone."""
        return any(berth.node.could_hold(kind, need) for berth in self.berths.values())

    def add(self, name: str, node: Node, held: Iterable[Item]) -> None:
        """A node comes, with what it holds already."""
        berth = self.berths[name] = Berth(name, node)
        for item in held:
            berth.hold(item)
        self.relist(berth)

    def remove(self, berth: Berth) -> None:
        """A node goes; it is kept for nobody."""
        self._unlist(berth)
        del self.berths[berth.name]

    def relist(self, berth: Berth) -> None:
        """After any change of a berth, or of what it is kept for: it is found where it belongs now."""
        self._unlist(berth)
        if not berth.node.takes_work:
            return
        if berth.verify_slots > 0:
            self._verifiers[berth.name] = berth.verify_slots
        if berth.slots > 0 and berth.name not in self.kept:
            berth.listed = (berth.cores, berth.memory, berth.scratch, berth.name)
            insort(self._open, berth.listed)

    def _unlist(self, berth: Berth) -> None:
        self._verifiers.pop(berth.name, None)
        if berth.listed is not None:
            del self._open[bisect_left(self._open, berth.listed)]
            berth.listed = None
