"""The executor's rules, without a clock, a thread or a log of its own.

Every method is told the monotonic time in milliseconds and returns what to do next; who drives it (the service with
threads, the simulator with virtual time) does that and comes back with the acknowledgements. One core is one
incarnation: when it says `Stop`, it is over, and whoever goes on does so with a new core under a new incarnation.

A piece of work moves through these phases, and each arrow is a record or an acknowledgement:

    waiting -> announcing -> working -> reporting -> freeing -> gone
               (Started)     (it runs)  (Exited)     (Freed)

    adopted -> working, or adopted -> judged -> reporting if it ends before the dispatcher has given it to us again

`waiting` is there because a node that was fenced may still be killing what the dispatcher has already given away: more
work than slots never runs. `cancelling` and `fencing` take the place of `working` once it has been told to end.

Five rules, each of which keeps something from being lost or run twice:

- The container starts only after `Started` is acknowledged, once for each token.
- What a former executor left running is named in `Joined`; nothing is said of it before the dispatcher has assigned it
  to this incarnation too.
- `Freed` follows the acknowledgement of the exit record: a slot is never given away before the exit is in the log.
- Past the deadline nothing of this incarnation is said any more, not even what has just finished: the dispatcher may
  have given the work away.
- What failed for the node's own sake is reported after the node has said that it pauses: so it is tried again
  elsewhere, if there is an elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from consumers.executor import actions as do
from consumers.executor.backoff import Backoff
from consumers.executor.lease import Timing
from schemas.assignments import Assigned, Stopped
from schemas.claims import Exited, Started
from schemas.fields import Record
from schemas.log import Cause
from schemas.reasons import Failure
from schemas.topics import Topic
from schemas.work import Alive, Draining, Freed, Joined, Paused, Ready
from streams.marks import Marks, is_new

Phase = Literal[
    "waiting", "announcing", "adopted", "judged", "working", "cancelling", "fencing", "reporting", "freeing"
]
_RUNNING = ("adopted", "working", "cancelling", "fencing")
_OCCUPYING = ("announcing", *_RUNNING)
_OF_THE_NODE = (Failure.NODE, Failure.STORE)


class _Held(msgspec.Struct):
    ready: Ready
    phase: Phase
    report: do.Report | None = None  # judged: what will be said


class ExecutorCore:
    """One incarnation of a node's executor. `joined` is what it offers; `adopted` the work that it names there.

    `lives_until`: until when its last acknowledged sign of life holds, 0 before the first. `runner_of` names the
    isolation that a piece of work will run under; `environment` is the node's, for people.
    """

    def __init__(
        self,
        joined: Joined,
        timing: Timing,
        lives_until: Callable[[], int],
        runner_of: Callable[[Ready], str],
        environment: str = "",
        adopted: Sequence[Ready] = (),
    ) -> None:
        self.joined = joined
        self.stopped: do.Stop | None = None
        self._timing = timing
        self._lives_until = lives_until
        self._runner_of = runner_of
        self._environment = environment
        self._held = {ready.token: _Held(ready, "adopted") for ready in adopted}
        self._sent = 0  # when the joining was
        self._until: int | None = None  # how far it reaches; None before it is acknowledged
        self._backoff = Backoff()
        self._trouble = False
        self._marks: Marks = {}
        self._unacked: dict[int, tuple[str, str]] = {}  # what each append was, of which token
        self._last_ref = 0
        self._leaving: int | None = None  # once it drains: when an empty node may go
        self._recognised = False

    # --- What the driver asks -------------------------------------------------------------------------------------

    def due(self) -> int | None:
        """When `tick` has something to do if nothing happens before; None: not by itself."""
        leaving = None if self._held else self._leaving
        times = [time for time in (self.deadline(), leaving, self._backoff.until) if time]
        return min(times, default=None) if not self.stopped else None

    def deadline(self) -> int | None:
        """Past it the work is not its own any more; None before it has joined."""
        return None if self._until is None else max(self._until, self._lives_until())

    def identity(self) -> Alive:
        """A sign of life that lists nothing."""
        return Alive(pool=self.joined.pool, node=self.joined.node, incarnation=self.joined.incarnation)

    def pauses(self, now: int) -> bool:
        """Whether its node is to get nothing new."""
        return self._trouble or self._backoff.pauses(now)

    def tokens(self) -> tuple[str, ...]:
        """What a sign of life lists: all that is held and whose slot is not given back yet."""
        return tuple(token for token, held in self._held.items() if held.phase != "freeing")

    def phases(self) -> Counter[str]:
        """How much work is held, by phase; from any thread."""
        return Counter(held.phase for held in list(self._held.values()))

    # --- What the driver says -------------------------------------------------------------------------------------

    def join(self, now: int) -> list[do.Action]:
        """Offer the node. The acknowledgement counts as that of the first sign of life."""
        self._sent = now
        adopted = [do.AdoptWork(token, held.ready) for token, held in self._held.items()]
        return [self._append(Topic.WORK, self.joined, "joined", ""), *adopted]

    def seen(self, body: Record, cause: Cause | None, now: int) -> list[do.Action]:
        """A record of `assignments`. Doubles are known by their cause; other nodes and incarnations are ignored."""
        if self._is_over(now):
            return self._lapse()
        if not isinstance(body, Assigned | Stopped) or body.node != self.joined.node or not is_new(self._marks, cause):
            return []
        if body.incarnation != self.joined.incarnation:
            return self._other_incarnation(body)
        self._recognised = True
        return self._assigned(body.work, now) if isinstance(body, Assigned) else self._told_to_stop(body)

    def acked(self, ref: int, now: int) -> list[do.Action]:
        """An append is durable."""
        if self._is_over(now):
            return self._lapse()
        what, token = self._unacked.pop(ref, ("", ""))
        if what == "joined":
            return self._has_joined(now)
        if what == "draining":
            self._leaving = now + self._timing.linger
        return self._acked_for(token, what) if token in self._held else []

    def ended(self, token: str, report: do.Report | None, now: int) -> list[do.Action]:
        """Nothing of this work runs any more. `report` goes to `claims`; None where it was killed for good."""
        if self._is_over(now):
            return self._lapse()
        held = self._held[token]
        if held.phase in ("working", "adopted"):
            assert report is not None, f"{token} ended by itself without a report"
            is_ours, held.phase, held.report = held.phase == "working", "judged", report
            actions = self._report(held, now) if is_ours else []
        else:
            assert held.phase in ("cancelling", "fencing"), f"{token} ended while {held.phase}"
            actions = self._drop(held, held.phase == "fencing")
        return actions + self._fill(held.ready.kind)

    def retime(self, timing: Timing) -> None:
        """The dispatcher keeps to another lease from now on."""
        self._timing = timing
        if self._until is not None:
            self._until = min(self._until, timing.deadline(self._sent))

    def trouble(self, is_there: bool, now: int) -> list[do.Action]:
        """Whether something keeps the node from working now: then it takes nothing new, and finishes what it has."""
        if self._is_over(now):
            return self._lapse()
        begins, self._trouble = is_there and not self._trouble, is_there
        return [self._pause()] if begins else []

    def drain(self, now: int) -> list[do.Action]:
        """Take no new work and stop when what is held is done."""
        if self._is_over(now):
            return self._lapse()
        return [self._append(Topic.WORK, Draining(**self._identity()), "draining", "")]

    def tick(self, now: int) -> list[do.Action]:
        """Time has passed."""
        if self._is_over(now):
            return self._lapse()
        if self._leaving is not None and now >= self._leaving and not self._held:
            return self._stop("drained", "drained: all that the node held is done")
        return []

    # --- Decisions ------------------------------------------------------------------------------------------------

    def _has_joined(self, now: int) -> list[do.Action]:
        self._until = self._timing.deadline(self._sent)
        if self._is_over(now):  # the acknowledgement took so long that what it granted has passed already
            return self._lapse()
        return [do.Live(self._sent)]

    def _assigned(self, ready: Ready, now: int) -> list[do.Action]:
        held = self._held.get(ready.token)
        if held is None:
            self._held[ready.token] = _Held(ready, "waiting")
            return self._fill(ready.kind)
        if held.phase == "adopted":
            held.phase = "working"
        return self._report(held, now) if held.phase == "judged" else []

    def _report(self, held: _Held, now: int) -> list[do.Action]:
        """Say what came of it."""
        report, held.phase = held.report, "reporting"
        assert report is not None, f"{held.ready.token} is reported without a report"
        failure = report.failure if isinstance(report, Exited) else Failure.HANDED_OVER
        said = self._append(Topic.CLAIMS, report, "reported", held.ready.token)
        if failure in _OF_THE_NODE:
            self._backoff.failed(now)
            return [self._pause(), said]
        if failure is not Failure.HANDED_OVER:
            self._backoff.succeeded()
        return [said]

    def _pause(self) -> do.Append:
        return self._append(Topic.WORK, Paused(**self._identity()), "paused", "")

    def _fill(self, kind: str) -> list[do.Action]:
        """Begin what waits, in the order it came, while there are slots of this kind."""
        same = [held for held in self._held.values() if held.ready.kind == kind]
        slots = self.joined.slots if kind == "execute" else self.joined.verify_slots
        free = slots - sum(held.phase in _OCCUPYING for held in same)
        waiting = [held for held in same if held.phase == "waiting"]
        return [self._begin(held) for held in waiting[: max(free, 0)]]

    def _begin(self, held: _Held) -> do.Action:
        ready = held.ready
        if ready.kind == "verify":
            held.phase = "working"
            return do.StartVerify(ready.token, ready)
        held.phase = "announcing"
        started = Started(
            fingerprint=ready.fingerprint,
            token=ready.token,
            node=self.joined.node,
            incarnation=self.joined.incarnation,
            runner=self._runner_of(ready),
            environment=self._environment,
        )
        return self._append(Topic.CLAIMS, started, "started", ready.token)

    def _acked_for(self, token: str, what: str) -> list[do.Action]:
        held = self._held[token]
        if what == "started" and held.phase == "announcing":
            held.phase = "working"
            return [do.StartWork(token, held.ready)]
        if what == "reported":
            return [self._free(held)]
        if what == "freed":
            del self._held[token]
        return []

    def _told_to_stop(self, stopped: Stopped) -> list[do.Action]:
        if not stopped.token:
            return self._stop("lapsed", "the dispatcher heard nothing for too long and has given the node up")
        held = self._held.get(stopped.token)
        if held is None or held.phase in ("reporting", "freeing"):
            return []
        fenced = stopped.cause == "fenced"
        if held.phase in ("waiting", "announcing", "judged"):
            return self._drop(held, fenced) + self._fill(held.ready.kind)
        if held.phase == "fencing" or (held.phase == "cancelling" and not fenced):
            return []
        held.phase = "fencing" if fenced else "cancelling"
        return [do.KillWork(stopped.token, grace=not fenced)]

    def _drop(self, held: _Held, fenced: bool) -> list[do.Action]:
        """Let go of work of which nothing runs. Who was fenced says nothing."""
        if not fenced:
            return [self._free(held)]
        del self._held[held.ready.token]
        return []

    def _free(self, held: _Held) -> do.Append:
        held.phase = "freeing"
        return self._append(Topic.WORK, Freed(**self._identity(), token=held.ready.token), "freed", held.ready.token)

    def _other_incarnation(self, body: Assigned | Stopped) -> list[do.Action]:
        # Before our own first record, another incarnation's may be an older one's; a Stopped may be at any time.
        if not self._recognised or isinstance(body, Stopped):
            return []
        return self._stop("replaced", f"node {self.joined.node} was joined anew by {body.incarnation}")

    def _is_over(self, now: int) -> bool:
        deadline = self.deadline()
        return self.stopped is not None or (deadline is not None and now >= deadline)

    def _lapse(self) -> list[do.Action]:
        if self.stopped:
            return []
        return self._stop("lapsed", f"no sign of life was acknowledged within {self._timing.lease} ms")

    def _stop(self, why: do.End, reason: str) -> list[do.Action]:
        self.stopped = do.Stop(why, reason)
        running = [token for token, held in self._held.items() if held.phase in _RUNNING]
        return [*(do.KillWork(token, grace=False) for token in running), self.stopped]

    # --- Records --------------------------------------------------------------------------------------------------

    def _append(self, topic: Topic, body: Record, what: str, token: str) -> do.Append:
        self._last_ref += 1
        self._unacked[self._last_ref] = (what, token)
        return do.Append(self._last_ref, topic, body)

    def _identity(self) -> dict[str, str]:
        return {"pool": self.joined.pool, "node": self.joined.node, "incarnation": self.joined.incarnation}
