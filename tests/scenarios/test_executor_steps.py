"""What goes wrong in each step of an execution, and what it means for the task: one table, and the machine agrees."""

import pytest

from consumers.executor.capture import BadOutput, StoreTrouble
from consumers.executor.steps import MEANS, TROUBLES, Step, outcome_of_trouble
from consumers.runners.port import CannotRun, Outcome
from coordinator.claims_state import verdict
from schemas.reasons import Failure
from store.errors import ExtractFailed, StoreUnreachable


@pytest.mark.parametrize("failure", Failure)
def test_the_machine_does_what_the_table_says(failure):
    if failure in MEANS:
        assert verdict(False, True, 0, failure) == MEANS[failure]
    else:
        assert failure in (Failure.NONE, Failure.EXIT), "what it means is in no table"
        assert verdict(False, None, 0, failure) == "success"
        assert verdict(False, None, 1, failure) == "permanent"


@pytest.mark.parametrize(
    ("step", "error", "failure", "reason"),
    [
        (Step.PREPARE, CannotRun(Failure.NODE, "no engine"), Failure.NODE, "no engine"),
        (Step.PREPARE, CannotRun(Failure.EXIT, "no script", 127), Failure.EXIT, "no script"),
        (Step.PREPARE, ExtractFailed("/x", "no room"), Failure.NODE, "prepare: "),
        (Step.PREPARE, StoreUnreachable("/store", "gone"), Failure.STORE, "can't be reached"),
        (Step.RUN, OSError(28, "No space left on device", "/x"), Failure.NODE, "No space left on device: /x"),
        (Step.CAPTURE, BadOutput("output a is missing"), Failure.OUTPUT, "output a is missing"),
        (Step.STORE, StoreTrouble("block b is not there"), Failure.STORE, "block b is not there"),
        (Step.STORE, StoreUnreachable("/store", "gone"), Failure.STORE, "can't be reached"),
    ],
)
def test_each_trouble_has_its_failure_and_says_its_cause(step, error, failure, reason):
    outcome = outcome_of_trouble(step, error)
    assert outcome is not None
    assert outcome.failure is failure
    assert reason in outcome.reason


def test_what_is_in_no_row_is_a_bug_of_ours():
    assert outcome_of_trouble(Step.RUN, KeyError("x")) is None
    assert outcome_of_trouble(Step.RUN, BadOutput("x")) is None
    assert all(row.failure in MEANS for row in TROUBLES)


@pytest.mark.parametrize(("code", "failure"), [(0, Failure.OUTPUT), (3, Failure.OUTPUT), (111, Failure.TEMPORARY)])
def test_an_output_that_can_not_be_taken_keeps_the_exit_code_and_a_temporary_end_temporary(code, failure):
    ended = Outcome(exit_code=code, failure=Failure.EXIT if code else Failure.NONE, reason=f"exit code {code}")
    outcome = outcome_of_trouble(Step.STORE, BadOutput("output a is missing"), ended)
    assert outcome == Outcome(exit_code=code, failure=failure, reason=f"exit code {code}; output a is missing")
