"""What a task's output tells of Keep makes its failure a temporary one, however the output comes in pieces."""

import pytest

from consumers.executor.keeperrors import KeepErrors
from consumers.runners.port import Outcome
from schemas.reasons import Failure

FAILED = Outcome(exit_code=1, failure=Failure.EXIT, reason="it exited with 1")
TOLD = b"arvados.errors.KeepReadError: failed to read 12\n"


@pytest.mark.parametrize("cut", range(len(TOLD)))
def test_an_error_of_keep_is_heard_in_pieces_too(cut: int) -> None:
    passed: list[bytes] = []
    heard = KeepErrors(passed.append)
    for piece in (b"x" * 100, TOLD[:cut], TOLD[cut:], b"y" * 100):
        heard(piece)
    assert b"".join(passed) == b"x" * 100 + TOLD + b"y" * 100
    judged = heard.judged(FAILED)
    assert (judged.exit_code, judged.failure) == (111, Failure.EXIT)
    assert judged.reason == "it exited with 1, after an error of Keep's: a temporary failure"


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(exit_code=0),
        Outcome(exit_code=137, failure=Failure.OUT_OF_MEMORY, reason="memory"),
        Outcome(exit_code=1, failure=Failure.OUTPUT, reason="no output"),
    ],
)
def test_nothing_but_a_failure_by_exit_code_is_changed(outcome: Outcome) -> None:
    heard = KeepErrors(lambda _: None)
    heard(TOLD)
    assert heard.judged(outcome) == outcome


def test_other_words_are_no_error_of_keep() -> None:
    heard = KeepErrors(lambda _: None)
    heard(b"KeepError: KeepReadErrors\nKeepWriteErro")
    assert heard.judged(FAILED) == FAILED
