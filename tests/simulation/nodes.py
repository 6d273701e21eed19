"""Nodes: the shipped executor and verifier rules, with virtual time, simulated containers and an unreliable way to the log."""

from collections.abc import Callable
from typing import Any

import msgspec

from consumers.executor import actions as do
from consumers.executor.core import ExecutorCore
from consumers.executor.lease import Timing
from consumers.verifier import Judged, Look, VerifierCore
from schemas.claims import ChildQueued, Exited, PurityLost, Reported
from schemas.codec import decode
from schemas.fields import Record
from schemas.reasons import Failure
from schemas.spec import TaskSpec
from schemas.topics import Topic
from schemas.work import Joined, Ready
from store.verification import Verdict, Verification
from streams.log import Place
from tests.simulation.world import World, to_append

LEASE = 15_000
RUNNERS = ("docker", "bubblewrap", "process")


class Node:
    """One node. `started` counts containers: (token, incarnation) to how often."""

    def __init__(self, world: World, name: str, behaviour: Any, *, faults: float) -> None:
        self.world, self.name, self.behaviour, self.faults = world, name, behaviour, faults
        self.started: dict[tuple[str, str], int] = {}
        self.frozen = False
        self.gone = False
        self._late: list[Callable[[], None]] = []
        self._incarnations = 0
        self.core: ExecutorCore | None = None
        world.after(world.random.randrange(50), self.join)

    def join(self) -> None:
        """Start the executor: a new incarnation, which reads `assignments` from where it ends now."""
        self._incarnations += 1
        random = self.world.random
        joined = Joined(
            pool="default",
            node=self.name,
            incarnation=f"{self.name}-{self._incarnations}",
            slots=random.randrange(1, 4),
            verify_slots=1,
            cores=4,
            memory=4096,
            scratch=8192,
        )
        self.core = ExecutorCore(joined, Timing.of_lease(LEASE), lambda ready: random.choice(RUNNERS))
        self.verifier = VerifierCore()
        self.running: dict[str, Ready] = {}
        self._outbox: list[tuple[int, Topic, Record, ExecutorCore]] = []
        self._position = self.world.log.end(Place(Topic.ASSIGNMENTS, 0))
        self._do(self.core.join(self.world.now))
        self.world.after(1, lambda core=self.core: self._turn(core))

    def kill(self) -> None:
        """kill -9 of the executor; its containers go with it. Another incarnation joins after a while, or none."""
        self.world.tell(f"{self.name} is killed")
        self.world.strike("lost node")
        self.core = None
        self.world.after(self.world.random.randrange(100, 40_000), self._rejoin)

    def freeze(self, milliseconds: int) -> None:
        """SIGSTOP of the executor; its containers run on."""
        self.world.tell(f"{self.name} is frozen for {milliseconds} ms")
        self.world.strike("frozen node")
        self.frozen = True
        self.world.after(milliseconds, self._thaw)

    def _thaw(self) -> None:
        self.frozen = False
        late, self._late = self._late, []
        for action in late:
            action()

    def _rejoin(self) -> None:
        if self.core is None and not self.gone:
            self.join()

    def _turn(self, core: ExecutorCore) -> None:
        """Read assignments, send what waits, let time pass."""
        if self.core is not core:
            return
        if not self.frozen:
            self._read(core)
            self._send(core)
            self._do(core.tick(self.world.now))
            for look in self.verifier.tick(self.world.now):
                self._look(core, look)
        self.world.after(self.world.random.choice((5, 20, 200)), lambda: self._turn(core))

    def _read(self, core: ExecutorCore) -> None:
        for record in self.world.log.read(Place(Topic.ASSIGNMENTS, 0), self._position, 20):
            self._position = record.offset + 1
            envelope = decode(Topic.ASSIGNMENTS, record.value)
            self._do(core.seen(envelope.body, envelope.cause, self.world.now))

    def _send(self, core: ExecutorCore) -> None:
        """Append in order; what is refused stays first in line; a lost acknowledgement repeats the record."""
        while self._outbox and self._outbox[0][3] is core:
            ref, topic, body, _ = self._outbox[0]
            if not self.append(topic, body):
                return
            self._outbox.pop(0)
            self._do(core.acked(ref, self.world.now))

    def append(self, topic: Topic, body: Record) -> bool:
        """Append; False if no acknowledgement came, whether or not the record landed."""
        random = self.world.random
        fault = random.random() < self.faults
        if fault and random.random() < 0.5:
            self.world.strike("executor's append refused")
            return False
        self.world.log.append([to_append(topic, body)])
        if fault:
            self.world.strike("executor's ack lost")
        return not fault

    def _do(self, actions: list[do.Action]) -> None:
        core = self.core
        if core is None:
            return
        for action in actions:
            match action:
                case do.Append(ref, topic, body):
                    self._outbox.append((ref, topic, body, core))
                case do.SignOfLife(ref, body):
                    landed = self.append(Topic.WORK, body)
                    self._do(core.acked(ref, self.world.now) if landed else core.failed(ref, self.world.now))
                case do.StartWork(token, ready):
                    self._start(core, token, ready)
                case do.StartVerify(_, ready):
                    self._look(core, self.verifier.begin(ready))
                case do.KillWork(token, _):
                    self.world.after(1, lambda token=token: self._ended(core, token, None))
                case do.Stop(why, _):
                    self._stopped(why)

    def _stopped(self, why: str) -> None:
        self.world.tell(f"{self.name} stops: {why}")
        self.core = None
        if why == "lapsed":
            self.world.after(10, self._rejoin)

    def _start(self, core: ExecutorCore, token: str, ready: Ready) -> None:
        key = token, core.joined.incarnation
        self.started[key] = self.started.get(key, 0) + 1
        self.running[token] = ready
        self.behaviour.run(self, core, ready)

    def finish(self, core: ExecutorCore, ready: Ready, **how: Any) -> None:
        """The container ended."""
        exited = Exited(**{"fingerprint": ready.fingerprint, "token": ready.token, "node": self.name} | how)
        self._ended(core, ready.token, exited)

    def _ended(self, core: ExecutorCore, token: str, report: Any) -> None:
        if self.core is not core:
            return
        if self.frozen:
            self._late.append(lambda: self._ended(core, token, report))
            return
        if self.running.pop(token, None) is not None or report is None:
            self.verifier.drop(token)
            if core.stopped is None and token in core.tokens():
                self._do(core.ended(token, report, self.world.now))

    def _look(self, core: ExecutorCore, look: Look) -> None:
        self.running[look.token] = look.ready
        self.world.after(self.world.random.randrange(1, 300), lambda: self._looked(core, look))

    def _looked(self, core: ExecutorCore, look: Look) -> None:
        if self.core is not core:
            return
        judged = self.verifier.looked(look.token, self.behaviour.verify(look.ready), self.world.now)
        if isinstance(judged, Judged):
            self._ended(core, judged.token, judged.report)


