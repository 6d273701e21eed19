"""Nodes, time and lost work. Where a simpler rule would do harm, the test shows that rule doing it."""

import pytest
from msgspec.structs import replace

from coordinator.dispatch import Dispatch
from coordinator.machine import NewerRules, Seen
from schemas.assignments import Assigned
from schemas.claims import Lost
from schemas.codec import Undecodable
from schemas.log import Genesis
from schemas.reasons import Reason
from schemas.settings import Forwarded, RulesSet, UserSet
from schemas.work import Alive, Tick
from tests.support.given import START, Given
from tests.support.pool import (
    alive,
    assigned,
    cancelled,
    configured,
    draining,
    freed,
    joined,
    lost,
    ready,
    stopped,
    verify,
)

A, B, C = ready("a"), ready("b"), ready("c")
SECOND = 1_000


def world(*before, machine: Dispatch | None = None) -> Given[Dispatch]:
    return Given(machine or Dispatch()).having(*before)


# -- time ----------------------------------------------------------------------------------------------------------


class AppendTimeRaw(Dispatch):
    """The simpler rule: now is when the record was appended."""

    def _advance(self, appended):
        self._state.now = appended


class LatestAppendTime(Dispatch):
    """The simpler rule: now is the latest append time so far."""

    def _advance(self, appended):
        self._state.now = max(self._state.now, appended)


def lose_in_an_hours_jump(machine):
    scene = world(joined(), A, alive("a"), machine=machine).after(3600 * SECOND).when(alive("a"))
    return scene.after(SECOND).when(alive("a")).bodies(Lost) or scene.machine._state.pools == {}


def test_a_broker_clock_that_jumps_ahead_expires_nobody():
    assert not lose_in_an_hours_jump(Dispatch())


@pytest.mark.parametrize("simpler", [AppendTimeRaw, LatestAppendTime])
def test_a_simpler_clock_expires_every_lease_when_the_brokers_jumps_ahead(simpler):
    assert lose_in_an_hours_jump(simpler())


def lost_after_the_clock_is_set_back(machine):
    """The clock is an hour ahead, is put right, and then the node dies: who notices within a minute?"""
    scene = world(joined(), A, alive("a"), machine=machine).after(-3600 * SECOND)
    found = []
    for _ in range(60):
        found += scene.after(SECOND).when(Tick()).bodies(Lost)
    return found


def test_a_broker_clock_that_is_set_back_does_not_freeze_time():
    assert lost_after_the_clock_is_set_back(Dispatch()) == [lost("a")]


@pytest.mark.parametrize("simpler", [AppendTimeRaw, LatestAppendTime])
def test_a_simpler_clock_stands_still_when_the_brokers_is_set_back(simpler):
    assert lost_after_the_clock_is_set_back(simpler()) == []


def test_after_a_broker_was_away_who_speaks_at_once_has_lost_nothing():
    scene = world(joined("m", slots=1), joined("n", slots=1), A, B, alive("a", node="m"), alive("b", node="n"))
    scene.after(600 * SECOND).when(alive("b", node="n"), alive("a", node="m")).then_nothing()


def test_every_record_lets_time_pass_also_those_that_say_nothing():
    scene = world(joined())
    silent = [
        Tick(),
        Genesis(log_id="x", topic="work", partition=0, partitions=1),
        Undecodable(Reason.UNDECODABLE, "?"),
    ]
    for body in [*silent, *configured(starve=1)]:
        scene.after(3 * SECOND).when(body).then_nothing()
    assert scene.machine._state.now == 12 * SECOND


def test_ticks_are_needed_while_there_is_a_node():
    scene = world()
    assert not scene.machine.deadline_outstanding()
    scene.having(A)
    assert not scene.machine.deadline_outstanding()
    scene.having(joined())
    assert scene.machine.deadline_outstanding()
    for _ in range(3):
        scene.after(5 * SECOND).having(Tick())
    assert not scene.machine.deadline_outstanding()


# -- signs of life ---------------------------------------------------------------------------------------------------


class AliveWithoutTokens(Dispatch):
    """The simpler rule: a sign of life renews all that the machine believes the node to hold."""

    def step(self, seen):
        body = seen.body
        if isinstance(body, Alive):
            held = tuple(self._boards[body.pool].room.berths[body.node].held)
            body = Alive(pool=body.pool, node=body.node, incarnation=body.incarnation, tokens=held)
            seen = replace(seen, body=body)
        return super().step(seen)


def lost_although_its_node_lives(machine):
    """The executor never saw the assignment of `a` (its own copy was lost), and goes on living without it."""
    scene = world(joined(), A, machine=machine)
    found = []
    for _ in range(100):
        found += scene.after(SECOND).when(alive()).bodies(Lost)
    return found


