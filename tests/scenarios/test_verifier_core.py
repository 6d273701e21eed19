"""The verifier's rules: only the store's own "not found" says that an output is missing."""

from consumers.verifier import Judged, Look, VerifierCore
from schemas.claims import OutputMissing, Verified
from schemas.work import Ready
from store.verification import Verdict, Verification

READY = Ready(pool="p", token="v", kind="verify", fingerprint="f", owner="o", entry="e", output="a" * 32 + "+1")
WHOLE = Verification(verdict=Verdict.WHOLE)
AWAY = Verification(verdict=Verdict.UNREACHABLE, reason="gone")


def begun() -> VerifierCore:
    verifier = VerifierCore()
    assert verifier.begin(READY) == Look("v", READY)
    return verifier


def test_a_whole_output_is_verified():
    assert begun().looked("v", WHOLE, 0) == Judged("v", Verified(fingerprint="f", entry="e", token="v"))


def test_a_missing_block_is_named():
    found = Verification(verdict=Verdict.MISSING, missing=("b+1", "c+2"))
    assert begun().looked("v", found, 0) == Judged(
        "v", OutputMissing(fingerprint="f", entry="e", token="v", block="b+1")
    )


def test_a_damaged_block_is_as_good_as_missing():
    found = Verification(verdict=Verdict.MISSING, damaged=("d+3",))
    judged = begun().looked("v", found, 0)
    assert judged
    assert judged.report.block == "d+3"


def test_a_store_that_cannot_be_reached_is_asked_again_less_and_less_often():
    verifier = begun()
    now, pauses = 0, []
    for _ in range(9):
        assert verifier.looked("v", AWAY, now) is None
        due = verifier.due()
        assert due is not None
        assert verifier.tick(due - 1) == []
        pauses.append(due - now)
        now = due
        assert verifier.tick(now) == [Look("v", READY)]
        assert verifier.due() is None
    assert pauses == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
    assert verifier.looked("v", WHOLE, now)


def test_what_is_no_longer_wanted_is_not_reported():
    verifier = begun()
    verifier.drop("v")
    assert verifier.looked("v", WHOLE, 0) is None
    assert verifier.due() is None
