"""The look at each grant: whoever is granted an execution saw no other live one to wait on, or an alert says so."""

from typing import Any

import pytest

from coordinator import claims_decide
from coordinator.proof import WatchedClaimsType
from schemas.claims import PurityLost
from schemas.facts import Doubled, Granted
from tests.support.scene import FP, Scene


class Overseen(Scene):
    """A scene that keeps every alert."""

    def __init__(self) -> None:
        self.alerts: list[Doubled] = []
        super().__init__()
        self.users("ada", "bob", "cyd")

    def when(self, *bodies: Any) -> "Overseen":
        super().when(*bodies)
        self.alerts += self.all(Doubled)
        return self


def test_a_grant_that_saw_nothing_live_is_no_alert() -> None:
    scene = Overseen()
    scene.asks("ada", "t1").asks("ada", "t2").asks("bob", "t3").may_read("bob", "ada").asks("bob", "t4")
    assert (scene.fates["t3"], scene.alerts) == (["granted"], [])


def test_what_is_granted_beside_another_on_purpose_is_no_alert() -> None:
    scene = Overseen()
    scene.asks("ada", "t1").asks("ada", "t2", refresh=True).asks("ada", "t3", cores=8)
    scene.exits("t1", 111)
    assert (scene.fates["t1"], scene.alerts) == (["granted", "granted"], [])


def test_waiters_that_are_decided_anew_are_looked_at_too() -> None:
    scene = Overseen()
    scene.may_read("ada", "cyd").asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
    scene.when(PurityLost(fingerprint=FP, token=scene.tokens["t1"], access="/etc/passwd"))
    assert (scene.fates["t2"], scene.alerts) == (["waiting", "granted"], [])


def test_a_rule_that_forgets_to_wait_is_told_of_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    scene = Overseen()
    scene.asks("ada", "t1").asks("bob", "t2").asks("ada", "t3")
    [alert] = scene.alerts
    assert alert == Doubled(fingerprint=FP, token=scene.tokens["t3"], beside=(scene.tokens["t1"],), live=2)
    said = [type(body) for body in scene.sent]
    assert said[:2] == [Granted, Doubled], "it stands next to the grant, and never after the answer"


def test_so_is_one_that_forgets_it_for_those_who_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Overseen()
    scene.asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    scene.when(PurityLost(fingerprint=FP, token=scene.tokens["t1"], access="/etc/passwd"))
    assert [(alert.token, alert.beside) for alert in scene.alerts] == [(scene.tokens["t3"], (scene.tokens["t2"],))]


def test_a_watched_machine_is_the_same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    watched = Scene(WatchedClaimsType(lambda fact: told.append(type(fact).__name__))()).users("ada", "bob", "cyd")
    plain = Scene().users("ada", "bob", "cyd")
    for story in (watched, plain):
        story.asks("ada", "t1").asks("ada", "t2").exits("t1", 1).exits("t2").asks("ada", "t3")
    assert told == ["Granted", "Granted"]
    assert watched.given.machine.snapshot() == plain.given.machine.snapshot()
    assert watched.fates == plain.fates
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    watched.asks("bob", "t4").may_read("bob", "cyd").asks("cyd", "t5").asks("bob", "t6")
    assert told[-2:] == ["Granted", "Doubled"]
