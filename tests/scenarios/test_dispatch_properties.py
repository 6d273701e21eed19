"""The dispatch machine against a naive model, against itself after a restart, and against another hash seed."""

import os
import subprocess
import sys
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coordinator.dispatch import Dispatch
from schemas.assignments import Assigned, Stopped
from schemas.work import Alive, Ready, Tick
from tests.support.dispatch_model import MAX_STEP, PATIENCE, Model
from tests.support.given import Given
from tests.support.pool import alive, cancelled, configured, draining, freed, joined, paused, ready, reprioritised

NODES, OWNERS = ["m", "n", "o"], ["ada", "bob", "cyd"]
node = st.sampled_from(NODES)
number = st.integers(0, 60)


class AgainstTheModel(RuleBasedStateMachine):
    """Whatever is said, in whatever order, twice or late: the machine and the model agree on all that follows."""

    starve = 10**9
    in_order = True

    def __init__(self):
        super().__init__()
        self.world = Given(Dispatch()).having(*configured(starve=self.starve))
        self.model = Model(in_order=self.in_order)
        self.tokens: list[str] = []
        self.incarnations: dict[str, list[str]] = {name: [f"{name}0"] for name in NODES}

    def say(self, body):
        self.world.when(body)
        self.model.say(body, [output.body for output in self.world.outputs])

    def pass_time(self, milliseconds):
        self.world.after(milliseconds).when(Tick())
        self.model.pass_time(milliseconds, [output.body for output in self.world.outputs])

    def token(self, number):
        return self.tokens[-1 - number % len(self.tokens)] if self.tokens else "none"

    def incarnation(self, name, late=0):
        return self.incarnations[name][max(-1 - late, -len(self.incarnations[name]))]

    @rule(
        owner=st.sampled_from(OWNERS), kind=st.sampled_from(["execute"] * 4 + ["verify"]), priority=st.integers(0, 1),
        cores=st.integers(0, 5), memory=st.sampled_from([0, 1000, 3000, 5000]),
    )  # fmt: skip
    def becomes_ready(self, owner, kind, priority, cores, memory):
        self.tokens.append(f"t{len(self.tokens)}")
        self.say(ready(self.tokens[-1], owner, kind=kind, priority=priority, cores=cores, memory=memory))

    @rule(number=number, priority=st.integers(0, 2))
    def is_reprioritised(self, number, priority):
        self.say(reprioritised(self.token(number), priority))

    @rule(number=number)
    def is_cancelled(self, number):
        self.say(cancelled(self.token(number)))

    @rule(
        name=node, slots=st.integers(0, 3), verify_slots=st.integers(0, 2), cores=st.integers(1, 6),
        adopts=st.booleans(), more=st.lists(number, max_size=2),
    )  # fmt: skip
    def node_starts(self, name, slots, verify_slots, cores, adopts, more):
        self.incarnations[name].append(f"{name}{len(self.incarnations[name])}")
        held = [work.ready.token for work in self.model.held(name)] if adopts else []
        left = (*held[1:], *map(self.token, more))
        offer = {"slots": slots, "verify_slots": verify_slots, "cores": cores, "adopts": left}
        self.say(joined(name, self.incarnation(name), **offer))

    @rule(name=node, late=st.integers(0, 2))
    def joined_comes_again(self, name, late):
        self.say(joined(name, self.incarnation(name, late)))

    @rule(
        name=node, forgets=st.booleans(), late=st.sampled_from([0, 0, 0, 1]), more=st.lists(number, max_size=2),
        pausing=st.booleans(),
    )  # fmt: skip
    def node_lives(self, name, forgets, late, more, pausing=False):
        held = [work.ready.token for work in self.model.held(name)]
        listed = [*(held[1:] if forgets else held), *map(self.token, more)]
        self.say(alive(*listed, node=name, incarnation=self.incarnation(name, late), pausing=pausing))

    @rule(name=node, late=st.integers(0, 1))
    def node_pauses(self, name, late):
        self.say(paused(name, self.incarnation(name, late)))

    @rule(name=node, number=number, late=st.sampled_from([0, 0, 0, 1]))
    def slot_is_free(self, name, number, late):
        held = [work.ready.token for work in self.model.held(name)]
        token = held[number % len(held)] if held else self.token(number)
        self.say(freed(token, name, self.incarnation(name, late)))

    @rule(name=node, late=st.integers(0, 1))
    def node_drains(self, name, late):
        self.say(draining(name, self.incarnation(name, late)))

    @rule(milliseconds=st.sampled_from([1, 900, 4_999, 5_000, 3_600_000, -7_200_000]))
    def time_passes(self, milliseconds):
        self.pass_time(milliseconds)

    @rule(dead=st.sets(node))
    def some_fall_silent_for_good(self, dead):
        for _ in range(4):
            self.pass_time(PATIENCE - 1)
            for name in NODES:
                if name not in dead:
                    self.node_lives(name, forgets=False, late=0, more=[])

    @rule()
    def is_restarted(self):
        self.world.restarted()

    @invariant()
    def ticks_are_asked_for_while_there_are_nodes(self):
        assert self.world.machine.deadline_outstanding() == bool(self.model.nodes)

    def teardown(self):
        """Given room for everything, all that waits is served."""
        self.say(joined("z", "z1", slots=4, cores=9, memory=9_000))
        for _ in range(len(self.tokens) + 2):
            for name, present in list(self.model.nodes.items()):
                held = [work.ready.token for work in self.model.held(name)]
                incarnation = present.offer.incarnation
                self.say(alive(*held, node=name, incarnation=incarnation))
                for token in held:
                    self.say(freed(token, name, incarnation))
            self.pass_time(PATIENCE - 1)
        assert not self.model.waiting()


