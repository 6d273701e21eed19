"""Conflicts one side of which is lost: a block that is gone says nothing of which output is right."""

import pytest

from schemas import claims as c
from schemas.facts import Disagreed, ExecutionChanged, Granted
from schemas.reasons import Outcome, Reason
from schemas.tasks import TaskCopied
from schemas.work import Cancelled
from tests.support import mutations
from tests.support.scene import FP, Scene

TEAM = ("ada", "bob")  # who see each other's work; dan sees ada's alone, eve bob's alone


def scene(**config: int) -> Scene:
    s = Scene(**config).users(*TEAM, "dan", "eve")
    return s.may_read("ada", "bob").may_read("bob", "ada").may_read("dan", "ada").may_read("eve", "bob")


def lose(s: Scene, look) -> Scene:
    s.when(c.OutputMissing(fingerprint=FP, entry=look.entry, token=look.token, block="b"))
    s.given.restarted()
    return s


def one_lost(output: str = "two", *, other: bool = True) -> Scene:
    """Ada's output `one` is lost while somebody waits for a look at it; `other`: Bob's is there, with this output."""
    s = scene().asks("ada", "a1").exits("a1", output="one").when(c.Aged(before=1000)).asks("ada", "a2")
    look = s.verification()
    if other:
        s.asks("bob", "b1", refresh=True).exits("b1", output=output)
    return lose(s, look)


def given_to(s: Scene, owner: str, task: str) -> list[str]:
    """The outputs that the owner's next task is given."""
    return [body.output for body in s.asks(owner, task).all(TaskCopied)]


def why(s: Scene) -> list[str]:
    return [fact.why for fact in s.all(Granted)]


def judged(s: Scene, **fields: str) -> Scene:
    s.when(c.Invalidated(fingerprint=FP, **fields))
    s.given.restarted()
    return s


# --- It stands until somebody decides ---------------------------------------------------------------------------------


def test_what_is_left_is_not_given_because_the_blocks_of_the_other_are_gone():
    s = one_lost()
    assert why(s) == ["conflict"]  # who waited for the look
    assert given_to(s, "bob", "b2") == []
    assert why(s) == ["conflict"]


@pytest.mark.parametrize(("alone", "output"), [(True, ""), (False, "one")])
def test_what_stood_against_nothing_leaves_nothing_behind(alone, output):
    s = one_lost(output, other=not alone)
    claim = s.given.machine.rows[FP]
    assert claim.gone == ()
    if alone:
        s.exits("a2", output="another").asks("ada", "a3")
        assert s.fate("a3") == "copied"
    else:
        assert s.fate("a2") == "copied"


def test_a_release_accepts_what_was_lost_like_all_the_others():
    s = one_lost().when(c.Released(fingerprint=FP))
    assert given_to(s, "ada", "a3") == ["two"]
    s.asks("ada", "a4", refresh=True).exits("a4", output="one")
    assert given_to(s, "ada", "a5") == ["two"]
    s.asks("ada", "a6", refresh=True).exits("a6", output="three")
    assert given_to(s, "ada", "a7") == []


@pytest.mark.parametrize("says", [lambda s: {"keep": s.tokens["b1"]}, lambda s: {"token": s.tokens["a1"]}])
def test_when_the_lost_one_is_called_wrong_the_other_is_given(says):
    s = one_lost()
    lost = s.tokens["a1"]
    judged(s, **says(s))
    assert (lost, "invalidated") in [(fact.token, fact.status) for fact in s.all(ExecutionChanged)]
    assert given_to(s, "bob", "b2") == ["two"]


@pytest.mark.parametrize(
    "says", [lambda s: {"keep": s.tokens["a1"]}, lambda s: {"token": s.tokens["b1"]}, lambda s: {}]
)
def test_when_the_other_is_called_wrong_nothing_is_left_to_differ_from(says):
    s = one_lost().exits("a2", 1)
    judged(s, **says(s))
    assert given_to(s, "bob", "b2") == []
    s.exits("b2", output="three")
    assert given_to(s, "bob", "b3") == ["three"]


def test_its_author_may_take_the_promise_of_purity_back_of_what_is_lost():
    s = one_lost().when(c.PurityDropped(fingerprint=FP, task="a1", root="job-a1"))
    assert given_to(s, "bob", "b2") == ["two"]


# --- Others join it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("third", ["one", "two", "three"])
def test_whatever_a_third_execution_says_nobody_has_decided(third):
    s = one_lost().exits("a2", output=third)
    assert given_to(s, "ada", "a3") == []
    judged(s, keep=s.tokens["a2"])
    assert given_to(s, "ada", "a4") == [third]


