"""What is done about a machine that is slow, and about a hand that fails: a run is judged all the same."""

from pathlib import Path

import pytest

from tests.chaos.field import Field
from tests.chaos.nemeses import Nemeses
from tests.chaos.town import Town
from tests.chaos.watch import Patience


def test_who_waits_is_patient_for_as_long_as_there_is_less_and_less_left() -> None:
    patience = Patience(60.0)
    waited = [(3, 100.0), (3, 159.9), (2, 159.9), (2, 219.8), (1, 219.8), (1, 279.7)]
    assert [patience.lasts(left, now) for left, now in waited] == [True] * len(waited)
    assert not patience.lasts(1, 279.8)


def test_who_waits_is_not_patient_with_what_only_gets_more() -> None:
    patience = Patience(60.0)
    assert patience.lasts(3, 100.0)
    assert patience.lasts(5, 130.0)
    assert not patience.lasts(4, 160.0)


def test_a_hand_that_fails_is_told_and_ends_nothing_else(tmp_path: Path) -> None:
    nemeses = Nemeses(Field(Town(tmp_path), 1), 0.0, ["postgres restarted"])  # there is none
    nemeses.start()
    for hand in nemeses._threads:
        hand.join()
    with pytest.raises(AssertionError, match=r"a hand failed: .*Postgres does not run"):
        nemeses.stop()
