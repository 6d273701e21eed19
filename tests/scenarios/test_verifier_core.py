"""The verifier's rules: only the store's own "not found" says that an output is missing."""

from pathlib import Path

import msgspec
import pytest

from consumers.verifier import Found, Judged, Look, VerifierCore, look
from schemas.claims import OutputMissing, Verified
from schemas.work import Ready
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.verification import Verdict, Verification

READY = Ready(pool="p", token="v", kind="verify", fingerprint="f", owner="o", entry="e", output="a" * 32 + "+1")
WHOLE = Found(Verification(verdict=Verdict.WHOLE))
AWAY = Found(Verification(verdict=Verdict.UNREACHABLE, reason="gone"))
PROVING = msgspec.structs.replace(READY, prove="bob")


@pytest.fixture
def saved(tmp_path: Path) -> tuple[CollectionStore, str]:
    """A store with an output in it."""
    store = CollectionStore(BlockStore.create(tmp_path / "store"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("made")
    return store, store.save_directory(tmp_path / "out").portable_data_hash


def begun() -> VerifierCore:
    verifier = VerifierCore()
    assert verifier.begin(READY) == Look("v", READY)
    return verifier


def test_a_whole_output_is_verified():
    assert begun().looked("v", WHOLE, 0) == Judged("v", Verified(fingerprint="f", entry="e", token="v"))


def test_a_missing_block_is_named():
    found = Found(Verification(verdict=Verdict.MISSING, missing=("b+1", "c+2")))
    assert begun().looked("v", found, 0) == Judged(
        "v", OutputMissing(fingerprint="f", entry="e", token="v", block="b+1")
    )


def test_a_damaged_block_is_as_good_as_missing():
    found = Found(Verification(verdict=Verdict.MISSING, damaged=("d+3",)))
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


# --- With a proof -----------------------------------------------------------------------------------------------------


class Proofs:
    """Says these one after another, and counts how often it was asked."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, ready: Ready) -> bool:
        assert ready.prove == "bob"
        self.asked += 1
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "proved"), [((True, True), True), ((True, False), False)], ids=["proved", "revoked meanwhile"]
)
def test_the_proof_is_made_again_when_the_output_is_known_to_be_there(saved, answers, proved):
    store, output = saved
    proofs = Proofs(*answers)
    found = look(store, msgspec.structs.replace(PROVING, output=output), proofs)
    assert (found.output.verdict, found.proved, proofs.asked) == (Verdict.WHOLE, proved, 2)


def test_without_a_proof_nobody_looks_at_the_output(saved):
    store, _ = saved
    found = look(store, PROVING, Proofs(False))
    assert found == Found(None)
    verifier = VerifierCore()
    verifier.begin(PROVING)
    assert verifier.looked("v", found, 0) == Judged("v", Verified(fingerprint="f", entry="e", token="v", proved=False))


def test_what_is_gone_is_said_to_be_gone_and_proves_nothing(saved):
    store, _ = saved
    found = look(store, PROVING, Proofs(True))
    assert (found.output.verdict, found.proved) == (Verdict.MISSING, False)


def test_nothing_has_to_be_proved_by_who_sees_the_entry(saved):
    store, output = saved
    assert look(store, msgspec.structs.replace(READY, output=output), Proofs()).output.verdict is Verdict.WHOLE


def test_a_proof_goes_with_the_look_that_it_was_made_for():
    verifier = VerifierCore()
    verifier.begin(PROVING)
    assert verifier.looked("v", AWAY, 0) is None
    [again] = verifier.tick(verifier.due())
    assert again == Look("v", PROVING)
    assert verifier.looked("v", WHOLE._replace(proved=True), 0).report.proved
