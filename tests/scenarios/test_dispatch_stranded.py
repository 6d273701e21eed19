"""Work that no node can hold: reported once, placed when a node comes that holds it, lost after its time."""

from coordinator.dispatch import Dispatch
from schemas.work import Tick
from tests.support.given import Given
from tests.support.pool import (
    alive,
    assigned,
    cancelled,
    fits_nowhere,
    joined,
    lost,
    ready,
    reprioritised,
    stopped,
    unplaceable,
    verify,
)

A, B, C = ready("a"), ready("b"), ready("c")
SECOND = 1_000


def world(*before, machine: Dispatch | None = None) -> Given[Dispatch]:
    return Given(machine or Dispatch()).having(*before)


# -- work that fits nowhere ------------------------------------------------------------------------------------------

BIG = ready("big", cores=64)


def pass_time(scene, seconds, *signs):
    """Seconds go by, and nodes live."""
    bodies = []
    for _ in range(seconds // 5):
        scene.after(5 * SECOND).when(*signs)
        bodies += [output.body for output in scene.outputs]
    return bodies


def test_work_that_fits_no_node_is_reported_once_and_lost_after_its_time():
    scene = world(joined(), A, alive("a")).when(BIG).then(unplaceable("big"))
    assert pass_time(scene, 595, alive("a")) == []
    assert pass_time(scene, 5, alive("a")) == [fits_nowhere("big")]
    scene.when(joined("m", cores=64)).then_nothing()


def test_work_that_fits_no_node_is_placed_when_one_comes_that_holds_it():
    scene = world(joined(), BIG)
    scene.when(joined("m", cores=64)).then(assigned(BIG, node="m"))


def test_no_room_now_is_not_the_same_as_fitting_nowhere():
    scene = world(joined(), ready("a", cores=4), alive("a")).when(ready("b", cores=4)).then_nothing()
    assert pass_time(scene, 700, alive("a")) == []


def test_a_pool_without_nodes_waits_and_fails_nobody():
    scene = world().when(BIG).then_nothing()
    assert pass_time(scene, 700, Tick()) == []
    scene.when(joined()).then(unplaceable("big"))


def test_when_the_last_node_goes_the_wait_for_a_better_one_ends():
    scene = world(joined(), BIG)
    assert pass_time(scene, 700, Tick()) == []
    scene.when(joined(incarnation="n2")).then(unplaceable("big"))


def test_work_whose_only_node_goes_is_reported():
    scene = world(joined("m", cores=64), joined("n"), ready("a", cores=60), BIG)
    assert pass_time(scene, 15, alive(node="n")) == [lost("a", "m"), stopped("a", node="m"), unplaceable("big")]


def test_a_node_that_starts_anew_strands_nobody():
    scene = world(joined("m", cores=64), joined("n"), ready("a", cores=60), BIG)
    scene.when(joined("m", "m2", cores=64)).then(lost("a", "m"), assigned(BIG, "m", "m2"))


def test_a_verification_fits_nowhere_if_no_node_verifies():
    world(joined(verify_slots=0)).when(verify("v")).then(unplaceable("v"))


def test_stranded_work_can_be_cancelled_and_reprioritised():
    scene = (
        world(joined(), BIG, ready("big2", cores=64)).when(cancelled("big"), reprioritised("big2", 3)).then_nothing()
    )
    scene.when(joined("m", cores=64)).then(assigned(ready("big2", cores=64), "m"))
