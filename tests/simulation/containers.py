"""What simulated containers do: how long they run, what they say meanwhile, how they end; and what the store holds."""

from typing import TYPE_CHECKING, Any

import msgspec

from consumers.executor.core import ExecutorCore
from consumers.verifier import Found
from schemas.claims import ChildQueued, PurityLost, Reported
from schemas.fields import Record
from schemas.reasons import Failure
from schemas.spec import TaskSpec
from schemas.topics import Topic
from schemas.work import Ready
from store.verification import Verdict, Verification
from tests.simulation.world import World, to_append

if TYPE_CHECKING:
    from tests.simulation.nodes import Node

DURATIONS = (1, 20, 300, 1_500, 5_000)
FAILURES: tuple[dict[str, Any], ...] = (
    {"exit_code": 1},
    {"exit_code": 1},
    {"exit_code": 2, "failure": Failure.EXIT},
    {"exit_code": 111},
    {"exit_code": 111},
    {"exit_code": 137, "failure": Failure.OUT_OF_MEMORY},
    {"exit_code": -1, "failure": Failure.STORE},
    {"exit_code": -1, "failure": Failure.HANDED_OVER},
    {"exit_code": 137, "failure": Failure.TIMEOUT},
    {"exit_code": 0, "failure": Failure.OUTPUT},
)
_SPECS = msgspec.json.Decoder(TaskSpec)
_CHILDREN = msgspec.json.Decoder(dict[str, list[TaskSpec]])


class Containers:
    """Outputs follow from the fingerprint, but for those that disagree. All chances are per container."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failing = self.disagreeing = self.impure = self.talking = self.hanging = 0.0
        self.unheld = 0.0  # how many run with nothing that holds them to their inputs
        self.proving = 0.5
        self.missing: set[str] = set()
        self.unreachable = False
        self._outputs = 0

    def run(self, node: "Node", core: ExecutorCore, ready: Ready) -> None:
        """Plan a container's whole life."""
        world = self.world
        duration = world.random.choice(DURATIONS)
        who = {"fingerprint": ready.fingerprint, "token": ready.token}
        for rank, child in enumerate(children_of(ready)):
            queued = ChildQueued(**who, child=f"child-{rank}", spec=child)
            world.after(duration // 2, self._say, node, core, queued, 1 + world.chance(0.3))
        if world.chance(self.impure):
            world.after(duration // 3, self._say, node, core, PurityLost(**who, access="GET /users"))
        if world.chance(self.talking):
            world.after(duration // 2, self._say, node, core, self._word(who))
        if world.chance(self.hanging):
            world.after(30_000, self._hung, node, core, ready)
        else:
            world.after(duration, self._end, node, core, ready)

    def runner(self) -> str:
        """The isolation that the next one runs under."""
        return "process" if self.world.chance(self.unheld) else "bubblewrap"

    def _say(self, node: "Node", core: ExecutorCore, record: Record, times: int = 1) -> None:
        """The task speaks through its executor, and repeats what was not acknowledged, while it runs."""
        if not node.carries(core, record.token):
            return
        acknowledged = node.append(to_append(Topic.CLAIMS, record))
        if times > 1 or not acknowledged:
            self.world.after(3, self._say, node, core, record, times - acknowledged)

    def _word(self, who: dict[str, str]) -> Reported:
        drawn = self.world.random.randrange(4)
        if drawn == 0:
            return Reported(**who, success=self.world.chance(0.5))
        return Reported(**who, progress=500) if drawn < 3 else Reported(**who, output="named+1")

    def _hung(self, node: "Node", core: ExecutorCore, ready: Ready) -> None:
        self.world.strike("container hung")
        node.finish(core, ready, exit_code=137, failure=Failure.TIMEOUT)

    def _end(self, node: "Node", core: ExecutorCore, ready: Ready) -> None:
        world = self.world
        if world.chance(self.failing):
            world.strike("container failed")
            always_the_same = self.failing > 0.5
            node.finish(core, ready, **(FAILURES[0] if always_the_same else world.random.choice(FAILURES)))
            return
        output = f"out-{ready.fingerprint[-12:]}+1"
        if world.chance(self.disagreeing):
            world.strike("output disagreed")
            self._outputs += 1
            output = f"odd-{self._outputs}+1"
        node.finish(core, ready, exit_code=0, output=output, log="log+1", started_at=world.now, finished_at=world.now)

    def look(self, ready: Ready) -> Found:
        """What a look at an entry finds; whether who asks can read all inputs is found out at the edge, before it."""
        proved = bool(ready.prove) and self.world.chance(self.proving)
        return Found(None) if ready.prove and not proved else Found(self._output(ready), proved)

    def _output(self, ready: Ready) -> Verification:
        if self.unreachable:
            return Verification(verdict=Verdict.UNREACHABLE, reason="simulated")
        if ready.output in self.missing:
            self.missing.discard(ready.output)
            return Verification(verdict=Verdict.MISSING, missing=(ready.output,))
        return Verification(verdict=Verdict.WHOLE)


def children_of(ready: Ready) -> list[TaskSpec]:
    """A task's children are written in its parameters: a list of specifications."""
    return _CHILDREN.decode(_SPECS.decode(ready.spec).parameters).get("children", [])
