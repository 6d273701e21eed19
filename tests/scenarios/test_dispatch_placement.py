"""Who is served next, and where. Where a simpler rule would do harm, the test shows that rule doing it."""

import pytest

from coordinator.dispatch import Dispatch
from coordinator.dispatch_board import Board
from schemas.work import Alive
from tests.support.given import Given
from tests.support.pool import (
    alive,
    assigned,
    cancelled,
    configured,
    draining,
    freed,
    joined,
    ready,
    reprioritised,
    tokens,
    verify,
)

SECOND = 1_000


def world(*before, machine: Dispatch | None = None) -> Given[Dispatch]:
    return Given(machine or Dispatch()).having(*before)


def passing(scene: Given[Dispatch], seconds: int, *signs: Alive) -> Given[Dispatch]:
    """Time passes, and the nodes give signs of life."""
    scene.having(*signs)
    for _ in range(seconds // 5):
        scene.after(5 * SECOND).having(*signs)
    return scene


def served(scene: Given[Dispatch], first: str, node: str = "n") -> str:
    """Tokens in the order in which a node of one slot gets them, each freed as soon as it is there."""
    order, running = [], first
    while running:
        running = tokens(scene.when(freed(running, node)).outputs)
        order.append(running)
    return " ".join(order).strip()


# -- order -----------------------------------------------------------------------------------------------------------


def test_higher_priority_first_then_age():
    scene = world(joined(slots=1), ready("run"))
    scene.having(ready("a"), ready("b", priority=5), ready("c", priority=-1), ready("d", priority=5))
    assert served(scene, "run") == "b d a c"


def test_a_changed_priority_changes_the_place_and_keeps_the_age():
    scene = world(joined(slots=1), ready("run"), ready("a"), ready("b"), ready("c", priority=1))
    scene.having(reprioritised("b", 1), reprioritised("b", 1), reprioritised("run", 7), reprioritised("gone", 7))
    assert served(scene, "run") == "b c a"


def test_moved_there_and_back_it_is_where_it_was():
    moves = [reprioritised("a", n % 2) for n in range(101)] + [reprioritised("a", 0)]
    scene = world(joined(slots=1), ready("run"), ready("a"), ready("b"), *moves)
    assert served(scene, "run") == "a b"


def test_owners_share_by_cores_in_use():
    scene = world(joined(slots=3, cores=8), ready("run", "cyd"), ready("a1", "ada", cores=4), ready("run2", "cyd"))
    scene.having(ready("a2", "ada"), ready("b1", "bob"))
    assert tokens(scene.when(freed("run")).outputs) == "b1"


def test_a_flood_from_one_owner_does_not_hold_up_another():
    scene = world(joined(slots=1), ready("run", "ada"))
    scene.having(*(ready(f"a{n}", "ada") for n in range(5)), ready("b0", "bob"), ready("b1", "bob"))
    assert served(scene, "run") == "b0 a0 b1 a1 a2 a3 a4"


def test_among_equal_shares_it_is_the_turn_of_who_was_served_longest_ago():
    scene = world(
        joined(slots=1), ready("z1", "zoe"), freed("z1"), ready("b1", "bob"), freed("b1"), ready("run", "cyd")
    )
    scene.having(ready("b2", "bob"), ready("z2", "zoe"))
    assert served(scene, "run") == "z2 b2"


def test_new_work_does_not_overtake_what_waits_for_the_same_room():
    scene = world(joined(slots=1), ready("run"), ready("a"))
    scene.when(ready("b")).then_nothing()
    assert served(scene, "run") == "a b"


# -- fit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lack", [{"cores": 2}, {"memory": 600}, {"scratch": 600}])
def test_nothing_is_ever_short(lack):
    scene = world(joined(slots=9, cores=3, memory=1000, scratch=1000), ready("a", **{"cores": 0, **lack}))
    scene.when(ready("b", **{"cores": 0, **lack})).then_nothing()
    scene.when(freed("a")).then(assigned(ready("b", **{"cores": 0, **lack})))


def test_smaller_work_goes_ahead_where_larger_has_no_room():
    scene = world(joined(slots=4), ready("run", cores=3))
    scene.when(ready("big", cores=2)).then_nothing()
    scene.when(ready("small")).then(assigned(ready("small")))


def test_best_fit_leaves_the_large_hole_for_large_work():
    scene = world(joined("large", cores=16), joined("small", cores=2))
    scene.when(ready("a")).then(assigned(ready("a"), "small"))
    scene.when(ready("b", cores=16)).then(assigned(ready("b", cores=16), "large"))


def test_equal_nodes_are_filled_by_name():
    scene = world(joined("y"), joined("x"))
    scene.when(ready("a")).then(assigned(ready("a"), "x"))


def test_a_node_is_filled_in_order_when_it_joins():
    works = [ready("a", cores=2), ready("b", cores=3), ready("c", cores=2), ready("d", priority=1)]
    scene = world(*works)
    assert tokens(scene.when(joined(slots=8)).outputs) == "d a"
    assert tokens(scene.when(freed("d")).outputs) == "c"


# -- starving --------------------------------------------------------------------------------------------------------

BIG = ready("big", "bob", cores=4)


def small_ones_before_the_big_one(machine: Dispatch) -> int:
    """Every ten seconds one small task ends and another is there, for five minutes: how many went ahead?"""
    scene = world(joined(slots=4), ready("s0"), ready("s1"), BIG, machine=machine)
    running, ahead = ["s0", "s1"], 0
    for n in range(2, 32):
        passing(scene, 10, alive(*running)).when(ready(f"s{n}"), freed(running.pop(0)))
        if "big" in tokens(scene.outputs):
            break
        running += tokens(scene.outputs).split()
        ahead += len(tokens(scene.outputs).split())
    return ahead


class NoReservation(Board):
    """The simpler rule: whoever fits now goes ahead."""

    def _first_queued(self, berth):
        return self._queues["execute"].first(berth.room)


class WithoutReservations(Dispatch):
    def _board(self, name):
        board = super()._board(name)
        board.__class__ = NoReservation
        return board


def test_a_big_task_is_not_starved_by_small_ones():
    assert small_ones_before_the_big_one(Dispatch()) == 3


def test_without_a_reservation_small_ones_would_starve_it():
    assert small_ones_before_the_big_one(WithoutReservations()) == 30


def keep(scene):
    """Time enough that whoever waits may have a node kept for it."""
    return passing(scene, 35, alive("s0", "s1"))


def test_a_kept_node_takes_nothing_else_until_the_big_task_is_on_it():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG))
    scene.when(ready("s2"), ready("s3", priority=9), freed("s0")).then_nothing()
    scene.when(freed("s1")).then(assigned(BIG))
    assert tokens(scene.when(freed("big")).outputs) == "s3 s2"