def test_when_one_of_three_is_called_wrong_the_lost_one_still_stands_against_the_third():
    s = one_lost().exits("a2", output="three")
    judged(s, token=s.tokens["b1"])
    assert [fact.outputs for fact in s.all(Disagreed)] == [("one", "three")]
    assert given_to(s, "ada", "a3") == []
    judged(s, token=s.tokens["a1"])
    assert given_to(s, "ada", "a4") == ["three"]


def test_when_both_are_lost_the_next_one_is_not_simply_right():
    s = scene().asks("ada", "a1").exits("a1", output="one").when(c.Aged(before=1000)).asks("ada", "a2")
    first = s.verification()
    s.asks("bob", "b1", refresh=True).exits("b1", output="two").when(c.Aged(before=1000)).asks("eve", "e1")
    second = s.verification()
    lose(lose(s, first), second)
    assert why(s) == ["redecided"]  # eve sees Bob's alone
    s.exits("a2", output="one")
    assert given_to(s, "ada", "a3") == []
    s.when(c.Released(fingerprint=FP))
    assert given_to(s, "ada", "a4") == ["one"]


def test_a_fresh_execution_that_says_the_same_as_what_is_left_decides_nothing():
    s = one_lost().asks("ada", "a3", refresh=True)
    assert why(s) == ["refresh"]
    s.exits("a3", output="two")
    assert given_to(s, "ada", "a4") == []


def test_what_an_attempt_before_the_lost_one_said_too_late_is_lost_with_it_and_stands_too():
    s = scene().asks("ada", "a1")
    zombie = s.tokens["a1"]
    s.loses("a1").exits("a1", output="one").when(c.Aged(before=1000)).asks("ada", "a2")
    look = s.verification()
    s.exits("a1", token=zombie, output="zombie").asks("bob", "b1", refresh=True).exits("b1", output="one")
    lose(s, look)
    assert given_to(s, "bob", "b2") == []
    judged(s, keep=s.tokens["b1"])
    assert given_to(s, "bob", "b3") == ["one"]


def test_who_proves_to_read_the_inputs_of_what_is_left_is_not_given_it_either():
    s = scene().may_not_read("dan", "ada").asks("ada", "a1").exits("a1", output="one")
    s.asks("bob", "b1", by_inputs=True, refresh=True).exits("b1", output="two").may_read("dan", "ada")
    s.when(c.Aged(before=1000)).asks("dan", "d1")
    lose(s, s.verification())
    proof = s.verification()
    assert proof.prove == "dan"
    s.when(c.Verified(fingerprint=FP, entry=proof.entry, token=proof.token, proved=True))
    assert s.all(TaskCopied) == []
    assert why(s) == ["conflict"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_who_proves_to_read_the_inputs_is_given_none_of_two_that_are_open_and_differ(is_lost):
    def scenario() -> None:
        s = two_opened()
        if is_lost:
            s.when(c.Removed(fingerprint=FP, token=s.tokens["a1"]))
            s.given.restarted()
        proves(s.asks("zoe", "z1"), "zoe")
        assert s.all(TaskCopied) == []
        assert why(s) == ["conflict"]

    scenario()
    with mutations.proofs_of_one_entry(), pytest.raises(AssertionError):
        scenario()


def test_what_is_given_for_a_proof_is_what_was_kept_or_the_first_after_a_release():
    s = two_opened()
    judged(s, keep=s.tokens["d1"])
    proves(s.asks("zoe", "z1"), "zoe")
    assert [copied.output for copied in s.all(TaskCopied)] == ["two"]
    s = two_opened().when(c.Released(fingerprint=FP))
    proves(s.asks("zoe", "z1"), "zoe")
    assert [copied.output for copied in s.all(TaskCopied)] == ["one"]


@pytest.mark.parametrize("fields", [{}, {"by_inputs": True}])
def test_what_no_proof_opens_says_nothing_to_who_made_one(fields):
    s = scene().may_not_read("dan", "ada").asks("ada", "a1", by_inputs=True).exits("a1", output="one")
    s.asks("dan", "d1", refresh=True, **fields)
    if fields:
        s.queues("d1", "c")
    s.exits("d1", output="two").when(c.Aged(before=1000)).asks("dan", "d2")
    lose(s, s.verification())
    proves(s.asks("zoe", "z1"), "zoe")
    assert [copied.output for copied in s.all(TaskCopied)] == ["one"]


def two_opened() -> Scene:
    """Ada's output and Dan's differ, both open to whoever reads the inputs; neither sees the other's."""
    s = scene().may_not_read("dan", "ada").asks("ada", "a1", by_inputs=True).exits("a1", output="one")
    proves(s.asks("dan", "d1", by_inputs=True), "dan", is_made=False).exits("d1", output="two")
    assert [fact.outputs for fact in s.all(Disagreed)] == [("one", "two")]
    return s


def proves(s: Scene, owner: str, *, is_made: bool = True) -> Scene:
    look = s.verification()
    assert look.prove == owner
    return s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=is_made))


