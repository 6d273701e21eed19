"""The executor's rules: what it says, in which order, and what it never does, whatever order things happen in."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.executor import actions as do
from consumers.executor.lease import Timing
from schemas.assignments import Stopped
from schemas.claims import Exited, Started, Verified
from schemas.log import Cause
from schemas.topics import Topic
from schemas.work import Alive, Draining, Freed, Joined
from tests.support.executor_node import ME, NODE, Node, assigned, bodies, exited, ready, stopped


def test_work_goes_from_grant_to_free_slot_each_step_after_the_acknowledgement_of_the_one_before():
    node = Node().joined()
    [started] = node.see(assigned("t"))
    assert (started.topic, type(started.body)) == (Topic.CLAIMS, Started)
    assert (started.body.runner, started.body.environment) == ("bubblewrap", "debian 12")
    assert node.ack(Started) == [do.StartWork("t", ready("t"))]
    [report] = node.end("t", exited("t"))
    assert (report.topic, report.body) == (Topic.CLAIMS, exited("t"))
    [freed] = node.ack(Exited)
    assert (freed.topic, freed.body) == (
        Topic.WORK, Freed(pool="default", node=NODE, incarnation=ME, token="t")
    )  # fmt: skip
    assert node.core.tokens() == ()
    assert node.ack(Freed) == []


def test_the_slot_is_not_free_before_the_exit_is_in_the_log():
    node = Node().joined().working("t")
    assert bodies(node.end("t", exited("t"))) == [exited("t")]
    assert node.after(2_999) == []
    assert node.core.tokens() == ("t",)


def test_the_same_assignment_again_starts_nothing():
    node = Node().joined()
    cause = Cause("work-0", 7, 0)
    node.see(assigned("t"), cause)
    assert node.see(assigned("t"), cause) == []
    assert node.see(assigned("t")) == []
    node.ack(Started)
    assert node.see(assigned("t")) == []


def test_a_late_double_does_not_start_what_is_long_done():
    node = Node().joined()
    cause = Cause("work-0", 7, 0)
    node.see(assigned("t"), cause)
    node.ack(Started)
    node.end("t", exited("t"))
    node.ack(Exited)
    node.ack(Freed)
    assert node.see(assigned("t"), cause) == []


@pytest.mark.parametrize(
    "body", [assigned("t", incarnation="other"), Stopped(node="n", incarnation=ME, token="t", cause="fenced")]
)
def test_what_is_for_others_is_ignored(body):
    assert Node().joined().see(body) == []


def test_never_more_work_than_slots_and_verifications_have_their_own():
    node = Node(slots=1, verify_slots=1).joined().working("a")
    assert node.see(assigned("b")) == []
    assert node.see(assigned("v", "verify")) == [do.StartVerify("v", ready("v", "verify"))]
    assert node.core.tokens() == ("a", "b", "v")
    actions = node.end("a", exited("a"))
    assert [type(body) for body in bodies(actions)] == [Exited, Started]


def test_a_verification_is_reported_like_an_exit():
    node = Node().joined()
    node.see(assigned("v", "verify"))
    verified = Verified(fingerprint="print-v", entry="e", token="v")
    assert bodies(node.end("v", verified)) == [verified]
    assert [type(body) for body in bodies(node.ack(Verified))] == [Freed]


def test_cancelled_work_ends_with_grace_and_frees_its_slot_without_a_report():
    node = Node().joined().working("t")
    assert node.see(stopped("t", "cancelled")) == [do.KillWork("t", grace=True)]
    assert node.see(stopped("t", "cancelled")) == []
    assert [type(body) for body in bodies(node.end("t", exited("t")))] == [Freed]


def test_fenced_work_ends_at_once_and_says_nothing():
    node = Node().joined().working("t")
    assert node.see(stopped("t", "fenced")) == [do.KillWork("t", grace=False)]
    assert node.end("t", exited("t")) == []
    assert node.core.tokens() == ()


def test_fenced_after_cancelled_ends_at_once():
    node = Node().joined().working("t")
    node.see(stopped("t", "cancelled"))
    assert node.see(stopped("t", "fenced")) == [do.KillWork("t", grace=False)]


@pytest.mark.parametrize(("cause", "said"), [("cancelled", [Freed]), ("fenced", [])])
def test_work_that_is_stopped_before_its_container_started_never_starts(cause, said):
    node = Node().joined()
    node.see(assigned("t"))
    assert [type(body) for body in bodies(node.see(stopped("t", cause)))] == said
    assert node.ack(Started) == []


def test_work_waits_while_what_was_fenced_is_still_being_killed():
    node = Node(slots=1).joined().working("a")
    node.see(stopped("a", "fenced"))
    assert node.see(assigned("b")) == []
    assert [type(body) for body in bodies(node.end("a"))] == [Started]


def test_signs_of_life_begin_when_it_has_joined_and_the_deadline_counts_from_before_that_was_sent():
    node = Node()
    assert node.core.deadline() is None
    node.now += 2_000
    assert node.ack(Joined) == [do.Live(1_000)]
    assert node.core.deadline() == 1_000 + 12_000
    assert node.core.identity() == Alive(pool="default", node=NODE, incarnation=ME)
    node.lives_until = 20_000
    assert node.core.deadline() == node.core.due() == 20_000


def test_another_lease_counts_at_once():
    node = Node().joined()
    node.core.retime(Timing.of_lease(5_000))
    assert node.core.deadline() == 1_000 + 4_000


def test_past_the_deadline_everything_is_killed_and_nothing_more_is_said():
    node = Node().joined().working("a", "b")
    actions = node.after(12_000)
    assert actions[:-1] == [do.KillWork("a", grace=False), do.KillWork("b", grace=False)]
    assert actions[-1].why == "lapsed"
    assert node.end("a", exited("a")) == []
    assert node.see(assigned("c")) == []
    assert node.drain() == []
    assert node.core.due() is None


def test_a_frozen_node_says_nothing_of_what_ended_meanwhile():
    node = Node().joined().working("t")
    node.now += 12_000
    actions = node.end("t", exited("t"))
    assert bodies(actions) == []
    assert actions[-1].why == "lapsed"


def test_a_node_whose_joining_was_acknowledged_too_late_says_nothing_more():
    node = Node()
    node.see(assigned("a"))
    node.now += 12_000
    assert node.ack(Joined) == [do.Stop("lapsed", node.core.stopped.reason)]
    assert node.ack(Started) == []


def test_a_node_that_was_given_up_joins_anew():
    node = Node().joined().working("t")
    kill, stop = node.see(stopped("", "fenced"))
    assert (kill, stop.why) == (do.KillWork("t", grace=False), "lapsed")


def test_who_sees_work_for_a_newer_incarnation_ends():
    node = Node().joined()
    assert node.see(assigned("old", incarnation="older")) == []
    node.see(assigned("t"))
    [stop] = node.see(assigned("new", incarnation="newer"))
    assert stop.why == "replaced"


def test_a_drained_node_finishes_and_looks_once_more_before_it_leaves():
    node = Node().joined().working("t")
    assert bodies(node.drain()) == [Draining(pool="default", node=NODE, incarnation=ME)]
    node.ack(Draining)
    assert node.after(300) == []
    node.end("t", exited("t"))
    node.ack(Exited)
    node.ack(Freed)
    [stop] = node.after(0)
    assert stop.why == "drained"


def test_work_given_before_the_node_said_that_it_drains_is_done():
    node = Node().joined()
    node.drain()
    node.ack(Draining)
    node.after(299)
    assert [type(body) for body in bodies(node.see(assigned("t")))] == [Started]
    assert not [action for action in node.after(1_000) if isinstance(action, do.Stop)]


# --- Whatever happens, in whatever order -----------------------------------------------------------------------------

TOKENS = ("a", "b", "c", "d")
EVENTS = st.one_of(
    st.tuples(st.just("assigned"), st.sampled_from(TOKENS)),
    st.tuples(st.just("cancelled"), st.sampled_from(TOKENS)),
    st.tuples(st.just("fenced"), st.sampled_from(TOKENS)),
    st.tuples(st.just("ack"), st.integers(0, 5)),
    st.tuples(st.just("ended"), st.integers(0, 3)),
    st.tuples(st.just("after"), st.sampled_from((1, 400, 2_000, 6_000))),
    st.tuples(st.just("drain"), st.none()),
)


class Watched(Node):
    """Checks after every step what must never be otherwise."""

    def __init__(self) -> None:
        self.over = False
        self.running: list[str] = []
        self.killed: set[str] = set()
        self.started: set[str] = set()
        self.acked: set[tuple[type, str]] = set()
        super().__init__(slots=2)

    def step(self, what: str, which: Any) -> None:
        offset = len(self.acked) + self.now
        if what == "assigned" and which not in self.started:
            self.see(assigned(which), Cause("w", offset, 0))
        elif what in ("cancelled", "fenced"):
            self.see(stopped(which, what))
        elif what == "ack" and which < len(self.todo):
            self.acknowledge(self.todo.pop(which))
        elif what == "ended" and which < len(self.running):
            token = self.running.pop(which)
            self.end(token, exited(token))
        elif what == "after":
            self.after(which)
        elif what == "drain":
            self.drain()

    def acknowledge(self, action: Any) -> None:
        self.acked.add((type(action.body), getattr(action.body, "token", "")))
        self._did(self.core.acked(action.ref, self.now))

    def _did(self, actions: Iterable[Any]) -> list[Any]:
        new = super()._did(actions)
        assert not (self.over and new), "it speaks after it has stopped"
        self.over = any(isinstance(action, do.Stop) for action in new) or self.over
        for action in new:
            self.check(action)
        assert len(self.running) <= self.core.joined.slots
        return new

    def check(self, action: Any) -> None:
        if isinstance(action, do.StartWork):
            assert (Started, action.token) in self.acked, "a container started before it was announced"
            assert action.token not in self.started, "a second start under one token"
            self.started.add(action.token)
            self.running.append(action.token)
        elif isinstance(action, do.KillWork):
            self.killed.add(action.token)
        elif isinstance(action, do.Stop) and action.why != "drained":
            assert set(self.running) <= self.killed, "something runs on"
        elif isinstance(action, do.Stop):
            assert not self.running
        elif isinstance(getattr(action, "body", None), Freed):
            reported = (Exited, action.body.token) in self.acked
            assert reported or action.body.token in self.killed or action.body.token not in self.started


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=60))
def test_nothing_runs_twice_unannounced_or_unseen_and_no_slot_is_free_too_early(events):
    node = Watched()
    node.acknowledge(node.todo.pop(0))
    for what, which in events:
        node.step(what, which)
    node.after(20_000)
    assert node.core.stopped
