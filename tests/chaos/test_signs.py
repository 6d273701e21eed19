"""What signs of life must list, on records as the topics have them."""

import pytest

from schemas.assignments import Stopped
from schemas.claims import Exited, Started
from schemas.fields import Record
from schemas.work import Alive, Joined
from tests.chaos.signs import Signs
from tests.simulation.sight import Broken

NODE = {"pool": "default", "node": "node-a"}
STARTED = Started(
    fingerprint="f", token="t", node="node-a", incarnation="one", runner="bubblewrap", environment="debian"
)
EXITED = Exited(fingerprint="f", token="t", node="node-a", exit_code=0)
STOPPED = Stopped(node="node-a", incarnation="one", token="t", cause="fenced")
SILENT = Alive(**NODE, incarnation="one")
LISTING = Alive(**NODE, incarnation="one", tokens=("t",))
ANEW = Joined(**NODE, incarnation="two", slots=1, cores=1, memory=1, scratch=1, adopts=("t",))


def heard(*bodies: Record) -> None:
    signs = Signs()
    for body in bodies:
        signs.landed(body)


@pytest.mark.parametrize(
    "bodies",
    [
        [STARTED, LISTING, LISTING],
        [STARTED, SILENT, LISTING, SILENT, LISTING],
        [STARTED, EXITED, SILENT, SILENT],
        [STARTED, STOPPED, SILENT, SILENT],
        [STARTED, EXITED, STARTED, SILENT, SILENT],
        [STARTED, ANEW, SILENT, SILENT],
    ],
    ids=["listed", "late once", "ended", "told to stop", "said again", "another incarnation's"],
)
def test_signs_of_life_that_list_what_runs(bodies: list[Record]) -> None:
    heard(*bodies)


@pytest.mark.parametrize(
    "bodies",
    [
        [STARTED, SILENT, SILENT],
        [STARTED, LISTING, SILENT, SILENT],
        [STARTED, ANEW, *[Alive(**NODE, incarnation="two")] * 2],
    ],
    ids=["never", "no longer", "adopted"],
)
def test_signs_of_life_that_leave_out_what_runs(bodies: list[Record]) -> None:
    with pytest.raises(Broken, match=r"invariant 11 is broken: node-a has started t, and 2 signs of life"):
        heard(*bodies)