# --- To whom ----------------------------------------------------------------------------------------------------------


def test_who_sees_only_what_is_left_goes_on_being_given_it():
    s = one_lost()
    assert given_to(s, "eve", "e1") == ["two"]


@pytest.mark.parametrize("then", ["the same", "another"])
@pytest.mark.parametrize("quarantined", [False, True])
def test_who_sees_only_the_lost_one_is_served_as_if_there_were_no_other(then, quarantined):
    def life(*, other: bool) -> list[object]:
        s = one_lost(other=other).withdraws("a2")
        if quarantined:
            s.when(c.Quarantined(fingerprint=FP))
        said = []
        for task in ("d1", "d2", "d3"):
            s.asks("dan", task)
            told = [body for body in s.sent if getattr(body, "task", "") == task]
            said += [(type(body), getattr(body, "why", ""), getattr(body, "output", "")) for body in told]
            if s.fate(task) == "granted":
                s.exits(task, output=then + task if then == "another" else then)
        return said

    assert life(other=True) == life(other=False)


def test_who_comes_to_see_both_is_in_conflict_and_who_sees_one_no_more_is_not():
    s = one_lost().may_read("dan", "bob").asks("dan", "d1")
    assert why(s) == ["conflict"]
    s.withdraws("d1").may_not_read("dan", "ada").asks("dan", "d2")
    assert [body.output for body in s.all(TaskCopied)] == ["two"]


# --- Beside it --------------------------------------------------------------------------------------------------------


def test_entries_that_are_called_wrong_together_are_not_given_in_between():
    s = scene().asks("ada", "a1").exits("a1").when(c.Aged(before=1000)).asks("ada", "a2")
    s.asks("bob", "b1", refresh=True).exits("b1").when(c.Invalidated(fingerprint=FP))
    assert s.all(TaskCopied) == []
    assert s.fate("a2") == "granted"


def test_a_late_report_of_the_lost_one_is_told_what_it_always_was():
    with_other, alone = (one_lost(other=other).exits("a1", output="x").answer() for other in (True, False))
    assert with_other == alone


def test_the_partition_forgets_work_of_which_nothing_is_left():
    s = one_lost().withdraws("a2").when(c.Invalidated(fingerprint=FP, keep="none"))
    assert FP in s.given.machine.rows
    s.when(c.Invalidated(fingerprint=FP))
    assert s.given.machine.rows == {}


# --- Tidied away ------------------------------------------------------------------------------------------------------


def two() -> Scene:
    s = scene().asks("ada", "a1").exits("a1", output="one")
    return s.asks("bob", "b1", refresh=True).exits("b1", output="two")


def test_an_entry_that_is_taken_out_to_make_room_is_given_no_more():
    s = scene().asks("ada", "a1").exits("a1")
    gone = c.Removed(fingerprint=FP, token=s.tokens["a1"], reason="it is old")
    s.when(gone)
    assert [(fact.status, fact.detail) for fact in s.all(ExecutionChanged)] == [("removed", "it is old")]
    assert s.when(gone).answer() == (Outcome.NOTHING, Reason.UNKNOWN)
    assert given_to(s, "ada", "a2") == []
    assert why(s) == ["first"]
    assert s.when(c.Removed(fingerprint=FP, token=s.tokens["a2"])).answer() == (Outcome.NOTHING, Reason.UNKNOWN)


def test_who_makes_room_does_not_decide_between_two_outputs():
    s = two()
    s.when(c.Removed(fingerprint=FP, token=s.tokens["a1"]))
    assert given_to(s, "bob", "b2") == []
    assert why(s) == ["conflict"]
    assert given_to(s, "eve", "e1") == ["two"]


def test_who_waited_for_a_look_at_what_is_taken_out_is_decided_anew():
    s = scene().asks("ada", "a1").exits("a1").when(c.Aged(before=1000)).asks("ada", "a2")
    s.when(c.Removed(fingerprint=FP, token=s.tokens["a1"]))
    assert s.fate("a2") == "granted"
    assert len(s.all(Cancelled)) == 1
