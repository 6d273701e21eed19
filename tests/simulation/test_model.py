"""The simulator's model of claims, on steps of the machine that its schedules rarely come to."""

from collections import Counter
from typing import Any

import pytest

from schemas import claims as c
from schemas.facts import Answered
from schemas.settings import Forwarded
from tests.simulation.model_claims import ClaimsModel
from tests.simulation.sight import Broken
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
    given = [*looked.given.outputs[:1], *granted]  # decided anew, and then granted
    with pytest.raises(Broken, match=r"invariant 1 is broken: b1 was granted an execution although .* is done"):
        looked.model.judge(record, offset, [(one.topic, one.body) for one in given], answer)
