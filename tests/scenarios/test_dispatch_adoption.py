"""A restarted executor goes on with what it left running, or is told to stop it. Nodes that pause."""

import pytest

from coordinator.dispatch import Dispatch
from schemas.work import Tick
from tests.support.given import Given
from tests.support.pool import (
    alive,
    assigned,
    cancelled,
    freed,
    joined,
    lost,
    paused,
    ready,
    stopped,
    tokens,
)

LEASE, PATIENCE = 15_000, 5_000


@pytest.fixture
def world():
    return Given(Dispatch())


def test_what_is_adopted_is_given_again_under_its_token_and_the_rest_is_lost(world):
    world.having(joined(), ready("a"), ready("b"), alive("a", "b")).when(joined(incarnation="n2", adopts=("b",)))
    world.then(lost("a"), assigned(ready("b"), incarnation="n2"))


def test_adopted_work_keeps_its_room_and_its_owner_in_use(world):
    world.having(joined(slots=1), ready("a"), joined(slots=1, incarnation="n2", adopts=("a",)))
    world.when(ready("b")).then_nothing()
    world.when(freed("a", incarnation="n2")).then(assigned(ready("b"), incarnation="n2"))


def test_a_smaller_node_adopts_and_gets_nothing_new_until_there_is_room(world):
    world.having(joined(slots=2), ready("a"), ready("b"), ready("c"))
    world.when(joined(slots=1, cores=1, incarnation="n2", adopts=("a", "b")))
    assert tokens(world.outputs) == "a b"
    world.when(freed("a", incarnation="n2")).then_nothing()
    assert tokens(world.when(freed("b", incarnation="n2")).outputs) == "c"


def test_what_was_given_away_before_the_restart_is_to_be_stopped(world):
    world.having(joined(), ready("a")).after(LEASE // 3).when(Tick())
    for _ in range(3):
        world.after(LEASE // 3).when(Tick())
    world.when(joined(incarnation="n2", adopts=("a",)))
    world.then(stopped("a", incarnation="n2"))


def test_what_another_node_holds_is_to_be_stopped(world):
    world.having(joined("m"), ready("a"), joined("n"))
    world.when(joined("n", "n2", adopts=("a",))).then(stopped("a", node="n", incarnation="n2"))
    world.when(alive("a", node="m")).then_nothing()


def test_what_nobody_wants_any_more_is_to_be_cancelled_and_keeps_its_slot_until_it_is_free(world):
    world.having(joined(slots=1), ready("a"), cancelled("a"))
    world.when(joined(slots=1, incarnation="n2", adopts=("a",))).then(stopped("a", "cancelled", incarnation="n2"))
    world.when(ready("b")).then_nothing()
    assert tokens(world.when(freed("a", incarnation="n2")).outputs) == "b"


def test_the_joining_said_again_gives_nothing_again(world):
    again = joined(incarnation="n2", adopts=("a",))
    world.having(joined(), ready("a"), again).when(again).then()


def test_the_late_joining_of_an_incarnation_that_was_replaced_takes_nothing_back(world):
    world.having(joined(), ready("a"), joined(incarnation="n2", adopts=("a",)))
    world.when(joined(adopts=("a",))).then_nothing()
    world.when(alive("a", incarnation="n2")).then_nothing()


def test_the_old_incarnation_is_told_that_its_work_is_no_longer_its_own(world):
    world.having(joined(), ready("a"), joined(incarnation="n2", adopts=("a",)))
    world.when(alive("a")).then(stopped("a"))


def test_a_joining_lists_what_it_adopts_and_what_a_later_sign_of_life_does_not_list_is_lost(world):
    world.having(joined(), ready("a"), joined(incarnation="n2", adopts=("a",)))
    world.after(PATIENCE).when(Tick()).then_nothing()
    world.when(alive(incarnation="n2")).then_nothing()
    world.after(PATIENCE - 1).when(alive(incarnation="n2")).then_nothing()
    assert world.after(1).when(alive(incarnation="n2")).bodies(type(lost("a"))) == [lost("a")]


def test_an_adopted_node_can_be_adopted_again(world):
    world.having(joined(), ready("a"), joined(incarnation="n2", adopts=("a",)))
    world.when(joined(incarnation="n3", adopts=("a",))).then(assigned(ready("a"), incarnation="n3"))


def test_a_restart_of_the_machine_in_between_changes_nothing(world):
    world.having(joined(slots=1), ready("a"), joined(slots=1, incarnation="n2", adopts=("a",))).restarted()
    world.when(ready("b")).then_nothing()
    assert tokens(world.when(freed("a", incarnation="n2")).outputs) == "b"


# --- A node that takes nothing for a while ----------------------------------------------------------------------------


def test_a_paused_node_gets_nothing_until_a_sign_of_life_says_that_it_takes_work(world):
    world.having(joined(), paused()).when(ready("a"))
    world.then_nothing()
    world.when(alive(pausing=True)).then_nothing()
    world.when(alive()).then(assigned(ready("a")))


def test_what_a_paused_node_gives_back_goes_elsewhere(world):
    world.having(joined("m"), ready("a"), joined("n"), paused("m"), freed("a", "m"))
    world.when(ready("b")).then(assigned(ready("b"), "n"))


def test_a_paused_node_keeps_what_it_holds_as_long_as_it_lives(world):
    world.having(joined(), ready("a"), alive("a", pausing=True))
    for _ in range(4):
        world.after(PATIENCE - 1).when(alive("a", pausing=True))
        world.then_nothing()
    world.when(freed("a")).then_nothing()
    world.when(ready("b")).then_nothing()


def test_a_new_incarnation_of_a_paused_node_takes_work(world):
    world.having(joined(), paused(), ready("a")).when(joined(incarnation="n2")).then(
        assigned(ready("a"), incarnation="n2")
    )


def test_another_incarnations_pause_changes_nothing(world):
    world.having(joined(), paused(incarnation="n0")).when(ready("a")).then(assigned(ready("a")))


def test_an_empty_pool_forgets_whose_turn_it_was(world):
    world.having(joined(slots=1), ready("a", "ada"), cancelled("a"), freed("a"))
    for _ in range(4):
        world.after(PATIENCE).when(Tick())
    world.having(ready("b", "ada"), ready("c", "bob"))
    assert tokens(world.when(joined(slots=1, incarnation="n2")).outputs) == "b"