def test_verifications_go_on_a_kept_node():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2"))
    scene.when(verify("v")).then(assigned(verify("v")))


def test_it_goes_to_another_node_that_has_room_sooner_and_the_kept_one_is_free_again():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2"))
    scene.when(joined("m")).then(assigned(BIG, "m"), assigned(ready("s2")))


def test_one_node_is_kept_for_one_task_and_the_next_task_gets_the_next_node():
    nodes = [joined("m", slots=4), joined("n", slots=4)]
    scene = world(*nodes, ready("s0", cores=3), ready("s1", cores=3), BIG, ready("big2", "bob", cores=4))
    passing(scene, 35, alive("s0", node="m"), alive("s1", node="n"))
    scene.when(ready("s2"), ready("s3")).then_nothing()
    kept = scene.machine._boards["p"].room.kept
    assert {name: item.work.token for name, item in kept.items()} == {"m": "big", "n": "big2"}


def test_no_node_is_kept_for_who_could_never_run_there():
    scene = world(joined("large", cores=8, slots=4), joined("n", slots=4), ready("s0", cores=3), ready("s1", cores=8))
    scene.having(ready("wide", cores=8))
    passing(scene, 35, alive("s0"), alive("s1", node="large"))
    scene.when(ready("s2")).then(assigned(ready("s2")))


def test_before_its_time_nobody_has_a_node_kept():
    scene = passing(world(joined(slots=4), ready("s0"), ready("s1"), BIG), 30, alive("s0", "s1"))
    scene.when(ready("s2")).then(assigned(ready("s2")))
    scene.having(*configured(starve=29 * SECOND)).when(ready("s3")).then_nothing()


def test_a_node_is_kept_no_longer_when_the_task_is_cancelled():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2"))
    scene.when(cancelled("big")).then(assigned(ready("s2")))


def test_a_node_is_kept_for_what_comes_first_when_the_task_is_to_come_later():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2"))
    scene.when(reprioritised("big", 1)).then_nothing()
    scene.when(reprioritised("big", -1)).then(assigned(ready("s2")))


def test_a_task_whose_kept_node_goes_queues_again():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2"))
    assert tokens(scene.when(joined(incarnation="n2")).outputs) == "big"


def test_a_kept_node_that_drains_lets_the_task_queue_again():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG)).having(ready("s2")).having(draining())
    scene.when(freed("s0"), freed("s1")).then_nothing()
    scene.when(joined("m", slots=4)).then(assigned(BIG, "m"))


# -- verifications ---------------------------------------------------------------------------------------------------


def test_verifications_have_slots_of_their_own():
    scene = world(joined(slots=1, verify_slots=2), ready("a"), ready("b"))
    scene.when(verify("v"), verify("w"), verify("x")).then(assigned(verify("v")), assigned(verify("w")))
    scene.when(freed("v")).then(assigned(verify("x")))
    scene.when(freed("a")).then(assigned(ready("b")))


def test_verifications_need_no_cores_and_go_where_most_slots_are_free():
    scene = world(joined("m", cores=1, verify_slots=1), joined("n", cores=1, verify_slots=2))
    scene.having(ready("a"), ready("b"))
    scene.when(verify("v", cores=4, memory=9999)).then(assigned(verify("v", cores=4, memory=9999), "n"))
    scene.when(verify("w")).then(assigned(verify("w"), "m"))


def test_verifications_are_shared_between_owners_too():
    scene = world(joined(verify_slots=1), verify("run", "ada"), verify("a1", "ada"), verify("a2", "ada"))
    scene.having(verify("b1", "bob"), verify("z", "zoe", priority=1))
    assert served(scene, "run") == "z b1 a1 a2"


# -- restart ---------------------------------------------------------------------------------------------------------


def test_reservations_and_strandings_outlive_a_restart():
    scene = keep(world(joined(slots=4), ready("s0"), ready("s1"), BIG, ready("huge", cores=99))).having(ready("s2"))
    scene.restarted().when(freed("s0"), freed("s1")).then(assigned(BIG))
    scene.restarted().when(joined("m", cores=99)).then(assigned(ready("huge", cores=99), "m"))
    scene.when(freed("big")).then(assigned(ready("s2")))
