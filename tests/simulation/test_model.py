"""The simulator's model of claims, on steps of the machine that its schedules rarely come to."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from schemas import claims as c
from schemas.facts import Answered, Redecided
from schemas.settings import Forwarded
from schemas.topics import Topic
from tests.simulation.model_claims import ClaimsModel
from tests.simulation.sight import Broken
from tests.support import mutations
from tests.support.scene import FP, Scene


class Judged(Scene):
    """A scene of which the model judges each step."""

    def __init__(self) -> None:
        self.model = ClaimsModel(Counter(), {})
        super().__init__()

    def when(self, *bodies: Any) -> "Judged":
        for body in bodies:
            super().when(body)
            if isinstance(body, Forwarded):
                self.model.forwarded(body)
            else:
                outputs = [(one.topic, one.body) for one in self.given.outputs]
                answer = outputs.pop()[1]
                assert isinstance(answer, Answered)
                self.model.judge(body, len(self.given.seen) - 1, outputs, answer)
        return self


@pytest.fixture
def looked() -> Judged:
    """Bob asked for what Ada opened to who reads its inputs, which is looked into."""
    scene = Judged()
    scene.users("ada", "bob").asks("ada", "t1", by_inputs=True).starts("t1").exits("t1").asks("bob", "b1")
    return scene


def proved(scene: Judged) -> c.Verified:
    [look] = scene.model.claims[FP].looks.values()
    return c.Verified(fingerprint=FP, entry=look.entry.token, token=look.token, proved=True)


def test_a_proved_entry_may_be_in_conflict_with_what_its_asker_has_by_then(looked: Judged) -> None:
    looked.when(c.Imported(fingerprint=FP, task="b2", root="job-b2", owner="bob", output="other"))
    looked.when(proved(looked))
    assert looked.model.fired["granted: conflict"] == 1


def test_a_proved_entry_is_given_and_nothing_granted_in_its_place(looked: Judged) -> None:
    record = proved(looked)
    looked.given.when(record)
    offset, answer = len(looked.given.seen) - 1, looked.given.outputs[-1].body
    granted = Judged().users("bob").asks("bob", "b1").given.outputs[:-1]
    with pytest.raises(Broken, match=r"invariant 1 is broken: b1 was granted an execution although .* is done"):
        looked.model.judge(record, offset, [(one.topic, one.body) for one in granted], answer)


def test_a_proved_entry_is_not_given_while_another_that_is_open_differs() -> None:
    def happen() -> Judged:
        scene = Judged()
        scene.users("ada", "bob", "zoe").asks("ada", "t1", by_inputs=True).exits("t1", output="one")
        scene.asks("bob", "b1", by_inputs=True).when(msgspec.structs.replace(proved(scene), proved=False))
        scene.exits("b1", output="two").asks("zoe", "z1")
        return scene.when(proved(scene))

    assert happen().model.fired["granted: conflict"] == 1
    with mutations.proofs_of_one_entry(), pytest.raises(Broken, match=r"invariant 7 is broken: .* is not for use"):
        happen()


def test_a_proof_is_made_for_one_owner_and_for_nobody_who_asks_meanwhile() -> None:
    def happen() -> None:
        scene = Judged()
        scene.users("ada", "bob", "zoe").asks("ada", "t1", by_inputs=True).exits("t1").asks("bob", "b1").asks(
            "zoe", "z1"
        )

    happen()
    with mutations.proofs_shared_by_owners(), pytest.raises(Broken, match="the request of z1 came to nothing"):
        happen()


def test_who_was_proved_is_not_told_that_it_waited(looked: Judged) -> None:
    record = proved(looked)
    looked.given.when(record)
    *said, answer = ((one.topic, one.body) for one in looked.given.outputs)
    told = Redecided(fingerprint=FP, token=record.entry, task="b1", root="job-b1")
    with pytest.raises(Broken, match="b1 was proved to read the inputs, and told that it had waited"):
        looked.model.judge(record, len(looked.given.seen) - 1, [(Topic.FACTS, told), *said], answer[1])


@pytest.fixture
def late() -> Judged:
    """An attempt of Ada's task that was given up has another output than the next one."""
    scene = Judged()
    first = scene.users("ada").asks("ada", "t1").tokens["t1"]
    scene.loses("t1").exits("t1", output="good").exits("t1", token=first, output="zombie")
    return scene


def test_who_is_kept_against_what_came_too_late_is_told_and_given(late: Judged) -> None:
    late.when(c.Invalidated(fingerprint=FP, keep=late.tokens["t1"])).asks("ada", "t2")
    assert (late.model.fired["kept"], late.model.fired["reused"]) == (1, 1)


def test_that_somebody_is_kept_must_be_told(late: Judged) -> None:
    record = c.Invalidated(fingerprint=FP, keep=late.tokens["t1"])
    late.given.when(record)
    *_, answer = [output.body for output in late.given.outputs]
    with pytest.raises(Broken, match=r"invariant 7 is broken: an operator kept one, and nothing tells which"):
        late.model.judge(record, len(late.given.seen) - 1, [], answer)


def test_nobody_is_kept_whom_no_operator_named(late: Judged) -> None:
    record = c.Invalidated(fingerprint=FP, keep=late.tokens["t1"])
    late.given.when(record)
    *said, answer = late.given.outputs
    other = c.Invalidated(fingerprint=FP, token="another")
    with pytest.raises(Broken, match=r"invariant 7 is broken: .* was kept without a word of an operator"):
        late.model.judge(other, len(late.given.seen) - 1, [(one.topic, one.body) for one in said], answer.body)
