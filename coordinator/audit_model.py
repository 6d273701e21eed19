"""What the audit's checker of `claims` remembers: executions, holders, queues; from the topics, not from a machine."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from coordinator.visibility import View
from schemas.claims import Requested
from schemas.fields import EMPTY_OBJECT
from schemas.settings import Forwarded

LIVE = ("granted", "running")
Queue = dict[str, int]  # waiting tasks, each with a rank that grows with everyone who begins to wait
Problems = Iterator[tuple[int, str]]  # number of the invariant, what is wrong


class Held(msgspec.Struct):
    """An execution. `holders`: owners who have, or are to have, its output, with their first task that has.

    `late`: other outputs that attempts before it turned out to have. `against`: its output was lost while nobody had
    decided between it and those of these tokens.
    """

    want: Requested
    task: str
    holders: list[tuple[str, str]]
    status: str = "granted"
    impure: bool = False
    private: bool = False
    unable: bool = False
    named_output: str = ""
    output: str = ""
    late: list[str] = []
    against: list[str] = []
    children: int = 0

    @property
    def opened(self) -> bool:
        """Whether it is for whoever is proved to read its inputs, or was until it was lost."""
        return self.want.by_inputs and not (self.private or self.impure or self.children)


class Look(NamedTuple):
    """A look at an entry; `prove`: for whom it is also asked whether they may read the inputs, or empty."""

    entry: str
    prove: str


class Now(msgspec.Struct):
    """What one step has led to so far.

    `prefix`: what a token granted here begins with. `moved`: highest rank that left each queue. `ended`: tokens that
    came to an end. `inherited`: tokens that came to another owner, or that only their owner may see from here on.
    `born`: number of children created, by creator. `given`: the request that was last given a copy. `look`: the one
    that ended here; None also where what asked for it was trimmed.
    """

    command: Any
    prefix: str
    moved: dict[tuple[str, str], int] = {}
    ended: list[str] = []
    inherited: list[str] = []
    born: dict[str, int] = {}
    given: Requested | None = None
    look: Look | None = None


class Model(msgspec.Struct):
    """One partition. `queues`: who waits on a token, and for which of its two kinds; `waits`: the same, by task."""

    now: Now = msgspec.field(default_factory=lambda: Now(None, ""))
    view: View = msgspec.field(default_factory=View)
    settings: int = -1
    held: dict[str, Held] = {}
    tokens: dict[str, list[str]] = {}  # by fingerprint, in order of grant
    wants: dict[str, Requested] = {}  # by task
    queues: dict[tuple[str, str], Queue] = {}
    waits: dict[str, tuple[str, str]] = {}
    quarantined: dict[str, None] = {}
    settled: dict[str, list[str]] = {}
    looks: dict[str, Look] = {}  # by token
    ranks: int = 0

    def apply(self, record: Forwarded) -> None:
        """A setting counts from here on."""
        if record.position > self.settings:
            self.settings = record.position
            self.view.apply(record.change)

    def remember(self, want: Requested) -> None:
        """A request as it stands, without what nobody here reads."""
        self.wants[want.task] = msgspec.structs.replace(want, spec=EMPTY_OBJECT, bound=EMPTY_OBJECT)

    def sees(self, reader: str, execution: Held) -> bool:
        """Whether the reader may be shown things of any holder; a private execution's only its owner."""
        if execution.private:
            return reader == execution.holders[0][0]
        return any(owner == reader or self.view.can_read(reader, owner) for owner, _ in execution.holders)

    def visible(self, reader: str, fingerprint: str) -> list[Held]:
        """Live executions and entries that the reader may be given or wait on."""
        found = [self.held[token] for token in self.tokens.get(fingerprint, ())]
        return [e for e in found if not e.impure and e.status in (*LIVE, "done") and self.sees(reader, e)]

    def disagree(self, reader: str, fingerprint: str, *, proved: bool) -> bool:
        """Whether what the reader sees finished has different outputs, which nobody has settled.

        One that is lost still says what it said, to who sees it and one that it was in conflict with. `proved`: the
        reader sees what is opened to whoever can read all inputs.
        """
        known = {token: self.held[token] for token in self.tokens.get(fingerprint, ())}
        sees = {token: e for token, e in known.items() if self.sees(reader, e) or (proved and e.opened)}
        seen = {token: e for token, e in sees.items() if not e.impure}
        count = [e for e in seen.values() if e.status == "done" or any(token in seen for token in e.against)]
        return self._differ(fingerprint, count)

    def _differ(self, fingerprint: str, executions: list[Held]) -> bool:
        outputs = {output for execution in executions for output in (execution.output, *execution.late)}
        return len(outputs) > 1 and not outputs.issubset(self.settled.get(fingerprint, ()))

    def lose(self, fingerprint: str, token: str) -> None:
        """An entry is lost: what it is in conflict with now is remembered, all of it."""
        own, others = self.held[token], [other for other in self._counting(fingerprint) if other != token]
        own.against = [other for other in others if self._differ(fingerprint, [own, self.held[other]])]

    def forget(self, fingerprint: str, token: str) -> None:
        """This one's output counts no more, so what was lost beside it is held against all that is there."""
        self.held[token].against = []
        for other in self._counting(fingerprint):
            if token in self.held[other].against:
                self.lose(fingerprint, other)

    def settle(self, fingerprint: str) -> None:
        """Somebody has decided that all there are may stand."""
        executions = [self.held[token] for token in self._counting(fingerprint)]
        self.settled[fingerprint] = [output for e in executions for output in (e.output, *e.late)]
        for execution in executions:
            execution.against = []

    def _counting(self, fingerprint: str) -> list[str]:
        """Tokens of those whose output counts: the finished pure ones, and lost ones that are in conflict."""
        known = ((token, self.held[token]) for token in self.tokens.get(fingerprint, ()))
        return [token for token, e in known if e.against or (e.status == "done" and not e.impure)]

    def enqueue(self, task: str, token: str, kind: str) -> None:
        """The task waits from now on."""
        self.ranks += 1
        self.queues.setdefault((token, kind), {})[task] = self.ranks
        self.waits[task] = (token, kind)

    def dequeue(self, task: str) -> tuple[tuple[str, str], int] | None:
        """The task waits no longer; where it did, and its rank."""
        place = self.waits.pop(task, None)
        if place is None:
            return None
        queue = self.queues[place]
        rank = queue.pop(task)
        if not queue:
            del self.queues[place]
        return place, rank

    def requeue(self, old: str, new: str) -> None:
        """Who waited on the one attempt waits on the next, in the same order."""
        queue = self.queues.pop((old, "execution"), None)
        if queue:
            self.queues[new, "execution"] = queue
            self.waits |= dict.fromkeys(queue, (new, "execution"))


def could_wait(execution: Held, want: Requested) -> bool:
    """Whether a live execution is large enough for the request, and no less able to run than the request itself."""
    mine = execution.want
    sizes = [(mine.cores, want.cores), (mine.memory, want.memory), (mine.scratch, want.scratch)]
    if execution.status not in LIVE or mine.pool != want.pool or any(has < needs for has, needs in sizes):
        return False
    return not execution.unable or all(has == needs for has, needs in sizes)
