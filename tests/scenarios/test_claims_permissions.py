"""Nothing crosses a permission boundary, over any chain of promotions and copies; the simpler rules fail."""

import msgspec
import pytest

from schemas import claims as c
from schemas.facts import Disagreed, Granted, Redecided, Reused
from schemas.settings import GroupSet
from schemas.tasks import TaskCopied, TaskFailed
from schemas.work import Ready
from tests.support import mutations
from tests.support.scene import FP, Scene, task_spec


def fails_under(mutation, scenario, error=AssertionError) -> None:
    """The scenario holds for the rules, and does not for the simpler rule."""
    scenario()
    with mutation(), pytest.raises(error):
        scenario()


def scene(**config: int) -> Scene:
    return Scene(**config).users("ada", "bob", "cyd", "dan")


def test_an_owners_change_never_hands_on_what_only_the_new_owner_may_see():
    def scenario() -> None:
        s = scene().may_read("bob", "ada").may_read("cyd", "ada")
        s.asks("ada", "a").starts("a").asks("bob", "b").asks("cyd", "c").withdraws("a")
        assert s.fate("b") == "promoted"
        assert s.fate("c") == "granted"
        s.exits("b", output="bobs")
        assert s.fate("c") == "granted"
        s.exits("c", output="cyds")
        assert s.fate("c") == "completed"

    fails_under(mutations.waiters_inherited, scenario)


def test_a_waiter_who_may_see_the_new_owner_goes_on_waiting():
    s = scene().may_read("bob", "ada").may_read("cyd", "ada").may_read("cyd", "bob")
    s.asks("ada", "a").asks("bob", "b").asks("cyd", "c").withdraws("a")
    assert s.fates["c"] == ["waiting"]
    s.exits("b")
    assert s.fate("c") == "copied"


def test_who_lost_the_right_while_waiting_gets_nothing():
    def scenario() -> None:
        s = scene().may_read("bob", "ada").asks("ada", "a").asks("bob", "b").may_not_read("bob", "ada").exits("a")
        assert s.fate("b") == "granted"
        assert s.all(TaskCopied) == []

    fails_under(mutations.visibility_of_yesterday, scenario)


def test_an_entry_is_not_given_to_who_may_not_see_its_owner():
    def scenario() -> None:
        s = scene().asks("ada", "a").exits("a").asks("bob", "b")
        assert s.fates["b"] == ["granted"]

    fails_under(mutations.visibility_ignored, scenario)


def test_who_holds_a_copy_holds_it_for_those_who_see_them():
    s = scene().may_read("bob", "ada").may_read("cyd", "bob")
    s.asks("ada", "a").exits("a").asks("cyd", "c1")
    assert s.fates["c1"] == ["granted"]
    s = scene().may_read("bob", "ada").may_read("cyd", "bob")
    s.asks("ada", "a").exits("a").asks("bob", "b").asks("cyd", "c")
    assert s.fates["c"] == ["copied"]
    assert s.all(TaskCopied)[0].source == "b"


def test_a_right_given_while_an_old_entry_is_looked_at_is_asked_for_again_when_it_is_due():
    s = scene().may_read("bob", "ada").asks("ada", "a").exits("a").when(c.Aged(before=1000)).asks("bob", "b")
    look = s.verification()
    s.may_not_read("bob", "ada").when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token))
    assert s.fate("b") == "granted"


def test_failed_waiters_are_decided_anew_each_under_their_own_sight():
    def scenario() -> None:
        s = scene().may_read("bob", "ada").may_read("cyd", "ada")
        s.asks("ada", "a").asks("bob", "b").asks("cyd", "c").exits("a", 1)
        assert [r.task for r in s.all(Redecided)] == ["b", "c"]
        assert s.fate("b") == s.fate("c") == "granted"

    fails_under(mutations.waiters_not_redecided, scenario)


def test_a_waiter_is_not_told_of_failures_it_may_not_see():
    s = scene().may_read("cyd", "ada")
    s.asks("bob", "b").exits("b", 3).asks("ada", "a").asks("cyd", "c").exits("a", 3)
    assert s.all(TaskFailed)[0].task == "a"
    assert s.fate("c") == "granted"


def test_a_disagreement_seen_by_one_does_not_stop_another():
    s = scene().may_read("dan", "ada").may_read("dan", "bob")
    s.asks("ada", "a").exits("a", output="one").asks("bob", "b").exits("b", output="two")
    assert s.all(Disagreed)
    s.asks("dan", "d").asks("ada", "a2")
    assert s.fates["d"] == ["granted"]
    assert s.fates["a2"] == ["copied"]