class Behaviour:
    """What simulated containers do, drawn from the world's random source; outputs follow from the fingerprint."""

    def __init__(self, world: World, *, failing: float, disagreeing: float, impure: float) -> None:
        self.world = world
        self.failing, self.disagreeing, self.impure = failing, disagreeing, impure
        self.missing: set[str] = set()
        self.unreachable = False
        self._outputs = 0

    def run(self, node: Node, core: ExecutorCore, ready: Ready) -> None:
        """Plan a container's whole life."""
        random = self.world.random
        spec = msgspec.json.decode(ready.spec, type=TaskSpec)
        duration = random.choice((1, 30, 400, 3_000))
        for rank, child in enumerate(self.children(spec)):
            queued = ChildQueued(fingerprint=ready.fingerprint, token=ready.token, child=f"child-{rank}", spec=child)
            for _ in range(random.choice((1, 1, 2))):
                self.world.after(duration // 2, lambda queued=queued: self._say(node, core, queued))
        if random.random() < self.impure:
            lost = PurityLost(fingerprint=ready.fingerprint, token=ready.token, access="GET /users")
            self.world.after(duration // 3, lambda: self._say(node, core, lost))
        if random.random() < 0.1:
            told = Reported(fingerprint=ready.fingerprint, token=ready.token, progress=500)
            self.world.after(duration // 2, lambda: self._say(node, core, told))
        self.world.after(duration, lambda: node.finish(core, ready, **self._outcome(ready)))

    def children(self, spec: TaskSpec) -> list[TaskSpec]:
        """A task's children are written in its parameters: a list of specifications."""
        return msgspec.json.decode(spec.parameters, type=dict[str, list[TaskSpec]]).get("children", [])

    def _say(self, node: Node, core: ExecutorCore, record: Record) -> None:
        if node.core is core and not node.frozen:
            node.append(Topic.CLAIMS, record)

    def _outcome(self, ready: Ready) -> dict[str, Any]:
        random = self.world.random
        if random.random() < self.failing:
            return random.choice(
                (
                    {"exit_code": 1},
                    {"exit_code": 1},
                    {"exit_code": 2, "failure": Failure.EXIT},
                    {"exit_code": 111},
                    {"exit_code": 137, "failure": Failure.OUT_OF_MEMORY},
                    {"exit_code": -1, "failure": Failure.STORE},
                    {"exit_code": 137, "failure": Failure.TIMEOUT},
                )
            )
        self._outputs += 1
        odd = random.random() < self.disagreeing
        output = f"odd-{self._outputs}+1" if odd else f"out-{ready.fingerprint[-12:]}+1"
        return {"exit_code": 0, "output": output}

    def verify(self, ready: Ready) -> Verification:
        """What a look at an entry's output finds."""
        if self.unreachable:
            return Verification(verdict=Verdict.UNREACHABLE, reason="simulated")
        if ready.output in self.missing:
            self.missing.discard(ready.output)
            return Verification(verdict=Verdict.MISSING, missing=(ready.output,))
        return Verification(verdict=Verdict.WHOLE)
