"""The independent model: it reads what lands in the topics, as any reader would, and knows what must never be.

It imports no rule. What a machine decided is put together from the log alone: all records that name one cause are one
step, the step is whole when its answer and everything before the answer is there, and it is judged in the order of
the commands. A reader drops repeats by one mark for each (partition, source), and so does the model; but first it
looks whether the repeat says what was said before, byte for byte, and whether what is dropped was ever read at all.
"""

from collections import Counter
from typing import Any, NamedTuple

from schemas.codec import Undecodable, decode
from schemas.facts import Answered
from schemas.log import Cause, Genesis
from schemas.reasons import Reason
from schemas.settings import Forwarded, PureAssumed, RulesSet
from schemas.topics import Topic
from streams.log import Place, Stored
from tests.simulation.model_claims import ClaimsModel
from tests.simulation.model_jobs import JobsModel
from tests.simulation.model_work import WorkModel
from tests.simulation.sight import Broken

ANSWERING = (Topic.SETTINGS, Topic.TASKS, Topic.CLAIMS)
BY_THE_LOOP = (Reason.UNDECODABLE, Reason.WRONG_KEY, Reason.WRONG_PARTITION)


class Input(NamedTuple):
    """One record of a partition. `rank`: how many landed anywhere before it; `fresh`: no repeat of an earlier one."""

    rank: int
    stored: Stored
    cause: Cause | None
    body: Any
    fresh: bool


class Step:
    """What was said because of one record. `last`: index of the answer."""

    __slots__ = ("last", "outputs")

    def __init__(self) -> None:
        self.outputs: dict[int, tuple[Topic, Any]] = {}
        self.last = -1


class Part:
    """One partition as the model has read it. `judged`: offset of the first record whose step is not yet judged."""

    __slots__ = ("inputs", "judged", "log_id", "marks", "place", "steps")

    def __init__(self, place: Place, first: Stored) -> None:
        genesis: Any = decode(place.topic, first.value)
        self.place = place
        self.log_id = genesis.body.log_id
        self.inputs: list[Input] = [Input(0, first, None, genesis.body, fresh=True)]
        self.marks: dict[str, tuple[int, int]] = {}
        self.steps: dict[int, Step] = {}
        self.judged = 1


