"""One pool: which work goes where, and who is next.

A node is filled in the order of service. Whoever does not fit is passed over, but not for ever: a node on which work
that has waited longer than `starve` could ever run is kept free for it, from the moment when someone behind it would
have taken the room. It goes there, or to another node that has room sooner; meanwhile nothing else goes there, however
urgent.

After every step nothing that is queued fits anywhere. So a record concerns only the nodes that it made room on, and new
work for which others with the same need are queued already has no room either.
"""

from collections.abc import Collection, Iterable, Iterator

from coordinator.dispatch_queue import Queue
from coordinator.dispatch_room import Berth, Room
from coordinator.dispatch_state import Item, Need, Node, Pool, State
from coordinator.machine import Output
from schemas.assignments import Assigned
from schemas.claims import Lost, Unplaceable
from schemas.reasons import Failure
from schemas.topics import Topic


class Board:
    """A pool with its indexes. Every change of an item's status goes through here, so that they stay in step."""

    def __init__(self, state: State, pool: Pool) -> None:
        self._state = state
        self.pool = pool
        self.room = Room(pool)
        self._queues = {"execute": Queue(pool.executed), "verify": Queue(pool.verified)}
        self._roomier: dict[str, None] = {}  # nodes with more room than when they were last filled
        self._regrouped = False  # nodes have come or gone
        for item in pool.work.values():
            if item.status == "queued":
                self._queues[item.work.kind].add(item)
            elif item.status in ("assigned", "stopping"):
                self._queues[item.work.kind].owners.use(item, 1)

    def place(self, item: Item) -> Iterator[Output]:
        """New work is queued, or goes to a node at once, or no node can ever hold it."""
        kind, need, queue = item.work.kind, item.need, self._queues[item.work.kind]
        self.pool.work[item.work.token] = item
        crowded = need in queue.needs
        queue.add(item)
        if crowded or not self.pool.nodes:
            return
        if not self.room.could_hold(kind, need):
            yield self._strand(item)
        while item.status == "queued" and (berth := self.room.best(kind, need)):
            self._roomier[berth.name] = None
            yield from self.fill()

    def withdraw(self, item: Item) -> None:
        """Nobody wants this work any more, and no node holds it."""
        if item.status == "reserving":
            self._unkeep(item)
        if item.status == "stranded":
            del self.pool.stranded[item.work.token]
        else:
            self._queues[item.work.kind].discard(item)
        del self.pool.work[item.work.token]

    def release(self, item: Item) -> None:
        """The node holds this work no more."""
        berth = self.room.berths[item.node]
        self._forget(berth, item)
        self.room.relist(berth)
        self._roomier[berth.name] = None

    def reprioritise(self, item: Item, priority: int) -> None:
        """Queued work moves to its new place, and loses a node that is kept for it where it counts for less; for work
        that a node has, the number is only remembered."""
        if item.status == "reserving" and priority < item.priority:
            self._unkeep(item)
        queue = self._queues[item.work.kind]
        if item.status == "queued":
            queue.discard(item)
        item.priority = priority
        if item.status == "queued":
            queue.add(item)

    def join(self, name: str, node: Node, adopts: Iterable[str]) -> None:
        """A node comes; the pool has none of this name. It holds what `leave` has spared of these tokens."""
        self.pool.nodes[name] = node
        known = [self.pool.work[token] for token in adopts if token in self.pool.work]
        self.room.add(name, node, [item for item in known if item.node == name])
        self._roomier[name] = None
        self._regrouped = True

    def drain(self, name: str) -> None:
        """The node gets nothing new; work that it was kept for is queued again."""
        berth = self.room.berths[name]
        berth.node.draining = True
        if name in self.room.kept:
            self._unkeep(self.room.kept[name])
        self.room.relist(berth)

    def doubt(self, name: str) -> None:
        """The node gets nothing new until it is trusted again."""
        self.pool.nodes[name].quiet = True
        self.room.relist(self.room.berths[name])

    def pause(self, name: str, is_paused: bool) -> None:
        """The node gets nothing new, or takes work again."""
        node = self.pool.nodes[name]
        if node.paused != is_paused:
            node.paused = is_paused
            self.room.relist(self.room.berths[name])
            self._roomier[name] = None

    def trust(self, name: str) -> None:
        """A node that was doubted has spoken."""
        self.pool.nodes[name].quiet = False
        self.room.relist(self.room.berths[name])
        self._roomier[name] = None

    def leave(self, name: str, spare: Collection[str] = ()) -> Iterator[Output]:
        """A node is gone, and all that it held is lost; what is being stopped is only forgotten.

        What has a token of `spare` stays as it is: a node of this name joins at once.
        """
        berth = self.room.berths[name]
        if name in self.room.kept:
            self._unkeep(self.room.kept[name])
        for item in berth.by_age():
            if item.work.token in spare:
                continue
            if item.status == "assigned":
                yield lost(item, Failure.NODE)
            self._forget(berth, item)
        self.room.remove(berth)
        del self.pool.nodes[name], self.pool.leases[name]
        self._regrouped = True

    def settle(self) -> Iterator[Output]:
        """After nodes came or went: what can be held again is queued again, what can't be held any more is reported.

        Where there is no node at all nothing is stranded: that no node is up yet says nothing about the work.
        """
        if not self._regrouped:
            return
        self._regrouped = False
        for token in list(self.pool.stranded):
            item = self.pool.work[token]
            if not self.pool.nodes or self.room.could_hold(item.work.kind, item.need):
                del self.pool.stranded[token]
                item.status = "queued"
                self._queues[item.work.kind].add(item)
        for kind, queue in self._queues.items():
            hopeless = [need for need in queue.needs if self.pool.nodes and not self.room.could_hold(kind, need)]
            for item in queue.of_needs(hopeless):
                yield self._strand(item)

    def fill(self) -> Iterator[Output]:
        """Give work to the nodes that have more room than before."""
        while self._roomier:
            name = next(iter(self._roomier))
            del self._roomier[name]
            berth = self.room.berths.get(name)
            if berth is not None and berth.node.takes_work:
                yield from self._fill_verifications(berth)
                yield from self._fill_executions(berth)

    def _fill_verifications(self, berth: Berth) -> Iterator[Output]:
        queue = self._queues["verify"]
        while berth.verify_slots > 0 and queue.needs:
            item = queue.first(Need(0, 0, 0))
            assert item is not None
            yield self._assign(item, berth)

    def _fill_executions(self, berth: Berth) -> Iterator[Output]:
        while berth.slots > 0 and (item := self._next(berth)):
            if not berth.fits(item.need):
                self._keep(item, berth)
                return
            yield self._assign(item, berth)

    def _next(self, berth: Berth) -> Item | None:
        """Who gets room on this node: at once if it fits, else the node is to be kept for it."""
        kept = self.room.kept.get(berth.name)
        if kept is not None:
            return kept if berth.fits(kept.need) else None
        queued = self._first_queued(berth)
        fitting = [item for item in self.room.kept.values() if berth.fits(item.need)]
        elsewhere = min(fitting, key=lambda item: (-item.priority, item.offset), default=None)
        if queued is None or (elsewhere is not None and elsewhere.priority >= queued.priority):
            return elsewhere
        return queued

    def _first_queued(self, berth: Berth) -> Item | None:
        """Whoever is served first of those who fit, unless there is one before it who could and has waited too long."""
        queue = self._queues["execute"]
        first = queue.first(berth.room)
        starved_before = self._state.now - self._state.config.starve
        if first is None or queue.all.first().ready_at >= starved_before:
            return first
        could_hold = berth.node.could_hold
        return queue.first_that(
            lambda item: item is first or (item.ready_at < starved_before and could_hold("execute", item.need))
        )

    def _assign(self, item: Item, berth: Berth) -> Output:
        if item.status == "reserving":
            self._unkeep(item)
        queue = self._queues[item.work.kind]
        queue.discard(item)
        queue.owners.use(item, 1)
        queue.owners.serve(item.work.owner)
        item.status, item.node = "assigned", berth.name
        self.pool.unlisted[item.work.token] = self._state.now
        berth.hold(item)
        self.room.relist(berth)
        return Output(Topic.ASSIGNMENTS, Assigned(node=berth.name, incarnation=berth.node.incarnation, work=item.work))

    def _forget(self, berth: Berth, item: Item) -> None:
        berth.let_go(item)
        self._queues[item.work.kind].owners.use(item, -1)
        self.pool.unlisted.pop(item.work.token, None)
        del self.pool.work[item.work.token]

    def _keep(self, item: Item, berth: Berth) -> None:
        self._queues["execute"].discard(item)
        item.status, item.node = "reserving", berth.name
        self.room.kept[berth.name] = item
        self.room.relist(berth)

    def _unkeep(self, item: Item) -> None:
        berth = self.room.berths[item.node]
        del self.room.kept[berth.name]
        item.status, item.node = "queued", ""
        self._queues["execute"].add(item)
        self.room.relist(berth)
        self._roomier[berth.name] = None

    def _strand(self, item: Item) -> Output:
        self._queues[item.work.kind].discard(item)
        item.status = "stranded"
        self.pool.stranded[item.work.token] = self._state.now
        return Output(Topic.CLAIMS, Unplaceable(fingerprint=item.work.fingerprint, token=item.work.token))


def lost(item: Item, failure: Failure) -> Output:
    """The claims machine is told that this work will never say anything again."""
    work = item.work
    return Output(Topic.CLAIMS, Lost(fingerprint=work.fingerprint, token=work.token, node=item.node, failure=failure))
