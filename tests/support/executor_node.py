"""One executor's core with a clock that is moved by hand, for scenarios."""

from collections.abc import Iterable, Sequence
from typing import Any

from consumers.executor import actions as do
from consumers.executor.core import ExecutorCore
from consumers.executor.lease import Timing
from schemas.assignments import Assigned, Stopped
from schemas.claims import Exited, Started
from schemas.log import Cause
from schemas.work import Joined, Ready

TIMING = Timing.of_lease(15_000)
NODE, ME = "node-1", "incarnation-1"


def ready(token: str, kind: Any = "execute") -> Ready:
    return Ready(pool="default", token=token, kind=kind, fingerprint=f"print-{token}", owner="someone")


def assigned(token: str, kind: Any = "execute", incarnation: str = ME) -> Assigned:
    return Assigned(node=NODE, incarnation=incarnation, work=ready(token, kind))


def stopped(token: str, cause: Any) -> Stopped:
    return Stopped(node=NODE, incarnation=ME, token=token, cause=cause)


def exited(token: str, **how: Any) -> Exited:
    return Exited(fingerprint=f"print-{token}", token=token, node=NODE, **{"exit_code": 0, **how})


class Node:
    """A core, a clock that is moved by hand, and what it asked for and was not done yet."""

    def __init__(self, slots: int = 2, verify_slots: int = 1, adopted: Sequence[Ready] = ()) -> None:
        joined = Joined(
            pool="default", node=NODE, incarnation=ME, slots=slots, verify_slots=verify_slots,
            cores=4, memory=4096, scratch=4096, adopts=tuple(work.token for work in adopted),
        )  # fmt: skip
        self.lives_until = 0
        self.core = ExecutorCore(
            joined, TIMING, lambda: self.lives_until, lambda work: "bubblewrap", "debian 12", adopted
        )
        self.now = 1_000
        self.todo: list[Any] = []
        self.begun = self._did(self.core.join(self.now))

    def joined(self) -> "Node":
        self.ack(Joined)
        return self

    def see(self, body: Any, cause: Cause | None = None) -> list[Any]:
        return self._did(self.core.seen(body, cause, self.now))

    def ack(self, kind: type) -> list[Any]:
        """The oldest append of this type is durable."""
        action = next(a for a in self.todo if isinstance(a.body, kind))
        self.todo.remove(action)
        return self._did(self.core.acked(action.ref, self.now))

    def end(self, token: str, report: Any = None) -> list[Any]:
        return self._did(self.core.ended(token, report, self.now))

    def after(self, milliseconds: int) -> list[Any]:
        self.now += milliseconds
        return self._did(self.core.tick(self.now))

    def drain(self) -> list[Any]:
        return self._did(self.core.drain(self.now))

    def working(self, *tokens: str) -> "Node":
        """These run."""
        for token in tokens:
            self.see(assigned(token))
            self.ack(Started)
        return self

    def _did(self, actions: Iterable[Any]) -> list[Any]:
        new = list(actions)
        self.todo += [action for action in new if isinstance(action, do.Append)]
        return new


def bodies(actions: list[Any]) -> list[Any]:
    return [action.body for action in actions if isinstance(action, do.Append)]
