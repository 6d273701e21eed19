"""The dispatch machine: which node does which work, and which work is lost.

The only machine with a clock, and the clock is made of records. Each lets it advance by the time since the record
before it was appended, but never back and never by more than `max_step`. So a log whose clock jumps forward expires
nobody who has just given a sign of life, and one whose clock is set back loses that one step and goes on. When nobody
says anything, a caught-up runner appends ticks (`deadline_outstanding`); without a coordinator there are none, and
nothing expires.

A step is: time passes, what is overdue by then is lost and its room filled, the record counts, and the room it made is
filled. A `joined` counts before anything is filled: what it ends must not be given work first.

No work is remembered once it is over. The claims machine writes `ready`, `reprioritised` and `cancelled` of one token
in this order into one partition, and copies are dropped by their cause; what executors say about work that is over
finds nothing to change. And a token is granted once: what is lost comes back under another one.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import msgspec

from coordinator.config import apply
from coordinator.dispatch_board import Board
from coordinator.dispatch_nodes import alive, draining, expire, freed, joined, paused, stopped
from coordinator.dispatch_state import Item, Pool, State, need_of
from coordinator.machine import RULES_VERSION, Output, Seen, check_rules
from schemas.codec import Undecodable
from schemas.log import Genesis
from schemas.settings import ConfigSet, Forwarded
from schemas.topics import Topic
from schemas.work import Alive, Cancelled, Draining, Freed, Joined, Paused, Ready, Reprioritised, Tick


class Dispatch:
    """The machine of `work`. Writes to `assignments` and `claims`; nobody waits for an answer from it."""

    topic: ClassVar[Topic] = Topic.WORK

    def __init__(self, known_rules: int = RULES_VERSION) -> None:
        self._state = State()
        self._boards: dict[str, Board] = {}
        self._known_rules = known_rules

    def step(self, seen: Seen) -> Iterator[Output]:
        """What follows from the record. Raises NewerRules, and TypeError for what is no record of `work`."""
        self._advance(seen.time)
        self._state.offset = seen.offset
        for board in self._boards.values():
            yield from expire(self._state, board)
        if not isinstance(seen.body, Joined):
            yield from self._fill()
        yield from self._count(seen.body)
        yield from self._fill()
        self._drop_empty()

    def deadline_outstanding(self) -> bool:
        """Whether anything can become overdue: where there is a node, its lease can."""
        return any(pool.nodes for pool in self._state.pools.values())

    def tick(self) -> int:
        """Milliseconds of silence after which, with a deadline outstanding, a tick is due."""
        return self._state.config.tick

    def pools(self) -> dict[str, Pool]:
        """The pools by name, to be looked at."""
        return self._state.pools

    def snapshot(self) -> bytes:
        """The state as JSON bytes."""
        return msgspec.json.encode(self._state)

    @classmethod
    def restore(cls, snapshot: bytes, known_rules: int = RULES_VERSION) -> Self:
        """The machine that made the snapshot."""
        machine = cls(known_rules)
        machine._state = msgspec.json.decode(snapshot, type=State)
        machine._boards = {name: Board(machine._state, pool) for name, pool in machine._state.pools.items()}
        return machine

    def _advance(self, appended: int) -> None:
        state = self._state
        if state.appended >= 0:
            state.now += min(max(appended - state.appended, 0), state.config.max_step)
        state.appended = appended

    def _configure(self, forwarded: Forwarded) -> None:
        check_rules(forwarded, self._known_rules)
        if isinstance(forwarded.change, ConfigSet):
            apply(self._state.config, forwarded.change)

    def _board(self, name: str) -> Board:
        if name not in self._boards:
            self._state.pools[name] = Pool()
            self._boards[name] = Board(self._state, self._state.pools[name])
        return self._boards[name]

    def _drop_empty(self) -> None:
        for name in [name for name, pool in self._state.pools.items() if not pool.nodes and not pool.work]:
            del self._state.pools[name], self._boards[name]

    def _fill(self) -> Iterator[Output]:
        for board in self._boards.values():
            yield from board.settle()
            yield from board.fill()

    def _count(self, body: Any) -> Iterator[Output]:
        if type(body) in _RULES:
            yield from _RULES[type(body)](self._state, self._board(body.pool), body)
        elif isinstance(body, Forwarded):
            self._configure(body)
        elif not isinstance(body, Genesis | Tick | Undecodable):
            raise TypeError(f"no record of work: {type(body).__name__}")


def ready(state: State, board: Board, body: Ready) -> Iterator[Output]:
    """There is new work. Said again while it is known, it changes nothing."""
    if body.token not in board.pool.work:
        item = Item(work=body, need=need_of(body), offset=state.offset, ready_at=state.now, priority=body.priority)
        yield from board.place(item)


def reprioritised(_state: State, board: Board, body: Reprioritised) -> Iterator[Output]:
    """Queued work gets another place; its age stays."""
    item = board.pool.work.get(body.token)
    if item is not None:
        board.reprioritise(item, body.priority)
    yield from ()


def cancelled(_state: State, board: Board, body: Cancelled) -> Iterator[Output]:
    """Queued work is forgotten; a node that holds it is told, and keeps the slot until it says that it is free."""
    item = board.pool.work.get(body.token)
    if item is None or item.status == "stopping":
        return
    if item.status == "assigned":
        item.status = "stopping"
        yield stopped(item.node, board.pool.nodes[item.node].incarnation, body.token, "cancelled")
    else:
        board.withdraw(item)


_RULES: dict[type, Callable[[State, Board, Any], Iterator[Output]]] = {
    Ready: ready,
    Reprioritised: reprioritised,
    Cancelled: cancelled,
    Joined: joined,
    Alive: alive,
    Paused: paused,
    Draining: draining,
    Freed: freed,
}