class WithReservations(AgainstTheModel):
    """The same with nodes kept for who has waited long: then the order is not the model's to foretell."""

    starve = 2_000
    in_order = False


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestWithReservations = WithReservations.TestCase
TestWithReservations.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def random_log(seed: int, length: int) -> list[tuple[int, object]]:
    """Records with the time since the one before, ms; every kind of record, sense and nonsense."""
    chance = Random(seed)
    log: list[tuple[int, object]] = []
    for rank in range(length):
        name = chance.choice(NODES)
        token = f"t{chance.randrange(rank + 1)}"
        some = [f"t{chance.randrange(rank + 1)}" for _ in range(chance.randrange(4))]
        needs = {"cores": chance.randrange(6), "priority": chance.randrange(3), "owner": chance.choice(OWNERS)}
        incarnation = f"{name}{chance.randrange(1 + rank // 40)}"
        body = chance.choice(
            [
                ready(f"t{rank}", kind=chance.choice(["execute", "verify"]), **needs),
                ready(f"t{rank}", **needs),
                ready(f"t{rank}", **needs),
                joined(name, incarnation, slots=chance.randrange(4), cores=chance.randrange(8), adopts=tuple(some)),
                alive(*some, node=name, incarnation=incarnation),
                alive(*some, node=name, incarnation=incarnation),
                freed(token, name, incarnation),
                freed(token, name, incarnation),
                reprioritised(token, chance.randrange(4)),
                cancelled(token),
                Tick(),
                draining(name, incarnation) if chance.random() < 0.1 else Tick(),
                paused(name, incarnation) if chance.random() < 0.3 else Tick(),
                *configured(starve=chance.choice([0, 3_000])),
            ]
        )
        log.append((chance.choice([0, 1, 300, 900, MAX_STEP]), body))
    return log


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 200)))
def test_a_restart_anywhere_changes_no_output_and_no_byte(seed, restarts):
    going, restarting = Given(Dispatch()), Given(Dispatch())
    for rank, (later, body) in enumerate(random_log(seed, 200)):
        if rank in restarts:
            restarting.restarted()
        expected = going.after(later).when(body).outputs
        assert restarting.after(later).when(body).outputs == expected
    assert restarting.machine.snapshot() == going.machine.snapshot()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_saying_anything_twice_yields_nothing_new(seed):
    """But that a node is told again what it does not hold. Left out: work that it speaks of and is then assigned."""
    once, twice = Given(Dispatch()), Given(Dispatch())
    for later, body in random_log(seed, 200):
        expected = once.after(later).when(body).outputs
        assert twice.after(later).when(body).outputs == expected
        given_now = {o.body.work.token for o in expected if isinstance(o.body, Assigned)}
        if given_now.isdisjoint([*getattr(body, "tokens", ()), getattr(body, "token", "")]) or isinstance(body, Ready):
            again = twice.when(body).outputs
            assert all(isinstance(body, Alive) and isinstance(o.body, Stopped) for o in again)


STORY = """
from hashlib import sha256
from coordinator.dispatch import Dispatch
from schemas.codec import encode
from tests.scenarios.test_dispatch_properties import random_log
from tests.support.given import Given

scene, told = Given(Dispatch()), sha256()
for later, body in random_log(11, 1500):
    for output in scene.after(later).when(body).outputs:
        told.update(encode(output.body))
print(told.hexdigest(), sha256(scene.machine.snapshot()).hexdigest())
"""


def told_under(hash_seed: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", STORY], env=env, check=True, capture_output=True, text=True).stdout


def test_the_same_log_gives_the_same_bytes_under_another_hash_seed():
    assert told_under("0") == told_under("4711")