def test_a_zombies_output_is_never_given():
    def scenario() -> None:
        s = scene().asks("ada", "a").asks("ada", "a2")
        old = s.tokens["a"]
        s.loses("a").exits("a", token=old, output="zombie")
        assert s.all(TaskCopied) == []
        s.exits("a", output="good")
        assert s.all(TaskCopied) == []
        assert [b.outputs for b in s.all(Disagreed)] == [("zombie", "good")]
        assert s.fates["a2"] == ["waiting", "granted"]

    fails_under(mutations.no_fencing, scenario)


def test_what_came_too_late_is_told_to_none_but_those_who_see_the_one_that_counts():
    s = scene().may_read("bob", "ada").asks("ada", "a")
    old = s.tokens["a"]
    s.loses("a").exits("a", output="good").exits("a", token=old, output="zombie").asks("cyd", "c").exits("c")
    assert s.fates["c"] == ["granted", "completed"]
    s.asks("cyd", "c2").asks("bob", "b")
    assert (s.fate("c2"), s.fate("b")) == ("copied", "granted")


def test_who_takes_an_execution_over_hears_nothing_of_its_earlier_attempts():
    s = scene().may_read("bob", "ada").asks("ada", "a").asks("bob", "b")
    old = s.tokens["a"]
    s.loses("a").withdraws("a").exits("b", output="good").exits("b", token=old, output="zombie")
    assert s.all(Disagreed) == []
    s.asks("bob", "b2")
    assert s.fate("b2") == "copied"


def test_what_a_group_owns_is_shared_with_its_members():
    s = scene().setting(GroupSet(group="lab", name="lab", owner="ada")).may_read("bob", "lab")
    s.asks("lab", "l").exits("l").asks("bob", "b").asks("cyd", "c")
    assert s.fates["b"] == ["copied"]
    assert s.fates["c"] == ["granted"]


def test_what_nothing_isolated_is_its_owners_alone():
    def scenario() -> None:
        s = scene().may_read("bob", "ada")
        s.asks("ada", "a").starts("a", runner="process").exits("a")
        s.asks("ada", "a2").asks("bob", "b")
        assert s.fates["a2"] == ["copied"]
        assert s.fates["b"] == ["granted"]

    fails_under(mutations.process_outputs_shared, scenario)


def test_who_waits_is_decided_anew_when_the_work_starts_with_nothing_around_it():
    def scenario() -> None:
        s = scene().may_read("bob", "ada").may_read("cyd", "bob").may_read("cyd", "ada")
        s.asks("ada", "a").asks("bob", "b").asks("ada", "a2").asks("cyd", "c").starts("a", runner="process")
        assert [r.task for r in s.all(Redecided)] == ["b", "c"]
        assert s.fates["b"] == ["waiting", "granted"]
        assert s.fates["c"] == ["waiting", "waiting"]
        s.starts("b").exits("b", output="bobs")
        assert s.fate("c") == "copied"
        s.exits("a", output="adas")
        assert s.fate("a2") == "copied"
        s.asks("cyd", "c2")
        assert s.all(TaskCopied)[0].output == "bobs"

    fails_under(mutations.process_outputs_shared, scenario)


def test_the_next_attempt_may_be_shared_again():
    s = scene().may_read("bob", "ada").asks("ada", "a").starts("a", runner="process").exits("a", 111)
    s.asks("bob", "b").starts("a").exits("a")
    assert s.fates["b"] == ["waiting", "copied"]


def test_a_private_entry_is_not_opened_by_its_inputs():
    s = scene().asks("ada", "a", by_inputs=True).starts("a", runner="process").exits("a").asks("bob", "b")
    assert s.fates["b"] == ["granted"]


def proof(s: Scene, is_made: bool) -> Scene:
    """What becomes of the one proof that the last step asked for."""
    look = s.verification()
    return s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=is_made))


def test_a_proof_is_made_for_each_who_asks_and_anew_for_whoever_failed():
    s = scene().asks("ada", "a", by_inputs=True).exits("a")
    for owner, is_made in (("bob", False), ("cyd", True)):
        s.asks(owner, owner)
        assert s.verification().prove == owner
        proof(s, is_made)
    assert (s.fates["bob"], s.fates["cyd"]) == (["granted"], ["copied"])
    s.asks("bob", "again")
    assert s.fates["again"] == ["waiting"], "on what he runs himself"


def test_without_a_proof_nothing_is_given():
    def scenario() -> None:
        s = scene().asks("ada", "a", by_inputs=True).exits("a").asks("bob", "b")
        proof(s, False)
        assert s.fates["b"] == ["granted"]

    fails_under(mutations.no_proof, scenario)


def test_a_proof_is_made_for_one_owner_and_opens_nothing_to_others_who_ask_meanwhile():
    def scenario() -> None:
        s = scene().asks("ada", "a", by_inputs=True).exits("a").asks("bob", "b")
        bobs = s.verification()
        proof(s.asks("cyd", "c"), False)
        s.when(c.Verified(fingerprint=FP, entry=bobs.entry, token=bobs.token, proved=True))
        assert (s.fates["b"], s.fates["c"]) == (["copied"], ["granted"])

    fails_under(mutations.proofs_shared_by_owners, scenario, ValueError)


