"""Short words for what is said in `work`: one pool `p`, nodes named by a letter, work named by its token."""

from typing import Any

from coordinator.machine import Output
from schemas.assignments import Assigned, Stopped
from schemas.claims import Lost, Unplaceable
from schemas.reasons import Failure
from schemas.settings import ConfigSet, Forwarded
from schemas.work import Alive, Cancelled, Draining, Freed, Joined, Paused, Ready, Reprioritised


def joined(node: str = "n", incarnation: str = "", slots: int = 2, **offer: Any) -> Joined:
    """A node of 4 cores, 4000 MiB memory and scratch; its first incarnation is `<node>1`."""
    room = {"cores": 4, "memory": 4000, "scratch": 4000, **offer}
    return Joined(pool="p", node=node, incarnation=incarnation or f"{node}1", slots=slots, **room)


def alive(*tokens: str, node: str = "n", incarnation: str = "", pausing: bool = False) -> Alive:
    return Alive(pool="p", node=node, incarnation=incarnation or f"{node}1", tokens=tokens, pausing=pausing)


def paused(node: str = "n", incarnation: str = "") -> Paused:
    return Paused(pool="p", node=node, incarnation=incarnation or f"{node}1")


def draining(node: str = "n", incarnation: str = "") -> Draining:
    return Draining(pool="p", node=node, incarnation=incarnation or f"{node}1")


def freed(token: str, node: str = "n", incarnation: str = "") -> Freed:
    return Freed(pool="p", node=node, incarnation=incarnation or f"{node}1", token=token)


def ready(token: str, owner: str = "ada", **more: Any) -> Ready:
    return Ready(pool="p", token=token, fingerprint=f"f:{token}", owner=owner, **more)


def verify(token: str, owner: str = "ada", **more: Any) -> Ready:
    return ready(token, owner, kind="verify", entry="e", output="o", **more)


def reprioritised(token: str, priority: int) -> Reprioritised:
    return Reprioritised(pool="p", token=token, priority=priority)


def cancelled(token: str) -> Cancelled:
    return Cancelled(pool="p", token=token)


def configured(**numbers: int) -> list[Forwarded]:
    return [Forwarded(change=ConfigSet(name=name, value=value), position=1) for name, value in numbers.items()]


def assigned(work: Ready, node: str = "n", incarnation: str = "") -> Assigned:
    return Assigned(node=node, incarnation=incarnation or f"{node}1", work=work)


def stopped(token: str, cause: str = "fenced", node: str = "n", incarnation: str = "") -> Stopped:
    return Stopped(node=node, incarnation=incarnation or f"{node}1", token=token, cause=cause)


def lost(token: str, node: str = "n") -> Lost:
    return Lost(fingerprint=f"f:{token}", token=token, node=node)


def fits_nowhere(token: str) -> Lost:
    return Lost(fingerprint=f"f:{token}", token=token, failure=Failure.FITS_NO_NODE)


def unplaceable(token: str) -> Unplaceable:
    return Unplaceable(fingerprint=f"f:{token}", token=token)


def tokens(outputs: list[Output]) -> str:
    """What was assigned, in order, as one word."""
    return " ".join(o.body.work.token for o in outputs if isinstance(o.body, Assigned))
