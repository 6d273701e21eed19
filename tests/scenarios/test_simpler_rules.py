"""Rules of order that look needless until the simpler rule is tried: each scenario shows what would go wrong."""

import pytest

from coordinator.claims import Claims
from coordinator.jobs import Jobs
from schemas import claims as c
from schemas import tasks as t
from schemas.settings import Forwarded, GrantRemoved, GrantSet, UserSet
from schemas.spec import JobSpec
from schemas.tasks import TaskCopied
from schemas.topics import Topic
from schemas.work import Cancelled, Ready
from tests.support.given import Given
from tests.support.scene import FP, Scene, task_spec


def _submit_and_cancel() -> list[object]:
    jobs = Given(Jobs()).when(
        t.JobSubmitted(root="j1", owner="ada", request="r", spec=JobSpec(task=task_spec())), t.JobCancelled(root="j1")
    )
    return [output.body for output in jobs.outputs if output.topic is Topic.CLAIMS]


def _left_running(commands: list[object]) -> int:
    claims = Given(Claims()).when(*commands)
    return len(claims.bodies(Ready)) - len(claims.bodies(Cancelled))


def test_the_jobs_machine_alone_writes_requested_and_withdrawn_so_they_stay_in_order():
    """Were `withdrawn` written by whoever cancels, it could come first, and nobody would ever stop the execution."""
    commands = _submit_and_cancel()
    assert [type(command) for command in commands] == [c.Requested, c.Withdrawn]
    assert _left_running(commands) == 0
    assert _left_running(commands[::-1]) == 1


def test_purity_is_lost_before_the_impure_read_is_answered():
    """Were the read answered first, a crash in between would leave an entry that depends on what was read."""
    before = Scene().users("ada").asks("ada", "t1")
    token = before.tokens["t1"]
    before.when(c.PurityLost(fingerprint=FP, token=token, access="GET /users")).exits("t1").asks("ada", "t2")
    assert before.fate("t2") == "granted"
    answered_first = Scene().users("ada").asks("ada", "t1").exits("t1").asks("ada", "t2")
    assert answered_first.all(TaskCopied)


def _settings(*changes: object) -> list[Forwarded]:
    return [Forwarded(change=change, position=position) for position, change in enumerate(changes, 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize("swapped", [False, True])
def test_settings_have_one_order_for_all(swapped):
    """Each partition may be told again, or late, by a forwarder that was killed; what it was told before stands.

    The rule is the position. Without it (`swapped` applies the same records by arrival) a revoked grant comes back.
    """
    users = [UserSet(user="ada", name="ada"), UserSet(user="bob", name="bob")]
    grant, revoke = _settings(*users, GrantSet(subject="bob", object="ada"), GrantRemoved(subject="bob", object="ada"))[
        2:
    ]
    late = Forwarded(change=grant.change, position=5) if swapped else grant
    s = Scene()
    s.given.having(*_settings(*users), grant, revoke, late)
    s.asks("ada", "t1").exits("t1").asks("bob", "t2")
    assert s.fates["t2"] == (["copied"] if swapped else ["granted"])
