"""The rules of the signs of life: when, for whom, and until when the work is the node's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.executor.lease import Timing
from consumers.executor.life import Life
from schemas.work import Alive

TIMING = Timing.of_lease(15_000)
IDENTITY = Alive(pool="default", node="node-1", incarnation="incarnation-1")
SENT = 1_000


def sign(*tokens: str, pausing: bool = False) -> Alive:
    return Alive(pool="default", node="node-1", incarnation="incarnation-1", tokens=tokens, pausing=pausing)


@pytest.fixture
def life() -> Life:
    return Life(IDENTITY, TIMING, SENT)


def test_the_next_one_is_due_after_an_interval_and_lists_what_is_held(life):
    life.hear(("t",), False, SENT + 2_900)
    assert life.due() == SENT + 3_000
    assert life.tick(SENT + 2_999, True) is None
    assert life.tick(SENT + 3_000, True) == sign("t")


def test_a_new_token_and_a_pause_show_promptly(life):
    life.hear(("t",), False, 1_100)
    assert life.due() == 1_600
    assert life.tick(1_600, True) == sign("t")
    life.acked(1_610)
    life.hear((), False, 1_700)
    assert life.due() == 4_600
    life.hear((), True, 1_800)
    assert life.tick(2_300, True) == sign(pausing=True)


def test_one_is_on_its_way_at_a_time_and_a_failed_one_is_not_repeated(life):
    life.hear(("a",), False, 3_900)
    assert life.tick(4_000, True) == sign("a")
    life.hear(("a", "b"), False, 4_100)
    assert life.tick(6_000, True) is None
    life.failed(7_000)
    assert life.tick(7_499, True) is None
    assert life.tick(7_500, True) == sign("a", "b")


def test_the_deadline_counts_from_before_sending(life):
    assert life.deadline == SENT + 12_000
    life.hear((), False, 4_000)
    life.tick(4_000, True)
    life.acked(9_000)
    assert life.deadline == 4_000 + 12_000


def test_an_acknowledgement_that_comes_too_late_does_not_revive_it(life):
    life.hear((), False, 12_000)
    life.tick(12_000, True)
    life.acked(13_000)
    assert life.has_passed(13_000)
    assert life.tick(20_000, True) is None


def test_nothing_is_said_for_who_is_stopped_or_gone(life):
    life.hear(("t",), False, 3_900)
    assert life.tick(4_000, False) is None
    assert life.tick(4_500, False) is None
    assert life.tick(12_000, True) == sign("t", pausing=True)


def test_who_is_silent_but_runs_is_spoken_for_and_gets_nothing_new(life):
    life.hear(("t",), False, 3_900)
    said, now = [], 4_000
    while not life.has_passed(now):
        if (told := life.tick(now, True)) is not None:
            said.append((now, told))
            life.acked(now)
        now += 100
    assert [told.pausing for _, told in said[:4]] == [False, False, True, True]
    assert all(told.tokens == ("t",) for _, told in said)
    last, _ = said[-1]
    assert 60_000 - 3_000 <= last - 3_900 <= 60_000
    assert life.deadline == last + 12_000


def test_who_speaks_again_says_so_promptly(life):
    life.hear((), False, 2_000)
    for now in (4_000, 7_000, 10_000):
        assert life.tick(now, True) is not None
        life.acked(now)
    life.hear((), False, 10_100)
    assert life.tick(10_600, True) == sign()


def test_a_shorter_lease_counts_at_once_and_a_longer_one_from_the_next_acknowledgement_on(life):
    life.retime(Timing.of_lease(5_000))
    assert life.deadline == SENT + 4_000
    assert life.tick(SENT + 1_000, True) is not None
    life.retime(Timing.of_lease(50_000))
    assert life.deadline == SENT + 4_000
    life.acked(SENT + 1_500)
    assert life.deadline == SENT + 1_000 + 40_000


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("hear", "able", "stopped", "acked", "failed")), st.sampled_from((1, 400, 3_000, 8_000, 20_000))
    ),
    max_size=60,
)


@given(EVENTS)
def test_the_deadline_never_lies_further_than_an_acknowledged_sign_and_never_comes_back(events):
    life, now, on_its_way, acked, over = Life(IDENTITY, TIMING, SENT), SENT, None, SENT, False
    for what, later in events:
        now += later
        over = over or life.has_passed(now)
        if what == "hear":
            life.hear(("t",), False, now)
        elif what in ("able", "stopped"):
            if life.tick(now, what == "able") is not None:
                assert on_its_way is None
                assert not over
                assert what == "able"
                on_its_way = now
        elif on_its_way is not None:
            if what == "acked":
                life.acked(now)
                acked = max(acked, on_its_way) if not over else acked
            else:
                life.failed(now)
            on_its_way = None
        assert life.deadline == acked + 12_000
        assert life.has_passed(now) or not over