def test_what_a_living_node_does_not_list_is_lost():
    assert lost_although_its_node_lives(Dispatch()) == [lost("a")]


def test_a_sign_of_life_without_tokens_would_keep_a_lost_assignment_for_ever():
    assert lost_although_its_node_lives(AliveWithoutTokens()) == []


def test_an_assignment_that_shows_in_time_is_kept():
    scene = world(joined(), A).after(4 * SECOND).when(alive()).then_nothing()
    scene.after(999).when(alive("a")).then_nothing()
    for _ in range(10):
        scene.after(5 * SECOND).when(alive("a")).then_nothing()


def test_an_assignment_that_does_not_show_in_time_is_lost_and_its_executor_told():
    scene = world(joined(), A).after(4 * SECOND).having(alive())
    scene.after(SECOND).when(Tick()).then(lost("a"), stopped("a"))


def test_work_that_was_listed_and_is_no_longer_is_lost_unless_freed_comes():
    scene = world(joined(), A, B, alive("a", "b")).after(SECOND).when(alive()).then_nothing()
    scene.after(4 * SECOND).when(freed("a"), alive()).then_nothing()
    scene.after(SECOND).when(alive()).then(lost("b"), stopped("b"))


def test_work_that_is_listed_again_is_kept():
    scene = world(joined(), A, alive("a")).after(SECOND).having(alive())
    scene.after(4 * SECOND).when(alive("a")).after(4 * SECOND).when(alive("a")).then_nothing()


def test_what_a_node_lists_and_does_not_hold_it_is_told_to_stop():
    world(joined("m"), joined("n"), A).when(alive("a", "x", "x", node="n")).then(
        stopped("a", node="n"), stopped("x", node="n")
    )


def test_a_copy_of_an_old_sign_of_life_harms_nobody():
    old = alive("a")
    scene = world(joined(), A, B, old, freed("a"), alive("b")).when(old).then(stopped("a"))
    scene.after(SECOND).when(alive("b")).after(5 * SECOND).when(alive("b")).then_nothing()


def test_a_node_without_a_sign_of_life_loses_everything_and_is_gone():
    scene = world(joined(), A, B, alive("a", "b"))
    scene.after(5 * SECOND).when(Tick()).after(5 * SECOND).when(Tick()).then_nothing()
    scene.after(4_999).when(Tick()).then_nothing()
    scene.after(1).when(Tick()).then(lost("a"), lost("b"))
    scene.when(C).then_nothing()


def test_each_sign_of_life_renews_the_lease():
    scene = world(joined(), A, alive("a"))
    for sign in (joined(), freed("never held"), alive("a")):
        for _ in range(2):
            scene.after(5 * SECOND).having(Tick())
        scene.when(sign).then_nothing()
    assert "n" in scene.machine._state.pools["p"].nodes


def test_an_expired_incarnation_comes_back_only_as_a_new_one():
    scene = world(joined(), A, alive("a"))
    for _ in range(3):
        scene.after(5 * SECOND).having(Tick())
    scene.when(alive("a")).then(stopped("a"), stopped(""))
    scene.when(alive()).then(stopped(""))
    scene.when(joined(), B).then_nothing()
    scene.when(joined(incarnation="n2")).then(assigned(B, incarnation="n2"))


def test_a_node_that_is_silent_gets_nothing_more_until_it_speaks():
    """One dead node must not use up every attempt of a task before its lease is over."""
    scene = world(joined(), A).after(5 * SECOND).when(Tick()).then(lost("a"), stopped("a"))
    scene.when(B).then_nothing()
    scene.after(SECOND).when(alive()).then(assigned(B))


def test_a_node_that_was_never_heard_of_is_asked_to_join():
    world().when(alive("a")).then(stopped("a"), stopped(""))


# -- incarnations ----------------------------------------------------------------------------------------------------


def test_a_new_incarnation_loses_at_once_what_the_old_one_held_verifications_too():
    v = verify("v")
    scene = world(joined(), A, v, B).when(joined(incarnation="n2"))
    scene.then(lost("a"), lost("v"), lost("b"))
    scene.when(C).then(assigned(C, incarnation="n2"))


def test_what_comes_free_as_a_new_incarnation_joins_is_not_given_to_the_old_one():
    scene = world(joined(slots=1), A, B).after(6 * SECOND).when(joined(slots=1, incarnation="n2"))
    assert scene.bodies(Lost) == [lost("a")]
    assert scene.bodies(Assigned) == [assigned(B, incarnation="n2")]


def test_joining_twice_changes_nothing():
    scene = world(joined(), A)
    before = scene.machine._state.pools["p"].work
    scene.when(joined()).then_nothing()
    assert scene.machine._state.pools["p"].work == before
    scene.when(B, C).then(assigned(B))


