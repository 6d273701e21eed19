"""The look at each grant: whoever is granted an execution saw no other live one to wait on, or it is told."""

import pytest

from coordinator import claims_decide
from coordinator.proof import WatchedClaimsType
from schemas.claims import PurityLost
from schemas.facts import Granted
from tests.support.scene import FP, Scene


def watched(**config: int) -> tuple[Scene, list[tuple[str, int]]]:
    told: list[tuple[str, int]] = []

    def hear(granted: Granted, live: int) -> None:
        told.append((granted.task, live))

    return Scene(WatchedClaimsType(hear)(), **config).users("ada", "bob", "cyd"), told


def test_a_grant_that_saw_nothing_live_counts_one() -> None:
    scene, told = watched()
    scene.asks("ada", "t1").asks("ada", "t2").asks("bob", "t3").may_read("bob", "ada").asks("bob", "t4")
    assert told == [("t1", 1), ("t3", 1)]


def test_what_is_granted_beside_another_on_purpose_counts_one() -> None:
    scene, told = watched()
    scene.asks("ada", "t1").asks("ada", "t2", refresh=True).asks("ada", "t3", cores=8)
    scene.exits("t1", 111)
    assert told == [("t1", 1), ("t2", 1), ("t3", 1), ("t1", 1)]


def test_waiters_that_are_decided_anew_are_looked_at_too() -> None:
    scene, told = watched()
    scene.may_read("ada", "cyd").asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
    scene.when(PurityLost(fingerprint=FP, token=scene.tokens["t1"], access="/etc/passwd"))
    assert told == [("t1", 1), ("t2", 1)]


def test_a_rule_that_forgets_to_wait_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    scene, told = watched()
    scene.asks("ada", "t1").asks("bob", "t2").asks("ada", "t3")
    assert told == [("t1", 1), ("t2", 1), ("t3", 2)]


def test_the_watched_machine_is_the_same_machine() -> None:
    scene, told = watched()
    plain = Scene().users("ada", "bob", "cyd")
    for story in (scene, plain):
        story.asks("ada", "t1").asks("ada", "t2").exits("t1", 1).exits("t2").asks("ada", "t3")
    assert told
    assert scene.given.machine.snapshot() == plain.given.machine.snapshot()
    assert scene.fates == plain.fates
