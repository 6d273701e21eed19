"""Nodes: the shipped rules of executor, signs of life and verifier; simulated containers; a bad way to the log."""

from collections.abc import Callable
from typing import Any, NamedTuple

from consumers.executor import actions as do
from consumers.executor.core import ExecutorCore
from consumers.executor.lease import Timing
from consumers.executor.life import Life
from consumers.verifier import Judged, Look, VerifierCore
from schemas.claims import Exited
from schemas.codec import decode
from schemas.fields import Record
from schemas.topics import Topic
from schemas.work import Alive, Joined, Ready
from streams.log import Append, Place
from tests.simulation.containers import Containers
from tests.simulation.world import World, to_append

ASSIGNMENTS = Place(Topic.ASSIGNMENTS, 0)
TIMING = Timing.of_lease(15_000)


class Watch(NamedTuple):
    """What somebody who stands beside the nodes counts; each may raise."""

    container_starts: Callable[[Ready, str], None]
    alive_is_sent: Callable[[Alive, list[str]], None]
    speaks: Callable[[str, Record, int], None]


class Node:
    """One node: an executor after the other. `faults`: how often an append goes wrong."""

    def __init__(self, world: World, name: str, containers: Containers, watch: Watch, *, cores: int) -> None:
        self.world, self.name, self.containers, self.watch = world, name, containers, watch
        self.cores = cores
        self.faults = 0.0
        self.frozen = False
        self.held_up = False
        self.deaf = False
        self.mute = False
        self.survival = 0.0  # how often containers outlive a killed executor
        self.core: ExecutorCore | None = None
        self.life: Life | None = None
        self.left: dict[str, tuple[Ready, Any]] = {}  # what a killed executor left, and the report of what has ended
        self.adopted: dict[str, None] = {}
        self.running: dict[str, Ready] = {}
        self._late: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._incarnations = 0
        self._planned = False
        self._timer = 0
        world.listen(ASSIGNMENTS, self._wake)
        world.after(world.random.randrange(50), self.join)

    # --- An incarnation's life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Start the executor: a new incarnation, which reads `assignments` from where it ends now."""
        if self.core is not None:
            return
        self._incarnations += 1
        random = self.world.random
        joined = Joined(
            pool="default",
            node=self.name,
            incarnation=f"{self.name}-{self._incarnations}",
            slots=random.randrange(1, 4),
            verify_slots=1,
            cores=self.cores,
            memory=4096,
            scratch=8192,
            adopts=tuple(self.left),
        )
        self.life = None
        self.core = core = ExecutorCore(
            joined,
            TIMING,
            lambda: self.life.deadline if self.life else 0,
            lambda ready: self.containers.runner(),
            adopted=[ready for ready, _ in self.left.values()],
        )
        self.verifier = VerifierCore()
        self.running = {}
        self.adopted = {}
        self._outbox: list[tuple[int, Append, Record]] = []
        self._renewed = self.world.now  # when the last sign of life that was acknowledged was sent
        self._position = self.world.log.end(ASSIGNMENTS)
        self._do(core, core.join(self.world.now))
        self._wake()

    def kill(self) -> None:
        """kill -9 of the executor; its containers may outlive it. Another incarnation joins after a while."""
        if self.core is None:
            return
        self.world.strike("node lost")
        self.world.tell(f"{self.name} is killed with {len(self.running)} containers")
        survives = self.life is not None and self.world.chance(self.survival)
        executing = {token: ready for token, ready in self.running.items() if ready.kind == "execute"}
        self.left = {token: (ready, None) for token, ready in executing.items()} if survives else {}
        if self.life and self.left:
            self.world.strike("executor lost")
            self.world.after(max(self.life.deadline - self.world.now, 0), self._kill_left, self.life)
        self.core = None
        self.world.after(self.world.random.choice((50, 2_000, 20_000)), self.join)

    def _kill_left(self, life: Life) -> None:
        """The deadline has passed and nobody has gone on with it."""
        if self.life is life:
            self.left = {}

    def freeze(self, milliseconds: int) -> None:
        """SIGSTOP of the executor; its containers run on."""
        self.world.strike("node frozen")
        self.world.tell(f"{self.name} is frozen for {milliseconds} ms")
        self.frozen = True
        self.world.after(milliseconds, self._thaw)
        if self.world.chance(0.3):
            self.deafen(milliseconds + 3_000)

    def _thaw(self) -> None:
        self.frozen = self.held_up = False
        late, self._late = self._late, []
        for action, arguments in late:
            action(*arguments)
        self._wake()

    def hold_up(self, milliseconds: int) -> None:
        """A step of the executor keeps its interpreter to itself; the process beside it goes on."""
        self.world.strike("node held up")
        self.world.tell(f"{self.name} is held up for {milliseconds} ms")
        self.frozen = self.held_up = True
        self.world.after(milliseconds, self._thaw)

    def deafen(self, milliseconds: int) -> None:
        """It can't read `assignments` for a while, and goes on giving signs of life."""
        self.world.strike("node deaf")
        self.world.tell(f"{self.name} reads nothing for {milliseconds} ms")
        self.deaf = True
        self.world.after(milliseconds, self._hear)

    def _hear(self) -> None:
        self.deaf = False
        self._wake()

    def cut_off(self, milliseconds: int) -> None:
        """It reaches the log in neither direction; it runs on."""
        self.deafen(milliseconds)
        self.mute = True
        self.world.after(milliseconds, setattr, self, "mute", False)

    def drain(self) -> None:
        """Take no new work; when it is empty it goes, and comes back later."""
        if self.core is not None and not self.frozen:
            self.world.strike("node drained")
            self.world.tell(f"{self.name} drains")
            self._do(self.core, self.core.drain(self.world.now))
            self._wake()

    # --- Its turns ------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.core is not None and not self._planned:
            self._planned = True
            self.world.after(self.world.random.choice((0, 1, 3)), self._turn)

    def _turn(self) -> None:
        """Read assignments, send what waits, let time pass."""
        self._planned = False
        core = self.core
        if core is None or self.frozen:
            return
        now = self.world.now
        due = core.due()
        if due is not None and due <= now:
            self._do(core, core.tick(now))
        if not self.deaf:
            self._read(core)
        self._send(core)
        looks = self.verifier.due()
        if looks is not None and looks <= now:
            for look in self.verifier.tick(now):
                self._look(core, look)
        if self.life is not None:
            self.life.hear(core.tokens(), core.pauses(now), now)
        self._set_timer(core)

    def _set_timer(self, core: ExecutorCore) -> None:
        beat = self.world.now + TIMING.interval
        times = [time for time in (core.due(), self.verifier.due(), beat) if time is not None]
        if self._outbox:
            times.append(self.world.now + 20)
        if times and self.core is core:
            self._timer += 1
            self.world.after(max(1, min(times) - self.world.now), self._ring, self._timer)

    def _ring(self, timer: int) -> None:
        if timer == self._timer:
            self._wake()

    def _read(self, core: ExecutorCore) -> None:
        records = self.world.log.read(ASSIGNMENTS, self._position, 1_000)
        for record in records:
            self._position = record.offset + 1
            envelope = decode(Topic.ASSIGNMENTS, record.value)
            self._do(core, core.seen(envelope.body, envelope.cause, self.world.now))

    def _send(self, core: ExecutorCore) -> None:
        """Append in order; what is refused stays first in line; a lost acknowledgement repeats the record."""
        while self._outbox and self.core is core:
            ref, append, body = self._outbox[0]
            if not isinstance(body, Joined):
                self.watch.speaks(self.name, body, self.world.now - self._renewed)
            if not self.append(append):
                return
            del self._outbox[0]
            self._do(core, core.acked(ref, self.world.now))

    def append(self, append: Append) -> bool:
        """Append; False if no acknowledgement came, whether the record landed, will land late, or never."""
        world = self.world
        if self.mute:
            world.strike("node cut off")
            return False
        if not world.chance(self.faults):
            world.log.append([append])
            return True
        kind = world.random.randrange(3)
        world.strike(("executor's append refused", "executor's ack lost", "executor's append delayed")[kind])
        if kind == 1:
            world.log.append([append])
        elif kind == 2:
            world.after(world.random.choice((5, 500, 20_000)), world.log.append, [append])
        return False

    # --- What its core asks for -----------------------------------------------------------------------------------

    def _do(self, core: ExecutorCore, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Append(ref, topic, body):
                    self._outbox.append((ref, to_append(topic, body), body))
                    self._wake()
                case do.Live(sent):
                    self.life = Life(core.identity(), TIMING, sent)
                    self._pulse(self.life)
                case do.StartWork() | do.AdoptWork():
                    self._start(core, action.ready, action.token in self.left)
                case do.StartVerify(_, ready):
                    self._look(core, self.verifier.begin(ready))
                case do.KillWork(token, _):
                    self.world.after(1, self._ended, core, token, None)
                case do.Stop(why, _):
                    self._stopped(why)

    def _start(self, core: ExecutorCore, ready: Ready, is_left: bool) -> None:
        self.world.show()
        if is_left:
            self._adopt(core, ready.token, ready)
            return
        self.watch.container_starts(ready, core.joined.incarnation)
        self.running[ready.token] = ready
        self.containers.run(self, core, ready)

    def _adopt(self, core: ExecutorCore, token: str, ready: Ready) -> None:
        """The container goes on; one that ended meanwhile tells how."""
        self.running[token] = ready
        self.adopted[token] = None
        _, report = self.left.pop(token)
        if report is not None:
            self.world.after(1, self._ended, core, token, report)

    def _pulse(self, life: Life) -> None:
        """The process beside the executor: gives its signs of life, as long as one is due."""
        now = self.world.now
        if self.life is not life or self.core is None or life.has_passed(now):
            self._wake()
            return
        if (sign := life.tick(now, able=not self.frozen or self.held_up)) is not None:
            self.watch.alive_is_sent(sign, list(self.running))
            if self.append(to_append(Topic.WORK, sign)):
                life.acked(now)
                self._renewed = now
            else:
                life.failed(now)
        self.world.after(max(life.due() - now, 1), self._pulse, life)

    def _stopped(self, why: str) -> None:
        self.world.tell(f"{self.name} stops: {why}")
        self.core = None
        self.world.after(10 if why == "lapsed" else 3_000, self.join)

    def finish(self, core: ExecutorCore, ready: Ready, **how: Any) -> None:
        """The container ended."""
        exited = Exited(**{"fingerprint": ready.fingerprint, "token": ready.token, "node": self.name} | how)
        self._ended(core, ready.token, exited)

    def carries(self, core: ExecutorCore, token: str) -> bool:
        """Whether what this core started runs here and is heard of."""
        goes_on = self.core is core or (self.core is not None and token in self.adopted)
        return goes_on and not self.frozen and token in self.running

    def _ended(self, core: ExecutorCore, token: str, report: Any) -> None:
        if self.core is not core and token in self.left and report is not None:
            self.left[token] = (self.left[token][0], report)
            return
        if self.core is not core and (self.core is None or token not in self.adopted):
            return
        core = self.core
        if self.frozen:
            self._late.append((self._ended, (core, token, report)))
            return
        if self.running.pop(token, None) is not None:
            self.verifier.drop(token)
            self._do(core, core.ended(token, report, self.world.now))
            self._wake()

    def _look(self, core: ExecutorCore, look: Look) -> None:
        self.running[look.token] = look.ready
        self.world.after(self.world.random.choice((1, 30, 300, 3_000)), self._looked, core, look)

    def _looked(self, core: ExecutorCore, look: Look) -> None:
        if self.core is not core:
            return
        if self.frozen:
            self._late.append((self._looked, (core, look)))
            return
        judged = self.verifier.looked(look.token, self.containers.look(look.ready), self.world.now)
        if isinstance(judged, Judged):
            self._ended(core, judged.token, judged.report)
        self._wake()