def test_who_was_proved_to_read_the_inputs_never_waited():
    s = scene().asks("ada", "a", by_inputs=True).exits("a").asks("bob", "b")
    look = s.verification()
    s.asks("bob", "b2").when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=True))
    assert [reused.task for reused in s.all(Reused)] == ["b", "b2"]
    assert s.all(Redecided) == []


@pytest.mark.parametrize("proved", [True, False])
def test_more_than_may_wait_for_a_proof_are_not_told_that_there_is_one(proved):
    s = scene(max_waiters=1).asks("ada", "a", by_inputs=True).exits("a").asks("bob", "b")
    look = s.verification()
    s.asks("bob", "b2")
    assert [granted.why for granted in s.all(Granted)] == ["first"]
    s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=proved))
    assert s.fates == {"a": ["granted", "completed"], "b2": ["granted"], "b": ["copied" if proved else "waiting"]}


def test_a_proof_that_failed_is_no_look_at_the_output():
    s = scene().may_read("cyd", "ada").asks("ada", "a", by_inputs=True).exits("a").when(c.Aged(before=10**9))
    proof(s.asks("bob", "b"), False)
    s.asks("cyd", "c")
    assert s.fates["c"] == ["waiting"]
    assert s.verification().prove == ""


def test_a_proof_that_was_made_is_a_look_at_the_output():
    s = scene().may_read("cyd", "ada").asks("ada", "a", by_inputs=True).exits("a")
    proof(s.asks("bob", "b"), True)
    s.asks("cyd", "c")
    assert s.fates["c"] == ["copied"]


def test_what_queued_tasks_is_not_given_for_a_proof():
    s = scene().asks("ada", "a", by_inputs=True).queues("a", "c").exits("a").asks("bob", "b")
    assert s.fates["b"] == ["granted"]
    assert [ready.kind for ready in s.all(Ready)] == ["execute"]


def test_a_proof_is_about_all_that_the_asker_named():
    task = msgspec.Raw(msgspec.json.encode(task_spec()))
    bound = msgspec.Raw(b'{"reference":"' + b"a" * 32 + b'+1"}')
    s = scene().asks("ada", "a", by_inputs=True).exits("a").asks("bob", "b", spec=task, bound=bound)
    assert (s.verification().spec, s.verification().bound) == (task, bound)


def test_who_proved_it_is_given_it_by_others_only_as_far_as_they_see_them():
    s = scene().may_read("dan", "cyd").asks("ada", "a", by_inputs=True).exits("a")
    proof(s.asks("cyd", "c"), True)
    s.asks("dan", "d")
    assert s.fates["d"] == ["copied"]
    s.asks("bob", "b")
    assert s.verification().prove == "bob"


def test_private_failures_count_for_their_owner_alone():
    s = scene(failure_quorum=1).may_read("bob", "ada")
    s.asks("ada", "a").asks("ada", "a2").starts("a", runner="process").exits("a", 3)
    assert s.fate("a2") == "failed"
    s.asks("bob", "b").asks("bob", "b2").exits("b", 4)
    assert s.all(TaskFailed)[-1].exit_code == 4


def test_a_private_execution_is_handed_on_within_its_owners_tasks_only():
    s = scene().may_read("bob", "ada").asks("ada", "a").starts("a", runner="process").asks("ada", "a2").withdraws("a")
    assert s.fate("a2") == "promoted"
    s.asks("bob", "b")
    assert s.fates["b"] == ["granted"]


@pytest.mark.parametrize("judged", [c.Quarantined(fingerprint=FP), c.Invalidated(fingerprint=FP)])
def test_who_sees_nothing_is_not_told_that_something_was_judged(judged):
    s = scene().may_read("bob", "ada").asks("ada", "a").exits("a").when(judged).asks("cyd", "c")
    assert [granted.why for granted in s.all(Granted)] == ["first"]
    s.asks("bob", "b")
    assert [granted.why for granted in s.all(Granted)] == ["quarantined" if type(judged) is c.Quarantined else "first"]


@pytest.mark.parametrize("judged", [c.Quarantined(fingerprint=FP), c.Invalidated(fingerprint=FP)])
def test_who_had_something_to_prove_is_not_told_that_it_is_gone(judged):
    s = scene().asks("ada", "a", by_inputs=True).exits("a").asks("cyd", "c").when(judged)
    assert [granted.why for granted in s.all(Granted)] == ["first"]


def test_who_asks_for_a_fresh_execution_is_not_told_whether_there_was_another():
    s = scene().asks("ada", "a").exits("a").asks("cyd", "c", refresh=True)
    assert [granted.why for granted in s.all(Granted)] == ["first"]
    s.asks("cyd", "c2", refresh=True)
    assert [granted.why for granted in s.all(Granted)] == ["refresh"]
