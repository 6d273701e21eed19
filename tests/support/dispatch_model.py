"""Dispatch said again, naively: one pool, no indexes, everything looked through at every record.

It shares no code with the machine. It holds the machine to what must follow from each record, and to what must never
be: room given twice, work lost that nobody held, someone served before who comes first, something waiting that fits.
"""

from dataclasses import dataclass, field

from schemas.assignments import Assigned, Stopped
from schemas.claims import Lost, Unplaceable
from schemas.fields import Record
from schemas.reasons import Failure
from schemas.work import Alive, Cancelled, Draining, Freed, Joined, Paused, Ready, Reprioritised

LEASE, PATIENCE, UNPLACEABLE = 15_000, 5_000, 600_000
MAX_STEP = 5_000


@dataclass
class Node:
    offer: Joined
    sign: int
    draining: bool = False
    quiet: bool = False
    paused: bool = False


@dataclass
class Work:
    ready: Ready
    age: int
    priority: int
    node: str = ""
    cancelled: bool = False
    unlisted: int | None = None  # since when
    stranded: int | None = None

    @property
    def kind(self) -> str:
        return self.ready.kind


@dataclass
class Model:
    in_order: bool  # hold it to the order of service; not possible where nodes may be kept for someone
    now: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    work: dict[str, Work] = field(default_factory=dict)
    served: dict[tuple[str, str], int] = field(default_factory=dict)
    records: int = 0
    again: list[str] = field(default_factory=list)  # tokens that the next outputs give once more, in order

    def pass_time(self, milliseconds: int, outputs: list[Record]) -> None:
        """So much later a tick was appended."""
        self.now += min(max(milliseconds, 0), MAX_STEP)
        overdue = [name for name, node in self.nodes.items() if self.now - node.sign >= LEASE]
        direct = [record for name in overdue for record in self._leave(name)]
        for token, work in list(self.work.items()):
            if work.unlisted is not None and self.now - work.unlisted >= PATIENCE:
                direct += self._lose(token, work)
            if work.stranded is not None and self.now - work.stranded >= UNPLACEABLE:
                direct.append(self._lost(token, "", Failure.FITS_NO_NODE))
                del self.work[token]
        self._follow(direct, outputs)

    def say(self, body: Record, outputs: list[Record]) -> None:
        """The record was appended, at the same time as the one before."""
        self.records += 1
        direct = list(getattr(self, f"_{type(body).__name__.lower()}")(body))
        self._follow(direct, outputs)
        if isinstance(body, Ready) and self.in_order:
            self._check_best_fit(outputs)

    def free(self, name: str) -> dict[str, int]:
        """What is left on the node."""
        offer = self.nodes[name].offer
        left = {f: getattr(offer, f) for f in ("slots", "verify_slots", "cores", "memory")}
        for work in self.held(name):
            if work.kind == "verify":
                left["verify_slots"] -= 1
            else:
                left["slots"] -= 1
                left["cores"] -= work.ready.cores
                left["memory"] -= work.ready.memory
        return left

    def held(self, name: str) -> list[Work]:
        return [work for work in self.work.values() if work.node == name]

    def waiting(self) -> list[Work]:
        return [work for work in self.work.values() if not work.node]

    # what follows directly

    def _ready(self, body: Ready):
        self.work.setdefault(body.token, Work(body, self.records, body.priority))
        return ()

    def _reprioritised(self, body: Reprioritised):
        if body.token in self.work:
            self.work[body.token].priority = body.priority
        return ()

    def _cancelled(self, body: Cancelled):
        work = self.work.get(body.token)
        if work is not None and not work.node:
            del self.work[body.token]
        elif work is not None and not work.cancelled:
            work.cancelled = True
            yield self._stopped(work.node, body.token, "cancelled")

    def _joined(self, body: Joined):
        node = self.nodes.get(body.node)
        if body.incarnation in self.gone:
            return
        if node is not None and node.offer.incarnation != body.incarnation:
            yield from self._leave(body.node, body.adopts)
            node = None
        if node is None:
            self.nodes[body.node] = Node(body, self.now)
            yield from self._adopt(body)
        self._sign(body.node)

    def _adopt(self, body: Joined):
        held = {work.ready.token: work for work in self.held(body.node)}
        for token in sorted(set(body.adopts), key=body.adopts.index):
            if token not in held:
                yield self._stopped(body.node, token, "fenced")
                continue
            held[token].unlisted = None
            if held[token].cancelled:
                yield self._stopped(body.node, token, "cancelled")
            else:
                self.again.append(token)

    def _paused(self, body: Paused):
        if self._is_present(body):
            self.nodes[body.node].paused = True
        return ()

    def _alive(self, body: Alive):
        node = self.nodes.get(body.node)
        present = node is not None and node.offer.incarnation == body.incarnation
        held = {work.ready.token: work for work in self.held(body.node)} if present else {}
        for token in sorted(set(body.tokens), key=body.tokens.index):
            if token not in held:
                yield Stopped(node=body.node, incarnation=body.incarnation, token=token, cause="fenced")
        if node is None:
            yield Stopped(node=body.node, incarnation=body.incarnation, token="", cause="fenced")
        for token, work in held.items():
            if token in body.tokens:
                work.unlisted = None
            elif work.unlisted is None:
                work.unlisted = self.now
        if present:
            self._sign(body.node)
            node.paused = body.pausing

    def _draining(self, body: Draining):
        if self._is_present(body):
            self.nodes[body.node].draining = True
        return ()

    def _freed(self, body: Freed):
        if self._is_present(body):
            self._sign(body.node)
            if body.token in self.work and self.work[body.token].node == body.node:
                del self.work[body.token]
        return ()

    def _sign(self, name: str) -> None:
        self.nodes[name].sign, self.nodes[name].quiet = self.now, False

    def _is_present(self, body: Draining | Freed | Paused) -> bool:
        return body.node in self.nodes and self.nodes[body.node].offer.incarnation == body.incarnation

    def _leave(self, name: str, spare: tuple[str, ...] = ()) -> list[Record]:
        held = [work for work in self.held(name) if work.ready.token not in spare]
        self.gone.add(self.nodes.pop(name).offer.incarnation)
        for work in held:
            del self.work[work.ready.token]
        return [self._lost(work.ready.token, name) for work in held if not work.cancelled]

    def _lose(self, token: str, work: Work) -> list[Record]:
        node = self.nodes[work.node]
        node.quiet = node.quiet or self.now - node.sign >= PATIENCE
        del self.work[token]
        if work.cancelled:
            return []
        return [self._lost(token, work.node), self._stopped(work.node, token, "fenced")]

    @staticmethod
    def _lost(token: str, node: str, failure: Failure = Failure.NODE) -> Lost:
        return Lost(fingerprint=f"f:{token}", token=token, node=node, failure=failure)

    def _stopped(self, name: str, token: str, cause: str) -> Stopped:
        return Stopped(node=name, incarnation=self.nodes[name].offer.incarnation, token=token, cause=cause)

    # what follows from that

    def _follow(self, direct: list[Record], outputs: list[Record]) -> None:
        said = [output for output in outputs if not isinstance(output, Assigned | Unplaceable)]
        assert sorted(map(repr, said)) == sorted(map(repr, direct))
        self._check_stranded([output.token for output in outputs if isinstance(output, Unplaceable)])
        if not self.nodes and not self.work:
            self.served.clear()  # an empty pool is forgotten, and whose turn it was with it
        for output in outputs:
            if isinstance(output, Assigned):
                self._give_again(output) if self.again else self._assign(output)
        if self.in_order:
            self._check_nothing_fits()

    def _check_stranded(self, reported: list[str]) -> None:
        found = []
        for token, work in self.work.items():
            if work.node:
                continue
            if not self.nodes or any(self._could_hold(node.offer, work) for node in self.nodes.values()):
                work.stranded = None
            elif work.stranded is None:
                work.stranded = self.now
                found.append(token)
        assert sorted(reported) == sorted(found)

    @staticmethod
    def _could_hold(offer: Joined, work: Work) -> bool:
        if work.kind == "verify":
            return offer.verify_slots > 0
        return offer.slots > 0 and work.ready.cores <= offer.cores and work.ready.memory <= offer.memory

    def _fits(self, name: str, work: Work) -> bool:
        node, left = self.nodes[name], self.free(name)
        if node.draining or node.quiet or node.paused:
            return False
        if work.kind == "verify":
            return left["verify_slots"] > 0
        return left["slots"] > 0 and work.ready.cores <= left["cores"] and work.ready.memory <= left["memory"]

    def _give_again(self, output: Assigned) -> None:
        work = self.work[self.again.pop(0)]
        assert (output.work, output.node) == (work.ready, work.node)
        assert output.incarnation == self.nodes[work.node].offer.incarnation

    def _assign(self, output: Assigned) -> None:
        work = self.work[output.work.token]
        assert not work.node
        assert output.work == work.ready
        assert output.incarnation == self.nodes[output.node].offer.incarnation
        assert self._fits(output.node, work)
        if self.in_order:
            rivals = [w for w in self.waiting() if w.kind == work.kind and self._fits(output.node, w)]
            assert work is min(rivals, key=self._rank)
        work.node, work.unlisted = output.node, self.now
        self.served[work.kind, work.ready.owner] = max(self.served.values(), default=0) + 1
        uses = ("verify_slots",) if work.kind == "verify" else ("slots", "cores", "memory")
        left = self.free(output.node)  # what was adopted may be more than a new incarnation offers
        assert all(left[field] >= 0 for field in uses)

    def _rank(self, work: Work) -> tuple[int, int, int, str, int]:
        owner = work.ready.owner
        mine = [w for w in self.work.values() if w.node and w.kind == work.kind and w.ready.owner == owner]
        in_use = sum(1 if w.kind == "verify" else w.ready.cores for w in mine)
        return -work.priority, in_use, self.served.get((work.kind, owner), 0), owner, work.age

    def _check_nothing_fits(self) -> None:
        for work in self.waiting():
            assert not any(self._fits(name, work) for name in self.nodes), work

    def _check_best_fit(self, outputs: list[Record]) -> None:
        for output in outputs:
            if isinstance(output, Assigned) and output.work.kind == "execute":
                work = self.work[output.work.token]
                work.node = ""
                fitting = [name for name in self.nodes if self._fits(name, work)]
                lefts = {name: self.free(name) for name in fitting}
                assert output.node == min(fitting, key=lambda n: (lefts[n]["cores"], lefts[n]["memory"], n))
                work.node = output.node
