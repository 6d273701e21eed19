"""What nodes say, and what follows when they say nothing.

The log's order tells incarnations apart: the last to join is the node's present one, and what any other says changes
nothing. Incarnations that were replaced or have expired are remembered, so that the late copy of an old `joined` does
not bring one back.
"""

from collections.abc import Collection, Iterator
from typing import Literal

from coordinator.dispatch_board import Board, lost
from coordinator.dispatch_state import Item, Node, State
from coordinator.machine import Output
from schemas.assignments import Assigned, Stopped
from schemas.reasons import Failure
from schemas.topics import Topic
from schemas.work import Alive, Draining, Freed, Joined, Paused

MAX_GONE = 4096  # incarnations remembered; a copy of `joined` so late that it outlives this many is not expected
MAX_SLOTS = 4096  # of each kind on one node, so that one `alive` can list all that it holds


def joined(state: State, board: Board, body: Joined) -> Iterator[Output]:
    """A node is offered. What an earlier incarnation of it held and this one does not adopt is lost at once."""
    if body.incarnation in state.gone:
        return
    present = board.pool.nodes.get(body.node)
    if present is None or present.incarnation != body.incarnation:
        yield from _replace(state, board, body)
    _renew(state, board, body.node)


def _replace(state: State, board: Board, body: Joined) -> Iterator[Output]:
    """A new incarnation is given again what it adopts, or told to stop it where the work is no longer the node's."""
    adopts = dict.fromkeys(body.adopts)
    if body.node in board.pool.nodes:
        yield from dismiss(state, board, body.node, spare=adopts)
    board.join(body.node, _node_of(body), adopts)
    held = board.room.berths[body.node].held
    for token in adopts:
        item = held.get(token)
        if item is None:
            yield stopped(body.node, body.incarnation, token, "fenced")
        else:
            board.pool.unlisted.pop(token, None)  # a joining lists what is adopted, as a sign of life would
            yield _again(item, body.incarnation)


def _again(item: Item, incarnation: str) -> Output:
    if item.status == "stopping":
        return stopped(item.node, incarnation, item.work.token, "cancelled")
    return Output(Topic.ASSIGNMENTS, Assigned(node=item.node, incarnation=incarnation, work=item.work))


def alive(state: State, board: Board, body: Alive) -> Iterator[Output]:
    """The node's lease and the work it lists are renewed, and nothing else; it is told to stop what is not its own."""
    if not _is_present(board, body):
        yield from _turn_away(board, body)
        return
    _renew(state, board, body.node)
    board.pause(body.node, body.pausing)
    held = board.room.berths[body.node].held
    listed = dict.fromkeys(body.tokens)
    for token in listed:
        if token in held:
            board.pool.unlisted.pop(token, None)
        else:
            yield stopped(body.node, body.incarnation, token, "fenced")
    if len(listed) < len(held) or any(token not in listed for token in held):
        for item in board.room.berths[body.node].by_age():
            if item.work.token not in listed:
                board.pool.unlisted.setdefault(item.work.token, state.now)


def paused(_state: State, board: Board, body: Paused) -> Iterator[Output]:
    """The node gets nothing new for a while."""
    if _is_present(board, body):
        board.pause(body.node, True)
    yield from ()


def draining(state: State, board: Board, body: Draining) -> Iterator[Output]:
    """The node gets nothing new, until it joins as another incarnation."""
    if _is_present(board, body):
        board.drain(body.node)
    yield from ()


def freed(state: State, board: Board, body: Freed) -> Iterator[Output]:
    """The slot is free. Said again, or about work the node does not hold, it is a sign of life and no more."""
    if _is_present(board, body):
        _renew(state, board, body.node)
        item = board.room.berths[body.node].held.get(body.token)
        if item is not None:
            board.release(item)
    yield from ()


def expire(state: State, board: Board) -> Iterator[Output]:
    """What has waited too long by now. The oldest of each kind stands first, so a look at that one is enough."""
    pool, config = board.pool, state.config
    while pool.leases and _oldest(pool.leases) + config.lease <= state.now:
        yield from dismiss(state, board, next(iter(pool.leases)))
    while pool.unlisted and _oldest(pool.unlisted) + _patience(state) <= state.now:
        yield from _lose(state, board, next(iter(pool.unlisted)))
    while pool.stranded and _oldest(pool.stranded) + config.unplaceable <= state.now:
        item = pool.work[next(iter(pool.stranded))]
        board.withdraw(item)
        yield lost(item, Failure.FITS_NO_NODE)


def dismiss(state: State, board: Board, name: str, spare: Collection[str] = ()) -> Iterator[Output]:
    """The node's present incarnation is over, and what it held is lost but for the tokens to spare."""
    state.gone[board.pool.nodes[name].incarnation] = None
    if len(state.gone) > MAX_GONE:
        del state.gone[next(iter(state.gone))]
    yield from board.leave(name, spare)


def stopped(node: str, incarnation: str, token: str, cause: Literal["cancelled", "fenced"]) -> Output:
    """The executor is told not to go on."""
    return Output(Topic.ASSIGNMENTS, Stopped(node=node, incarnation=incarnation, token=token, cause=cause))


def _lose(state: State, board: Board, token: str) -> Iterator[Output]:
    """The node does not list it: it never got it, or it has ended and its `freed` does not come.

    A node that says nothing at all gets nothing more until it does: else one dead node would use up all the attempts
    of a task before its lease is over.
    """
    item = board.pool.work[token]
    if board.pool.leases[item.node] + _patience(state) <= state.now:
        board.doubt(item.node)
    board.release(item)
    if item.status == "assigned":
        yield lost(item, Failure.NODE)
        yield stopped(item.node, board.pool.nodes[item.node].incarnation, token, "fenced")


def _turn_away(board: Board, body: Alive) -> Iterator[Output]:
    """Nothing that another incarnation lists is its own any more. Unless the node has a newer one, it may join anew."""
    for token in dict.fromkeys(body.tokens):
        yield stopped(body.node, body.incarnation, token, "fenced")
    if body.node not in board.pool.nodes:
        yield stopped(body.node, body.incarnation, "", "fenced")


def _is_present(board: Board, body: Alive | Paused | Draining | Freed) -> bool:
    node = board.pool.nodes.get(body.node)
    return node is not None and node.incarnation == body.incarnation


def _renew(state: State, board: Board, name: str) -> None:
    board.pool.leases.pop(name, None)
    board.pool.leases[name] = state.now
    if board.pool.nodes[name].quiet:
        board.trust(name)


def _patience(state: State) -> int:
    """How long work may go unlisted, ms."""
    return state.config.ack_ticks * state.config.tick


def _oldest(waits: dict[str, int]) -> int:
    return next(iter(waits.values()))


def _node_of(body: Joined) -> Node:
    return Node(
        incarnation=body.incarnation,
        slots=min(body.slots, MAX_SLOTS),
        verify_slots=min(body.verify_slots, MAX_SLOTS),
        cores=body.cores,
        memory=body.memory,
        scratch=body.scratch,
    )
