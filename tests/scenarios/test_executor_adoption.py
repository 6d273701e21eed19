"""What an executor does with what a former one left running, and with work that fails for its node's own sake."""

import pytest

from consumers.executor import actions as do
from schemas.claims import Exited, Started
from schemas.reasons import Failure
from schemas.work import Freed, Paused
from tests.support.executor_node import ME, NODE, Node, assigned, bodies, exited, ready, stopped

# --- What a former executor left running ------------------------------------------------------------------------------


def adopting() -> Node:
    return Node(slots=1, adopted=[ready("t")])


def test_it_goes_on_at_once_and_says_nothing_before_the_work_is_given_to_it_again():
    node = adopting()
    joined, adopt = node.begun
    assert joined.body.adopts == ("t",)
    assert adopt == do.AdoptWork("t", ready("t"))
    node.joined()
    assert node.core.tokens() == ("t",)
    assert node.end("t", exited("t")) == []
    assert bodies(node.see(assigned("t"))) == [exited("t")]


def test_adopted_work_is_reported_when_it_ends_and_was_not_started_again():
    node = adopting().joined()
    assert node.see(assigned("t")) == []
    assert node.see(assigned("t")) == []
    assert bodies(node.end("t", exited("t"))) == [exited("t")]
    assert [type(body) for body in bodies(node.ack(Exited))] == [Freed]


def test_adopted_work_takes_its_slot():
    node = adopting().joined()
    assert node.see(assigned("u")) == []
    node.see(assigned("t"))
    assert [type(body) for body in bodies(node.end("t", exited("t")))] == [Exited, Started]


def test_what_was_given_away_meanwhile_is_killed_and_not_spoken_of():
    node = adopting().joined()
    assert node.see(stopped("t", "fenced")) == [do.KillWork("t", grace=False)]
    assert node.end("t", exited("t")) == []
    assert node.core.tokens() == ()


def test_what_was_given_away_and_has_ended_is_not_spoken_of():
    node = adopting().joined()
    node.end("t", exited("t"))
    assert node.see(stopped("t", "fenced")) == []
    assert node.core.tokens() == ()


def test_what_nobody_wants_any_more_ends_with_grace_and_frees_its_slot():
    node = adopting().joined()
    assert node.see(stopped("t", "cancelled")) == [do.KillWork("t", grace=True)]
    assert [type(body) for body in bodies(node.end("t", exited("t")))] == [Freed]


def test_what_is_adopted_is_killed_when_it_lapses():
    node = adopting().joined()
    assert do.KillWork("t", grace=False) in node.after(12_000)


# --- A node that can't work for now -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [Failure.NODE, Failure.STORE])
def test_what_failed_for_the_nodes_sake_is_reported_after_that_it_pauses(failure):
    node = Node().joined().working("t")
    failed = exited("t", exit_code=-1, failure=failure)
    assert bodies(node.end("t", failed)) == [Paused(pool="default", node=NODE, incarnation=ME), failed]
    assert node.core.pauses(node.now)
    assert not node.core.pauses(node.now + 2_000)


def test_it_pauses_longer_each_time_until_something_works():
    node, pauses = Node().joined(), []
    for token in "abcdefgh":
        node.working(token)
        node.end(token, exited(token, exit_code=-1, failure=Failure.NODE))
        begin = node.now
        while node.core.pauses(node.now):
            node.now += 1_000
            node.lives_until = node.now + 12_000
        pauses.append((node.now - begin) // 1_000)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    node.working("z")
    node.end("z", exited("z", exit_code=1))
    node.working("y")
    node.end("y", exited("y", exit_code=-1, failure=Failure.NODE))
    assert not node.core.pauses(node.now + 2_000)


@pytest.mark.parametrize("failure", [Failure.EXIT, Failure.OUT_OF_MEMORY, Failure.HANDED_OVER, Failure.TEMPORARY])
def test_other_failures_are_no_reason_to_pause(failure):
    node = Node().joined().working("t")
    failed = exited("t", exit_code=1, failure=failure)
    assert bodies(node.end("t", failed)) == [failed]
    assert not node.core.pauses(node.now)


def test_trouble_is_said_once_and_ends_when_it_is_over():
    node = Node().joined().working("t")
    assert [type(body) for body in bodies(node.core.trouble(True, node.now))] == [Paused]
    assert node.core.trouble(True, node.now) == []
    assert node.core.pauses(node.now)
    assert node.core.trouble(False, node.now) == []
    assert not node.core.pauses(node.now)
    assert node.core.tokens() == ("t",)
