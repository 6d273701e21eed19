"""What the dispatch machine knows of its partition. All else it holds is an index, made anew from this.

Whatever waits for time to pass stands in a dict in the order in which its wait began, so that only the first of each
need be looked at, and a changed configuration counts at once. Times are of the machine's own clock: milliseconds that
begin at 0 and never go back.
"""

from typing import Literal, NamedTuple

import msgspec

from coordinator.config import Config
from schemas.work import Ready

Status = Literal["queued", "reserving", "stranded", "assigned", "stopping"]


class Need(NamedTuple):
    """What an execution takes of a node: cores, MiB of memory, MiB of scratch."""

    cores: int
    memory: int
    scratch: int


def need_of(work: Ready) -> Need:
    """What the work takes of a node; a verification takes its slot only."""
    return Need(0, 0, 0) if work.kind == "verify" else Need(work.cores, work.memory, work.scratch)


class Item(msgspec.Struct):
    """One piece of work, from `ready` until its slot is free again.

    queued: waits for room. reserving: a node is kept for it until there is room. stranded: no node of the pool can ever
    hold it. assigned: a node holds it. stopping: a node holds it, nobody wants it.
    """

    work: Ready
    need: Need
    offset: int
    ready_at: int
    priority: int
    status: Status = "queued"
    node: str = ""


class Node(msgspec.Struct):
    """A node as its executor offered it, under the incarnation that holds it now."""

    incarnation: str
    slots: int
    verify_slots: int
    cores: int
    memory: int
    scratch: int
    draining: bool = False  # gets nothing new, for ever
    quiet: bool = False  # gets nothing new until its next sign of life
    paused: bool = False  # gets nothing new until it says that it takes work again

    @property
    def takes_work(self) -> bool:
        """Whether it gets anything new."""
        return not (self.draining or self.quiet or self.paused)

    def could_hold(self, kind: str, need: Need) -> bool:
        """Whether the node, were it empty, had room for this."""
        if kind == "verify":
            return self.verify_slots > 0
        fits = need.cores <= self.cores and need.memory <= self.memory and need.scratch <= self.scratch
        return fits and self.slots > 0


class Turns(msgspec.Struct):
    """Who was served when: the later, the higher. One count for each kind of slots."""

    last: int = 0
    of: dict[str, int] = {}  # owner -> when last


class Pool(msgspec.Struct):
    """Nodes, and the work that goes to one of them."""

    nodes: dict[str, Node] = {}
    work: dict[str, Item] = {}  # token -> item
    leases: dict[str, int] = {}  # node -> time of its last sign of life
    unlisted: dict[str, int] = {}  # token held -> time since which no `alive` lists it
    stranded: dict[str, int] = {}  # token -> time since which no node can ever hold it
    executed: Turns = msgspec.field(default_factory=Turns)
    verified: Turns = msgspec.field(default_factory=Turns)


class State(msgspec.Struct):
    """Everything that a decision depends on."""

    config: Config = msgspec.field(default_factory=Config)
    now: int = 0
    offset: int = -1  # of the last record
    appended: int = -1  # append time of the last record, ms since 1970; -1 before the first
    pools: dict[str, Pool] = {}
    gone: dict[str, None] = {}  # incarnations replaced or expired, oldest first
