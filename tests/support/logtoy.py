"""A machine small enough to see through: it counts requests by fingerprint and tells the job, the facts and `work`."""

from collections.abc import Iterator
from typing import ClassVar, Self

import msgspec

from coordinator.machine import Output, Seen, answered, check_rules, token_of
from coordinator.rows import Rows, whole
from schemas.claims import Requested
from schemas.log import Genesis
from schemas.settings import Forwarded
from schemas.tasks import TaskStarted
from schemas.topics import Topic
from schemas.work import Ready


class State(msgspec.Struct):
    log_id: str = ""


class Counts(msgspec.Struct):
    counts: dict[str, int] = {}


class Toy:
    """Runs on `claims`. A request's priority says how many `TaskStarted` it has; then `Ready`; then the answer."""

    topic: ClassVar[Topic] = Topic.CLAIMS
    row: ClassVar[type] = int

    def __init__(self, known_rules: int = 1) -> None:
        self.known_rules = known_rules
        self.rows: Rows[int] = {}
        self.state = State()

    def step(self, seen: Seen) -> Iterator[Output]:
        body = seen.body
        if isinstance(body, Genesis):
            self.state.log_id = self.state.log_id or body.log_id
        elif isinstance(body, Forwarded):
            check_rules(body, self.known_rules)
        elif isinstance(body, Requested):
            yield from self.request(seen, body)

    def request(self, seen: Seen, body: Requested) -> Iterator[Output]:
        if body.priority < 0:
            raise RuntimeError("a bug that negative priorities trigger")
        self.rows[body.fingerprint] = (self.rows.get(body.fingerprint) or 0) + 1
        token = token_of(seen, 0)
        for rank in range(body.priority):
            yield Output(Topic.TASKS, TaskStarted(root=body.root, task=f"{body.task}.{rank}", token=token, node="n"))
        yield Output(Topic.WORK, Ready(pool=body.pool, token=token, fingerprint=body.fingerprint, owner=body.owner))
        yield answered(body.fingerprint)

    def head(self) -> bytes:
        return msgspec.json.encode(self.state)

    def snapshot(self) -> bytes:
        return whole("counts", self.rows, self.head())

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        toy = cls()
        toy.state = msgspec.json.decode(snapshot, type=State)
        toy.rows = msgspec.json.decode(snapshot, type=Counts).counts
        return toy
