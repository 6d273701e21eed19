"""Given / when / then for machines: records go in as bodies, the helper supplies log id, offset, time and digest.

    world = Given(Dispatch()).having(joined, ready)       # what comes of these is checked for form and left aside
    world.when(freed).then(Assigned(...), ...)             # exactly these, in this order
    world.after(5_000).when(Tick()).then_nothing()         # append times are the scenario's to choose

Every output is held to the contract on the way: it survives the codec, and outside `work` each command is answered
once, by the last output of its step.
"""

from typing import Any, Generic, Self, TypeVar

from coordinator.machine import Machine, Output, Seen, token_of
from schemas.codec import Undecodable, decode, encode
from schemas.facts import Answered
from schemas.log import Genesis
from schemas.reasons import Outcome, Reason
from schemas.settings import Forwarded
from schemas.topics import Topic

M = TypeVar("M", bound=Machine)
START = 1_700_000_000_000  # append time of the first record, ms since 1970


class Given(Generic[M]):
    """A machine, and the one partition it reads. `machine` is its state; `seen` all records, Genesis included."""

    def __init__(self, machine: M, log_id: str = "log", partition: int = 0, partitions: int = 1) -> None:
        self.machine = machine
        self.log_id = log_id
        self.seen: list[Seen] = []
        self.outputs: list[Output] = []  # what the last `having` or `when` led to
        self._time = START
        genesis = Genesis(log_id=log_id, topic=machine.topic, partition=partition, partitions=partitions)
        self._run((genesis,))

    def after(self, milliseconds: int) -> Self:
        """The next records are appended so much later than the last ones (or earlier: a broker's clock may jump)."""
        self._time += milliseconds
        return self

    def having(self, *bodies: Any) -> Self:
        """These records came before; what they lead to is not this scenario's matter."""
        return self._run(bodies)

    def when(self, *bodies: Any) -> Self:
        """These records are appended, one after the other, at the present time."""
        return self._run(bodies)

    def restarted(self) -> Self:
        """The process ends and another goes on from a snapshot, which must be the same machine to the byte."""
        snapshot = self.machine.snapshot()
        self.machine = type(self.machine).restore(snapshot)
        assert self.machine.snapshot() == snapshot
        return self

    def then(self, *bodies: Any) -> Self:
        """Exactly these followed from the last `when`, in this order, answers included."""
        assert [output.body for output in self.outputs] == list(bodies)
        return self

    def then_nothing(self) -> Self:
        """Nothing followed from the last `when`."""
        return self.then()

    def then_in(self, topic: Topic, *bodies: Any) -> Self:
        """Exactly these followed in this topic, in this order; answers are left out of `facts`."""
        assert [o.body for o in self.outputs if o.topic is topic and type(o.body) is not Answered] == list(bodies)
        return self

    def answered(self, outcome: Outcome, reason: Reason = Reason.NONE) -> Self:
        """The last record of the last `when` was answered so."""
        answer = self.outputs[-1].body
        assert type(answer) is Answered
        assert (answer.outcome, answer.reason) == (outcome, reason), answer
        return self

    def bodies(self, kind: type) -> list[Any]:
        """The outputs of this type that the last `when` led to."""
        return [output.body for output in self.outputs if type(output.body) is kind]

    def token(self, grant: int = 0) -> str:
        """Token of the last record's `grant`-th grant."""
        return token_of(self.seen[-1], grant)

    def _run(self, bodies: tuple[Any, ...]) -> Self:
        self.outputs = []
        for body in bodies:
            seen = Seen(self.log_id, len(self.seen), self._time, bytes_of(body), body)
            self.seen.append(seen)
            step = list(self.machine.step(seen))
            check_form(seen, step, self.machine.topic)
            self.outputs += step
        return self


def bytes_of(body: Any) -> bytes:
    """The record's bytes; bytes that are no record are told apart by what is wrong with them."""
    return repr(body).encode() if isinstance(body, Undecodable) else encode(body)


def check_form(seen: Seen, outputs: list[Output], topic: Topic) -> None:
    """Every output is a record of its topic, and a command has one answer, at the end."""
    for output in outputs:
        envelope = decode(output.topic, encode(output.body))
        assert not isinstance(envelope, Undecodable), (output, envelope)
        assert envelope.body == output.body
    answers = [rank for rank, output in enumerate(outputs) if type(output.body) is Answered]
    waits = topic is not Topic.WORK and not isinstance(seen.body, Genesis | Forwarded)
    assert answers == ([len(outputs) - 1] if waits else []), (seen.body, outputs)
