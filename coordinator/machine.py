"""What a machine is: a pure function over one partition of a log.

`step(record) -> outputs` may be lazy: the loop appends outputs while the machine still makes them, so a completion with
100,000 waiters needs no memory for 100,000 records. (A few outputs come as a list: it is faster.) State changes as they
are taken; who stops half-way has to throw the machine away and restore a checkpoint. A machine looks at no clock,
random source, environment or order of a set: the same prefix gives the same outputs and the same snapshot bytes in
every process, for ever.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, ClassVar, Protocol, Self

import msgspec

from schemas.facts import Answered
from schemas.fields import Record
from schemas.log import Genesis
from schemas.reasons import Outcome, Reason
from schemas.settings import Forwarded, RulesSet
from schemas.topics import Topic

RULES_VERSION = 1
_FACTS = Topic.FACTS


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One record as a machine sees it: where it stands, when it was appended (ms), its bytes, what they say."""

    log_id: str
    offset: int
    time: int
    value: bytes
    body: Any

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, 64 hex digits; worked out when asked for, because most steps never ask."""
        return sha256(self.value).hexdigest()


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to append. `partition` None: where its key belongs."""

    topic: Topic
    body: Record
    partition: int | None = None


class NewerRules(Exception):
    """The log asks for rules that this code does not know."""


class Machine(Protocol):
    """The rules of one topic, with the state that one partition's prefix has led to."""

    topic: ClassVar[Topic]

    def step(self, seen: Seen) -> Iterable[Output]:
        """What follows from the record at this place. Raises only for a bug, or NewerRules."""
        ...

    def snapshot(self) -> bytes:
        """The whole state as JSON bytes; equal states of equal prefixes give equal bytes."""
        ...

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """The machine that made the snapshot."""
        ...


def token_of(seen: Seen, grant: int) -> str:
    """The token of the step's `grant`-th grant (from 0): log id, offset, rank, and the record's digest.

    The digest keeps it unique even when a truncated log hands the same offset out again.
    """
    return f"{seen.log_id}.{seen.offset}.{grant}.{seen.digest[:16]}"


def answered(about: str, detail: str = "") -> Output:
    """The one answer to the command of this step: done."""
    return Output(_FACTS, Answered(about=about or "-", detail=detail))


def nothing(about: str, reason: Reason, detail: str = "") -> Output:
    """The answer that says: accepted, and nothing followed."""
    return Output(_FACTS, Answered(outcome=Outcome.NOTHING, reason=reason, about=about or "-", detail=detail))


def refused(about: str, reason: Reason, detail: str = "") -> Output:
    """The answer that says no, and why."""
    return Output(_FACTS, Answered(outcome=Outcome.REFUSED, reason=reason, about=about or "-", detail=detail))


def check_rules(body: Forwarded | RulesSet | Genesis, known: int) -> None:
    """Raise NewerRules if a settings record asks for rules beyond `known`."""
    change = body.change if isinstance(body, Forwarded) else body
    if isinstance(change, RulesSet) and change.version > known:
        asked = change.version
        raise NewerRules(f"the log asks for rules version {asked}, this code knows {known}: upgrade crunch-reuse")
