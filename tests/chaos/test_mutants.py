"""Which mutations are tried, and what counts as caught."""

import pytest

from tests.chaos.mutants import LEFT_OUT, TRIALS, TRIED_IN, Verdict
from tests.chaos.nemeses import NEMESES
from tests.chaos.run import UNFORESEEN
from tests.support.mutations import MUTATIONS

ENDED = f"standby {UNFORESEEN}: crunch-reuse: unexpected KeyError: 7"


def test_each_mutation_is_tried_or_left_out_for_a_reason() -> None:
    assert sorted([*TRIED_IN, *LEFT_OUT]) == sorted(MUTATIONS)
    assert set(TRIED_IN.values()) == set(TRIALS)
    assert {name for trial in TRIALS.values() for name in trial.nemeses} <= NEMESES.keys()


@pytest.mark.parametrize(
    ("mutant", "wrong", "is_right", "said"),
    [
        ("gaps", ["audit: claims/0 7: not there"], True, "caught"),
        ("gaps", ["a hand failed: no room", "invariant 10: 1 job has not ended"], True, "caught"),
        ("gaps", ["invariant 10: 1 job has not ended", ENDED], False, "NOT CAUGHT"),
        ("gaps", ["a hand failed: no room"], False, "NOT CAUGHT"),
        ("gaps", [], False, "NOT CAUGHT"),
        ("", [], True, "clean"),
        ("", [ENDED], False, "NOT CLEAN"),
        ("", ["a hand failed: no room"], False, "NOT CLEAN"),
    ],
)
def test_only_what_the_topics_say_counts_against_a_mutation_and_anything_against_the_real_rules(
    mutant: str, wrong: list[str], is_right: bool, said: str
) -> None:
    verdict = Verdict("deaf node", mutant, wrong, 61.0)
    assert verdict.is_right is is_right
    assert verdict.line().startswith(said)