class Model:
    """All that the topics say so far. `fired`: how often each rule decided something."""

    def __init__(self, firsts: dict[Place, Stored]) -> None:
        self.fired: Counter[str] = Counter()
        self.parts = {place: Part(place, first) for place, first in firsts.items()}
        self.by_log_id = {part.log_id: part for part in self.parts.values()}
        self.said: dict[Cause, tuple[Place, bytes]] = {}
        self.landed_in_all = 0
        self.work = WorkModel(self.fired)
        tokens: dict[str, str] = {}
        self.claims = {place: ClaimsModel(self.fired, tokens) for place in self.parts if place.topic is Topic.CLAIMS}
        fingerprints: dict[Any, Any] = {}
        self.jobs = {place: JobsModel(self.fired, fingerprints) for place in self.parts if place.topic is Topic.TASKS}

    # --- Reading --------------------------------------------------------------------------------------------------

    def landed(self, place: Place, stored: Stored) -> None:
        """A record has landed. Raises Broken."""
        part = self.parts[place]
        envelope = decode(place.topic, stored.value)
        cause = None if isinstance(envelope, Undecodable) else envelope.cause
        body = envelope if isinstance(envelope, Undecodable) else envelope.body
        fresh = cause is None or self._is_first(part, cause, stored.value)
        self.landed_in_all += 1
        part.inputs.append(Input(self.landed_in_all, stored, cause, body, fresh))
        if fresh:
            self.work.landed(place.topic, body)
            if cause is not None:
                self._belongs(cause, place.topic, body)
        if place.topic in ANSWERING:
            self._judge(part)

    def _is_first(self, part: Part, cause: Cause, value: bytes) -> bool:
        rank, said = (cause.offset, cause.index), self.said.get(cause)
        if said is not None and said != (part.place, value):
            raise Broken(9, f"two processes said different things because of {_name(cause)}: {said[1]!r}, {value!r}")
        if rank <= part.marks.get(cause.log_id, (-1, -1)):
            if said is None:
                raise Broken(10, f"a reader of {part.place} takes {_name(cause)} for old and has never read it: a gap")
            return False
        part.marks[cause.log_id] = rank
        self.said[cause] = (part.place, value)
        return True

    def _belongs(self, cause: Cause, topic: Topic, body: Any) -> None:
        source = self.by_log_id[cause.log_id]
        if not source.inputs[cause.offset].fresh:
            raise Broken(10, f"{source.place} decided on a repeat, offset {cause.offset}")
        if cause.offset < source.judged:
            raise Broken(9, f"{source.place} said more after its answer to offset {cause.offset}: {body}")
        step = source.steps.get(cause.offset)
        if step is None:
            step = source.steps[cause.offset] = Step()
        step.outputs[cause.index] = (topic, body)
        if type(body) is Answered:
            if step.last >= 0:
                raise Broken(10, f"{source.place} answered offset {cause.offset} twice")
            step.last = cause.index
        if source.place.topic in ANSWERING:
            self._judge(source)

    def _judge(self, part: Part) -> None:
        """Judge what has become whole, in the order of the commands."""
        while part.judged < len(part.inputs):
            record = part.inputs[part.judged]
            if record.fresh and type(record.body) is Forwarded:
                self._forwarded(part, record.body)
            elif record.fresh and type(record.body) is not Genesis:  # of which the first one counts
                step = part.steps.get(part.judged)
                if step is None or step.last < 0 or len(step.outputs) <= step.last:
                    return
                self._judge_step(part, record, step)
            part.judged += 1

    def _forwarded(self, part: Part, body: Forwarded) -> None:
        if part.place in self.claims:
            self.claims[part.place].forwarded(body)
        elif part.place in self.jobs and isinstance(body.change, PureAssumed):
            self.jobs[part.place].assumed.append(body.change)

    def _judge_step(self, part: Part, record: Input, step: Step) -> None:
        outputs = [step.outputs[index] for index in range(len(step.outputs))]
        if type(outputs[-1][1]) is not Answered:
            raise Broken(9, f"{part.place} said more after its answer to offset {part.judged}: {outputs[-1][1]}")
        answer = outputs.pop()[1]
        if answer.reason in BY_THE_LOOP:
            self.fired[f"refused: {answer.reason}"] += 1
            if outputs:
                raise Broken(10, f"{part.place} decided on what it refused, offset {part.judged}")
        elif part.place.topic is Topic.CLAIMS:
            self.claims[part.place].judge(record.body, part.judged, outputs, answer)
        elif part.place.topic is Topic.TASKS:
            self.jobs[part.place].judge(record.body, outputs, answer)
        else:
            self._judge_setting(record, outputs)

    def _judge_setting(self, record: Input, outputs: list[tuple[Topic, Any]]) -> None:
        forwarded = [topic for topic, body in outputs if type(body) is Forwarded]
        if forwarded:
            expected = [place.topic for place in self.parts if place.topic in (Topic.TASKS, Topic.CLAIMS, Topic.WORK)]
            if sorted(forwarded) != sorted(expected):
                raise Broken(10, f"a setting reached {forwarded}")
            self.fired["rules raised" if isinstance(record.body, RulesSet) else "setting forwarded"] += 1

    # --- At the end -----------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether nothing is under way: every job has ended, no execution lives, nobody waits."""
        return all(jobs.is_quiet() for jobs in self.jobs.values()) and all(
            claims.is_quiet() for claims in self.claims.values()
        )

    def unfinished(self) -> list[str]:
        """What is still under way, for people."""
        machines = [*self.jobs.values(), *self.claims.values()]
        return [line for machine in machines for line in machine.unfinished()]

    def stuck(self) -> str:
        """A fingerprint under which something is under way; else a job."""
        claims = [claim for part in self.claims.values() for claim in part.claims.values()]
        under_way = [c.fingerprint for c in claims if c.waiting or any(run.is_live for run in c.runs.values())]
        jobs = [root for part in self.jobs.values() for root, tree in part.trees.items() if tree.is_open]
        return next(iter(under_way + jobs), "")

    def knows(self, roots: dict[str, str]) -> bool:
        """Whether every one of these jobs was created."""
        return all(any(root in jobs.trees for jobs in self.jobs.values()) for root in roots)

    def finish(self, acknowledged: list[tuple[Place, int]]) -> None:
        """Everything has come to rest. Raises Broken for what is missing."""
        for part in self.parts.values():
            if part.place.topic in ANSWERING and part.judged < len(part.inputs):
                stuck = part.inputs[part.judged]
                raise Broken(10, f"{part.place} offset {part.judged} has no whole answer: {stuck.body}")
        for place, offset in acknowledged:
            if offset not in self.parts[place].steps:
                raise Broken(10, f"the acknowledged command at {place} {offset} was never answered")
        for place, part in self.parts.items():
            if place.topic is Topic.WORK:
                self.work.look_back(part)


def _name(cause: Cause) -> str:
    return f"{cause.log_id} {cause.offset}.{cause.index}"