def test_a_late_copy_of_an_old_joined_does_not_bring_the_old_one_back():
    scene = world(joined(), joined(incarnation="n2"), A)
    scene.when(joined(), B).then(assigned(B, incarnation="n2"))


def test_what_an_old_incarnation_says_changes_nothing():
    scene = world(joined(), joined(incarnation="n2"), A, B)
    scene.when(freed("a"), draining(), C).then_nothing()
    scene.when(alive("a", "b")).then(stopped("a"), stopped("b"))
    scene.when(freed("a", incarnation="n2")).then(assigned(C, incarnation="n2"))


def test_an_old_incarnation_keeps_no_lease():
    scene = world(joined(), joined(incarnation="n2"), A)
    for _ in range(3):
        scene.after(5 * SECOND).when(alive())
    assert scene.machine._state.pools == {}


# -- slots -----------------------------------------------------------------------------------------------------------


def test_freed_gives_the_slot_to_the_next_once():
    d = ready("d")
    scene = world(joined(), A, B, C, d).when(freed("a")).then(assigned(C))
    scene.when(freed("a")).then_nothing()


def test_freed_from_a_node_that_does_not_hold_it_frees_nothing():
    scene = world(joined("m", slots=1), joined("n", slots=1), A, B, C)
    scene.when(freed("a", node="n")).then_nothing()
    scene.when(freed("c", node="n")).then_nothing()
    scene.when(freed("a", node="m")).then(assigned(C, node="m"))


def test_ready_twice_is_once():
    scene = world().having(A, A)
    scene.when(joined()).then(assigned(A))
    scene.when(A).then_nothing()


def test_queued_work_that_is_cancelled_is_never_assigned():
    scene = world(joined(slots=1), A, B, C, cancelled("b")).when(freed("a")).then(assigned(C))
    scene.when(cancelled("b"), cancelled("never known")).then_nothing()


def test_running_work_that_is_cancelled_is_stopped_and_keeps_its_slot_until_freed():
    scene = world(joined(slots=1), A, B, alive("a")).when(cancelled("a")).then(stopped("a", "cancelled"))
    scene.when(cancelled("a"), alive("a")).then_nothing()
    scene.when(freed("a")).then(assigned(B))


def test_cancelled_work_that_its_node_lists_no_more_frees_its_slot_and_is_not_lost():
    scene = world(joined(slots=1), A, B, alive("a"), cancelled("a")).after(SECOND).when(alive()).then_nothing()
    scene.after(5 * SECOND).when(alive()).then(assigned(B))


def test_cancelled_work_of_a_node_that_dies_is_not_lost():
    scene = world(joined(), A, B, alive("a", "b"), cancelled("a"))
    scene.when(joined(incarnation="n2")).then(lost("b"))


def test_a_draining_node_finishes_what_it_holds_and_takes_nothing_new():
    scene = world(joined(slots=1), A, alive("a")).when(draining(), B, verify("v")).then_nothing()
    scene.when(joined()).then_nothing()
    scene.when(freed("a")).then_nothing()
    scene.when(joined(incarnation="n2")).then(assigned(verify("v"), incarnation="n2"), assigned(B, incarnation="n2"))


# -- settings --------------------------------------------------------------------------------------------------------


def test_a_changed_number_counts_from_its_record_on():
    scene = world(joined(), A, alive("a"), *configured(lease=2 * SECOND)).after(2 * SECOND).when(Tick()).then(lost("a"))
    scene.having(*configured(ack_ticks=1, tick=100, lease=60 * SECOND), joined(incarnation="n2"), B)
    scene.after(100).when(alive(incarnation="n2")).then(lost("b"), stopped("b", incarnation="n2"))


def test_settings_that_concern_no_placement_are_passed_over():
    world(joined()).when(Forwarded(change=UserSet(user="ada", name="ada"), position=3)).then_nothing()


def test_rules_beyond_what_the_code_knows_stop_the_machine():
    with pytest.raises(NewerRules):
        world().when(Forwarded(change=RulesSet(version=2), position=1))


def test_pools_know_nothing_of_each_other_but_the_time():
    scene = world(joined())
    other = ready("x").__class__(pool="q", token="x", fingerprint="f:x", owner="ada")
    scene.when(other).then_nothing()
    assert list(scene.machine._state.pools) == ["p", "q"]


def test_what_is_no_record_of_work_stops_the_machine():
    with pytest.raises(TypeError, match="no record of work"):
        list(Dispatch().step(Seen("log", 1, START, b"", assigned(A))))


def test_an_empty_pool_is_forgotten():
    scene = world(joined(), A, freed("a"))
    for _ in range(3):
        scene.after(5 * SECOND).having(Tick())
    assert scene.machine._state.pools == {}
    assert not scene.bodies(Assigned)
