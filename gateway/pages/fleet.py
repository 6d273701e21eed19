"""Nodes as their executors say they are, read from the topic `work`: slots, and when each gave its last sign of life.

The topic is trimmed, so of a node that joined long ago only the signs of life may be left: its slots are then unknown.
"""

from collections.abc import Iterator

import msgspec

from schemas.codec import Undecodable, decode
from schemas.topics import Topic
from schemas.work import Alive, Draining, Joined, Paused
from streams.log import Log, Place

BATCH = 2_000
LONGEST = 40_000  # records read in one look: the rest in the next, so that a page need not wait for a long log


class Node(msgspec.Struct, kw_only=True):
    """A node. Times are append times, ms since 1970; slots, cores and MiB are null where its joining is forgotten."""

    name: str
    pool: str
    incarnation: str
    joined_at: int | None = None
    alive_at: int = 0
    slots: int | None = None
    verify_slots: int | None = None
    cores: int | None = None
    memory: int | None = None
    scratch: int | None = None
    held: int = 0
    is_paused: bool = False
    is_draining: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, by name; `behind`: records of the topic that were not read yet."""

    nodes: tuple[Node, ...]
    behind: int


class Fleet:
    """Follows the topic `work`, a part of it in each look. `newest`: begins with so many records at each partition's
    end; None: with all there are."""

    def __init__(self, newest: int | None = None) -> None:
        self._newest = newest
        self._nodes: dict[tuple[str, str], Node] = {}
        self._positions: dict[int, int] = {}

    def look(self, log: Log) -> Seen:
        """The nodes, as far as it has read. Raises LogError."""
        behind = sum(self._follow(log, number) for number in range(log.partitions(Topic.WORK)))
        found = sorted(self._nodes.values(), key=lambda node: (node.pool, node.name))
        return Seen(nodes=tuple(msgspec.structs.replace(node) for node in found), behind=behind)

    def _follow(self, log: Log, number: int) -> int:
        place = Place(Topic.WORK, number)
        position = max(self._positions.get(number, self._first(log, place)), log.start(place))
        read = 0
        while read < LONGEST and (batch := log.read(place, position, BATCH)):
            for stored in batch:
                self._hear(stored.time, stored.value)
            position, read = batch[-1].offset + 1, read + len(batch)
        self._positions[number] = position
        return max(log.end(place) - position, 0)

    def _first(self, log: Log, place: Place) -> int:
        return 0 if self._newest is None else log.end(place) - self._newest

    def _hear(self, time: int, value: bytes) -> None:
        envelope = decode(Topic.WORK, value)
        if not isinstance(envelope, Undecodable):  # garbage is the dispatch machine's to answer
            for node in self._said(time, envelope.body):
                node.alive_at = time

    def _said(self, time: int, body: object) -> Iterator[Node]:
        match body:
            case Joined():
                self._nodes[body.pool, body.node] = made = _joined(time, body)
                yield made
            case Alive():
                node = self._known(body)
                node.held, node.is_paused = len(body.tokens), body.pausing
                yield node
            case Paused():
                node = self._known(body)
                node.is_paused = True
                yield node
            case Draining():
                node = self._known(body)
                node.is_draining = True
                yield node

    def _known(self, body: Alive | Paused | Draining) -> Node:
        key = (body.pool, body.node)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(name=body.node, pool=body.pool, incarnation=body.incarnation)
        return node


def heard_at(seen: Seen | None, name: str) -> int | None:
    """When the node gave its last sign of life, ms since 1970; None where nothing is known of it."""
    return max((node.alive_at for node in (seen.nodes if seen else ()) if node.name == name), default=None)


def _joined(time: int, body: Joined) -> Node:
    return Node(
        name=body.node,
        pool=body.pool,
        incarnation=body.incarnation,
        joined_at=time,
        slots=body.slots,
        verify_slots=body.verify_slots,
        cores=body.cores,
        memory=body.memory,
        scratch=body.scratch,
        held=len(body.adopts),
    )
