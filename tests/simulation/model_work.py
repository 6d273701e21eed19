"""The model of `work`, and of what somebody beside the nodes sees: who holds what, and what really starts."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from schemas import assignments as a
from schemas import claims as c
from schemas import work as w
from schemas.settings import ConfigSet, Forwarded
from schemas.topics import Topic
from tests.simulation.sight import Broken

if TYPE_CHECKING:
    from tests.simulation.model import Part

MAX_STEP = 5_000
LEASE = 15_000
DEFAULTS = {"ack_ticks": 5, "tick": 1_000, "max_step": MAX_STEP}


class WorkModel:
    """Tokens on their way from `ready` to `freed`."""

    def __init__(self, fired: Counter[str]) -> None:
        self.fired = fired
        self.ready: dict[str, w.Ready] = {}
        self.assigned: dict[str, str] = {}
        self.adopts: dict[str, tuple[str, ...]] = {}
        self.announced: dict[tuple[str, str], None] = {}
        self.containers: dict[tuple[str, str], None] = {}
        self.over: dict[str, None] = {}
        self.nodes: dict[str, str] = {}  # by incarnation

    # --- As it lands ----------------------------------------------------------------------------------------------

    def landed(self, topic: Topic, body: Any) -> None:
        """A record of any topic that is no repeat."""
        handler = LANDED.get((topic, type(body)))
        if handler is not None:
            handler(self, body)

    def _ready(self, body: w.Ready) -> None:
        self._must(3, body.token not in self.ready, body, f"{body.token} became ready twice")
        self.ready[body.token] = body

    def _assigned(self, body: a.Assigned) -> None:
        token, before = body.work.token, self.assigned.get(body.work.token)
        self._must(11, self.ready.get(token) == body.work, body.work, f"{token} was assigned and was not ready")
        adopted = token in self.adopts.get(body.incarnation, ()) and before != body.incarnation
        same_node = before is not None and self.nodes.get(before) == body.node
        self._must(11, before is None or (adopted and same_node), body.work, f"{token} was assigned twice")
        self.fired["adopted"] += before is not None
        self.assigned[token] = body.incarnation
        self.fired[f"assigned: {body.work.kind}"] += 1

    def _stopped(self, body: a.Stopped) -> None:
        self.over[body.token] = None
        self.fired[f"stopped: {body.cause}" if body.token else "node turned away"] += 1

    def _started(self, body: c.Started) -> None:
        self.announced[body.token, body.incarnation] = None

    def _reported(self, body: c.Exited | c.Verified | c.OutputMissing) -> None:
        self.over[body.token] = None

    def _freed(self, body: w.Freed) -> None:
        ready = self.ready.get(body.token)
        self._must(10, body.token in self.over, ready, f"{body.token} is freed before its end is in the log")
        self.fired["freed"] += 1

    def _joined(self, body: w.Joined) -> None:
        self.nodes[body.incarnation] = body.node
        self.adopts[body.incarnation] = body.adopts

    def _draining(self, body: w.Draining) -> None:
        self.fired["node drains"] += 1

    def _paused(self, body: w.Paused) -> None:
        self.fired["node pauses"] += 1

    # --- Beside the nodes -----------------------------------------------------------------------------------------

    def container_starts(self, ready: w.Ready, incarnation: str) -> None:
        """Counted outside: the container of a grant is about to start."""
        key = (ready.token, incarnation)
        again = [other for token, other in self.containers if token == ready.token]
        self._must(11, not again, ready, f"{ready.token} was started by {again} before {incarnation}")
        self._must(11, self.ready.get(ready.token) == ready, ready, f"{ready.token} runs and was never ready")
        self._must(11, self.assigned.get(ready.token) == incarnation, ready, f"{ready.token} is not {incarnation}'s")
        self._must(11, key in self.announced, ready, f"{ready.token} runs and was not announced")
        self._must(11, key not in self.containers, ready, f"{ready.token} was started twice by {incarnation}")
        self.containers[key] = None
        self.fired["container started"] += 1

    def alive_is_sent(self, alive: w.Alive, running: list[str]) -> None:
        """A sign of life lists all that runs."""
        for token in running:
            told = token in alive.tokens
            self._must(11, told, self.ready.get(token), f"{alive.node} runs {token} and does not say so")

    def speaks(self, node: str, body: Any, after: int) -> None:
        """A node says something so many ms after it sent the last sign of life that was acknowledged."""
        self._must(11, after < LEASE, None, f"{node} says {body} although its lease may be over for {after - LEASE} ms")

    def _must(self, number: int, is_so: bool, ready: Any, what: str) -> None:
        if not is_so:
            raise Broken(number, what, ready.fingerprint if ready else "")

    # --- Looking back ---------------------------------------------------------------------------------------------

    def look_back(self, part: "Part") -> None:
        """After the end: nobody held for long what no sign of life listed."""
        clock = _Clock()
        unlisted: dict[str, int] = {}
        holder: dict[str, str] = {}
        for offset, record in enumerate(part.inputs):
            if not record.fresh:
                continue
            now = clock.read(record)
            step = part.steps.get(offset)
            for _, body in step.outputs.values() if step else ():
                if type(body) is c.Lost:
                    unlisted.pop(body.token, None)
                    holder.pop(body.token, None)
            _overdue(unlisted, self.ready, now, clock.patience())
            self._note(record.body, now, unlisted, holder)
            for _, body in step.outputs.values() if step else ():
                if type(body) is a.Assigned:
                    holder[body.work.token] = body.incarnation
                    unlisted[body.work.token] = now
                    if body.work.token in self.adopts.get(body.incarnation, ()):
                        del unlisted[body.work.token]  # its joining has listed it

    def _note(self, body: Any, now: int, unlisted: dict[str, int], holder: dict[str, str]) -> None:
        if type(body) is w.Alive:
            for token, incarnation in holder.items():
                if incarnation == body.incarnation and token in body.tokens:
                    unlisted.pop(token, None)
                elif incarnation == body.incarnation:
                    unlisted.setdefault(token, now)
        for token in _given_back(body, holder, self.nodes):
            unlisted.pop(token, None)
            holder.pop(token, None)


def _given_back(body: Any, holder: dict[str, str], nodes: dict[str, str]) -> list[str]:
    """Tokens that nobody holds any more because of this record."""
    match body:
        case w.Cancelled(token=token):
            return [token]
        case w.Freed(token=token, incarnation=incarnation) if holder.get(token) == incarnation:
            return [token]
        case w.Joined(node=node, incarnation=new, adopts=adopts):
            lost = [t for t, old in holder.items() if nodes.get(old) == node and old != new]
            return [token for token in lost if token not in adopts]
    return []


class _Clock:
    """Time as the design has it: it advances by what lies between two appends, never back, never by much."""

    def __init__(self) -> None:
        self.config = dict(DEFAULTS)
        self.now = 0
        self._last: int | None = None

    def read(self, record: Any) -> int:
        time = record.stored.time
        if self._last is not None:
            self.now += min(max(time - self._last, 0), self.config["max_step"])
        self._last = time
        body = record.body
        if type(body) is Forwarded and type(body.change) is ConfigSet:
            self.config[body.change.name] = body.change.value
        return self.now

    def patience(self) -> int:
        return self.config["ack_ticks"] * self.config["tick"]


def _overdue(unlisted: dict[str, int], ready: dict[str, w.Ready], now: int, patience: int) -> None:
    for token, since in unlisted.items():
        if now - since > patience + MAX_STEP:
            what = f"{token} is held for {now - since} ms and no sign of life lists it"
            raise Broken(10, what, ready[token].fingerprint)


LANDED: dict[tuple[Topic, type], Any] = {
    (Topic.WORK, w.Ready): WorkModel._ready,
    (Topic.WORK, w.Freed): WorkModel._freed,
    (Topic.WORK, w.Draining): WorkModel._draining,
    (Topic.WORK, w.Paused): WorkModel._paused,
    (Topic.WORK, w.Joined): WorkModel._joined,
    (Topic.ASSIGNMENTS, a.Assigned): WorkModel._assigned,
    (Topic.ASSIGNMENTS, a.Stopped): WorkModel._stopped,
    (Topic.CLAIMS, c.Started): WorkModel._started,
    (Topic.CLAIMS, c.Exited): WorkModel._reported,
    (Topic.CLAIMS, c.Verified): WorkModel._reported,
    (Topic.CLAIMS, c.OutputMissing): WorkModel._reported,
}
