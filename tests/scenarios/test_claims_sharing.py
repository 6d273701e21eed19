"""Who runs, who waits, who is given the output: the ordinary life of a claim."""

import pytest

from schemas import claims as c
from schemas.facts import ClaimChanged, Disagreed, ExecutionChanged, Granted, Reused, Waiting
from schemas.reasons import Failure, Outcome, Reason
from schemas.tasks import TaskCompleted, TaskCopied, TaskCreated, TaskFailed
from schemas.work import Cancelled, Ready, Reprioritised
from tests.support.scene import FP, Scene


def scene(**config: int) -> Scene:
    return Scene(**config).users("ada", "bob", "cyd")


def test_the_first_request_is_granted_and_the_second_waits_and_both_get_the_output():
    s = scene().asks("ada", "t1").asks("ada", "t2")
    assert s.fates == {"t1": ["granted"], "t2": ["waiting"]}
    s.starts("t1").exits("t1")
    assert s.fate("t1") == "completed"
    assert s.fate("t2") == "copied"
    assert s.all(TaskCopied)[0].source == "t1"


def test_a_later_request_is_copied_at_once():
    s = scene().asks("ada", "t1").exits("t1").asks("ada", "t2")
    assert s.fates["t2"] == ["copied"]
    assert s.all(Granted) == []


def test_who_may_not_read_the_owner_runs_their_own_and_learns_nothing():
    s = scene().asks("ada", "t1").asks("bob", "t2")
    assert s.fates["t2"] == ["granted"]
    assert s.tokens["t1"] not in repr(s.sent)
    s.exits("t1").asks("cyd", "t3")
    assert s.fates["t3"] == ["granted"]


def test_a_copy_comes_with_its_children_before_it():
    s = scene().asks("ada", "t1").starts("t1").queues("t1", "x").queues("t1", "y").exits("t1")
    kinds = [type(b) for b in s.sent if type(b) in (TaskCreated, TaskCompleted)]
    assert kinds == [TaskCreated, TaskCreated, TaskCompleted]
    first = [b.task for b in s.all(TaskCreated)]
    s.asks("ada", "t2")
    kinds = [type(b) for b in s.sent if type(b) in (TaskCreated, TaskCopied)]
    assert kinds == [TaskCreated, TaskCreated, TaskCopied]
    copied = s.all(TaskCreated)
    assert [b.created_by for b in copied] == ["t2", "t2"]
    assert not set(first) & {b.task for b in copied}


def test_a_child_queued_twice_is_one_child():
    s = scene().asks("ada", "t1").queues("t1", "x").queues("t1", "x")
    assert s.answer() == (Outcome.NOTHING, Reason.ALREADY)
    s.exits("t1")
    assert len(s.all(TaskCreated)) == 1


def test_the_same_exit_again_is_the_standing_answer_and_another_output_is_refused():
    s = scene().asks("ada", "t1").exits("t1").exits("t1")
    assert s.answer() == (Outcome.NOTHING, Reason.ALREADY)
    s.exits("t1", output="other")
    assert s.answer() == (Outcome.REFUSED, Reason.OTHER_OUTPUT)


def test_an_exit_under_an_old_token_is_refused_and_never_visible():
    s = scene().asks("ada", "t1").asks("ada", "t2")
    old = s.tokens["t1"]
    s.loses("t1").exits("t1", token=old, output="zombie")
    assert s.answer() == (Outcome.REFUSED, Reason.NOT_CURRENT)
    assert len(s.sent) == 1
    s.exits("t1", output="zombie")
    assert [b.output for b in s.all(TaskCopied)] == ["zombie"]


@pytest.mark.parametrize("end", [lambda s: s.exits("t1", 111), lambda s: s.loses("t1")])
def test_a_temporary_failure_is_granted_again_to_the_same_task_in_the_same_place_three_times(end):
    s = scene().asks("ada", "t1").asks("ada", "t2")
    for attempt in (2, 3):
        end(s)
        assert [(g.task, g.attempt) for g in s.all(Granted)] == [("t1", attempt)]
        assert s.fate("t2") == "waiting"
    end(s)
    assert s.all(TaskFailed)[0].reason is Reason.ATTEMPTS_EXHAUSTED
    assert s.fate("t2") == "granted"


def test_children_of_a_failed_attempt_are_dropped():
    s = scene().asks("ada", "t1").queues("t1", "x").exits("t1", 111).queues("t1", "y").exits("t1")
    assert len(s.all(TaskCreated)) == 1


def test_what_a_failed_execution_had_named_as_its_output_is_its_own_tasks_and_nobody_elses():
    s = scene().asks("ada", "t1").asks("ada", "t2")
    s.when(c.Reported(fingerprint=FP, token=s.tokens["t1"], output="partial")).exits("t1", 1)
    assert [(b.task, b.output) for b in s.all(TaskFailed)] == [("t1", "partial")]
    assert s.fate("t2") == "granted"
    s.exits("t2", 1)
    assert [b.output for b in s.all(TaskFailed)] == [""]
    s.asks("ada", "t3")
    assert s.fate("t3") == "granted"


def test_what_an_attempt_named_counts_no_more_when_there_is_another():
    s = scene().asks("ada", "t1")
    s.when(c.Reported(fingerprint=FP, token=s.tokens["t1"], output="partial")).exits("t1", 111).exits("t1", 1)
    assert [b.output for b in s.all(TaskFailed)] == [""]


def test_a_permanent_failure_fails_its_own_task_and_the_waiters_are_decided_anew_in_order():
    s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3").exits("t1", 1)
    assert s.fate("t1") == "failed"
    assert s.fates["t2"] == ["waiting", "granted"]
    assert s.fates["t3"] == ["waiting", "waiting"]
    assert s.all(Waiting)[0].token == s.tokens["t2"]


def test_two_permanent_failures_with_one_exit_code_fail_the_present_waiters_and_say_why():
    s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3").exits("t1", 7).exits("t2", 7)
    failed = {b.task: b for b in s.all(TaskFailed)}
    assert failed["t3"].reason is Reason.FAILURE_QUORUM
    assert "7" in failed["t3"].detail
    s.asks("ada", "t4")
    assert s.fate("t4") == "granted"


@pytest.mark.parametrize("failure", [Failure.OUT_OF_MEMORY, Failure.TIMEOUT, Failure.SIGNAL])
def test_memory_timeouts_and_signals_make_no_quorum(failure):
    s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
    s.exits("t1", 137, failure=failure).exits("t2", 137, failure=failure)
    assert s.fate("t3") == "granted"


def test_failures_that_a_user_may_not_see_do_not_count_for_them():
    s = scene().asks("ada", "a1").asks("ada", "a2").exits("a1", 7).exits("a2", 7)
    s.asks("bob", "b1").asks("bob", "b2").exits("b1", 7)
    assert s.fate("b2") == "granted"


def test_work_that_loses_nodes_is_executed_no_more_until_it_is_released():
    s = scene(quarantine_losses=2).asks("ada", "t1").loses("t1").loses("t1").loses("t1").asks("ada", "t2")
    assert s.all(TaskFailed)[0].reason is Reason.LOSES_NODES
    s.asks("bob", "b1")
    assert s.fate("b1") == "granted"
    s.when(c.Released(fingerprint=FP)).asks("ada", "t3")
    assert s.fate("t3") == "granted"


def test_a_success_over_the_exit_code_as_crunch_v1():
    s = scene().asks("ada", "t1")
    s.when(c.Reported(fingerprint=FP, token=s.tokens["t1"], success=True)).exits("t1", 1)
    assert s.fate("t1") == "completed"
    s = scene().asks("ada", "t1")
    s.when(c.Reported(fingerprint=FP, token=s.tokens["t1"], success=True)).exits("t1", 111, failure=Failure.EXIT)
    assert s.fate("t1") == "completed"
    s = scene().asks("ada", "t1", by_record=True).exits("t1", 0)
    assert s.fate("t1") == "failed"


def test_the_best_priority_of_all_who_want_it():
    s = scene().asks("ada", "t1", priority=1).asks("ada", "t2", priority=5)
    assert [r.priority for r in s.all(Reprioritised)] == [5]
    s.withdraws("t2")
    assert [r.priority for r in s.all(Reprioritised)] == [1]


def test_nobody_waits_on_something_smaller_than_they_need():
    s = scene().asks("ada", "t1", memory=100).asks("ada", "t2", memory=200)
    assert s.fate("t2") == "granted"
    s.asks("ada", "t3", memory=150)
    assert s.all(Waiting)[0].token == s.tokens["t2"]


def test_who_needs_less_does_not_wait_on_what_no_node_can_run():
    s = scene().asks("ada", "t1", memory=900).asks("ada", "t2", memory=900).asks("ada", "t3", memory=1)
    s.when(c.Unplaceable(fingerprint=FP, token=s.tokens["t1"]))
    assert s.fate("t2") == "waiting"
    assert s.fate("t3") == "granted"
    s.loses("t1", Failure.FITS_NO_NODE)
    assert s.all(TaskFailed)[0].reason is Reason.FITS_NO_NODE


def test_an_owner_who_withdraws_leaves_the_execution_to_the_first_waiter_untouched():
    s = scene().asks("ada", "t1").starts("t1").asks("ada", "t2").asks("ada", "t3")
    token = s.tokens["t1"]
    s.withdraws("t1")
    assert s.all(Cancelled) == []
    assert s.fate("t2") == "promoted"
    assert s.tokens["t2"] == token
    s.exits("t2")
    assert s.fate("t3") == "copied"
    assert "t1" not in [b.task for b in s.all(TaskCompleted)]


def test_with_nobody_left_the_work_is_cancelled():
    s = scene().asks("ada", "t1").asks("ada", "t2").withdraws("t2").withdraws("t1")
    assert [w.token for w in s.all(Cancelled)] == [s.tokens["t1"]]
    s.asks("ada", "t3")
    assert s.fate("t3") == "granted"


def test_a_failed_job_leaves_what_has_started_alone():
    s = scene().asks("ada", "t1").starts("t1").withdraws("t1", unstarted_only=True)
    assert s.answer() == (Outcome.NOTHING, Reason.ALREADY)
    s.exits("t1")
    assert s.fate("t1") == "completed"
    s = scene().asks("ada", "t1").withdraws("t1", unstarted_only=True)
    assert s.fate("t1") == "unclaimed"


def test_an_old_entry_is_looked_at_once_for_all_who_ask_meanwhile():
    s = scene().asks("ada", "t1").exits("t1").when(c.Aged(before=1000)).asks("ada", "t2")
    look = s.verification()
    assert look.entry == s.tokens["t1"]
    s.asks("ada", "t3")
    assert s.all(Ready) == []
    s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token))
    assert [b.task for b in s.all(TaskCopied)] == ["t2", "t3"]
    s.asks("ada", "t4")
    assert s.fate("t4") == "copied"


def test_a_missing_output_ends_the_entry_and_the_work_is_done_again():
    s = scene().asks("ada", "t1").exits("t1").when(c.Aged(before=1000)).asks("ada", "t2")
    token = s.verification().token
    s.asks("ada", "t3")
    s.when(c.OutputMissing(fingerprint=FP, entry=s.tokens["t1"], token=token, block="b"))
    assert s.fate("t2") == "granted"
    assert s.fate("t3") == "waiting"
    s.when(c.OutputMissing(fingerprint=FP, entry=s.tokens["t1"], token=token, block="b"))
    assert s.answer() == (Outcome.NOTHING, Reason.NOT_CURRENT)


def test_a_lost_verification_is_asked_for_again():
    s = scene().asks("ada", "t1").exits("t1").when(c.Aged(before=1000)).asks("ada", "t2")
    look = s.verification()
    s.when(c.Lost(fingerprint=FP, token=look.token, node="n"))
    again = s.verification()
    assert again.token != look.token
    s.when(c.Verified(fingerprint=FP, entry=again.entry, token=again.token))
    assert s.fate("t2") == "copied"


def test_refresh_executes_although_an_entry_exists_and_the_same_output_disagrees_with_nothing():
    s = scene().asks("ada", "t1").exits("t1").asks("ada", "t2", refresh=True)
    assert s.fate("t2") == "granted"
    s.exits("t2")
    assert s.all(Disagreed) == []
    s.asks("ada", "t3")
    assert s.fate("t3") == "copied"


def test_two_outputs_for_one_fingerprint_are_shown_and_neither_is_reused_until_someone_decides():
    s = scene().asks("ada", "t1").exits("t1", output="one").asks("ada", "t2", refresh=True).exits("t2", output="two")
    (fact,) = s.all(Disagreed)
    assert fact.outputs == ("one", "two")
    s.asks("ada", "t3")
    assert s.fate("t3") == "granted"
    s.when(c.Invalidated(fingerprint=FP, keep=s.tokens["t2"])).asks("ada", "t4")
    assert [b.output for b in s.all(TaskCopied)] == ["two"]


def test_a_disagreement_that_a_user_cannot_see_is_none_for_them():
    s = scene().asks("ada", "t1").exits("t1", output="one").asks("bob", "b1").exits("b1", output="two")
    s.asks("bob", "b2").asks("ada", "t2")
    assert s.fates["b2"] == s.fates["t2"] == ["copied"]


def test_release_accepts_the_outputs_there_are_but_no_third():
    s = scene().asks("ada", "t1").exits("t1", output="one").asks("ada", "t2", refresh=True).exits("t2", output="two")
    s.when(c.Released(fingerprint=FP)).asks("ada", "t3")
    assert s.all(TaskCopied)[0].output == "one"
    s.asks("ada", "t4", refresh=True).exits("t4", output="three").asks("ada", "t5")
    assert s.fate("t5") == "granted"


def test_a_chosen_share_of_reuses_is_executed_again_for_nobody():
    s = scene(verify_rate=10_000).asks("ada", "t1").exits("t1").asks("ada", "t2")
    assert s.fates["t2"] == ["copied"]
    (check,) = s.all(Granted)
    assert check.task == ""
    s.when(c.Exited(fingerprint=FP, token=check.token, node="n", exit_code=0, output="other"))
    assert s.all(Disagreed)
    assert s.all(TaskCompleted) == []


def test_a_quarantined_fingerprint_gives_nothing_and_its_waiters_are_decided_anew():
    s = scene().asks("ada", "t1").asks("ada", "t2").when(c.Quarantined(fingerprint=FP, reason="bad node"))
    assert s.fate("t2") == "granted"
    s.exits("t1").asks("ada", "t3")
    assert s.fate("t3") == "granted"
    s.when(c.Released(fingerprint=FP)).asks("ada", "t4")
    assert s.fate("t4") == "copied"


def test_purity_lost_takes_the_execution_out_of_everybodys_sight_but_its_own_tasks():
    s = scene().asks("ada", "t1").asks("ada", "t2")
    s.when(c.PurityLost(fingerprint=FP, token=s.tokens["t1"], access="GET /users"))
    assert s.fate("t2") == "granted"
    s.exits("t1", output="impure")
    assert s.fate("t1") == "completed"
    s.exits("t2", output="pure").asks("ada", "t3")
    assert [b.output for b in s.all(TaskCopied)] == ["pure"]


def test_a_waiter_whose_author_takes_purity_back_is_unclaimed():
    s = scene().asks("ada", "t1").asks("ada", "t2")
    s.when(c.PurityDropped(fingerprint=FP, task="t2", root="job-t2"))
    assert s.fate("t2") == "unclaimed"
    s.exits("t1").when(c.PurityDropped(fingerprint=FP, task="t1", root="job-t1"))
    assert s.all(ExecutionChanged)[0].status == "impure"
    s.asks("ada", "t3")
    assert s.fate("t3") == "granted"


def test_an_entry_opened_by_inputs_is_given_after_a_proof_and_not_without():
    s = scene().asks("ada", "t1", by_inputs=True).exits("t1").asks("bob", "b1")
    look = s.verification()
    assert look.prove == "bob"
    assert s.all(Waiting) == []
    s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=False))
    assert s.fates["b1"] == ["granted"]
    assert s.all(Granted)[0].why == "first"  # nothing tells that there was something to be proved
    s.asks("cyd", "c1")
    look = s.verification()
    s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=True))
    assert s.fates["c1"] == ["copied"]
    assert s.all(Reused)[0].source == ""


def test_an_output_of_ones_own_that_came_during_the_proof_and_differs_is_in_conflict_with_the_entry():
    s = scene().asks("ada", "t1", by_inputs=True).exits("t1").asks("bob", "b1")
    look = s.verification()
    s.when(c.Imported(fingerprint=FP, task="b2", root="job-b2", owner="bob", output="other"))
    s.when(c.Verified(fingerprint=FP, entry=look.entry, token=look.token, proved=True))
    assert s.fates["b1"] == ["granted"]
    assert s.all(Granted)[0].why == "conflict"


def test_nobody_waits_on_a_running_execution_seen_only_by_inputs():
    s = scene().asks("ada", "t1", by_inputs=True).asks("bob", "b1")
    assert s.fates["b1"] == ["granted"]


def test_impure_work_takes_the_same_road_and_leaves_nothing_behind():
    alone = "impure:t1"
    s = scene().asks("ada", "t1", fingerprint=alone)
    s.when(c.Exited(fingerprint=alone, token=s.tokens["t1"], node="n", exit_code=0, output="o"))
    assert s.fate("t1") == "completed"
    assert s.given.machine.rows == {}


def test_limits_are_refusals_with_a_reason():
    s = scene(max_children=1, max_waiters=1).asks("ada", "t1").queues("t1", "x").queues("t1", "y")
    assert s.answer() == (Outcome.REFUSED, Reason.TOO_MANY_CHILDREN)
    s.asks("ada", "t2").asks("ada", "t3")
    assert s.all(TaskFailed)[0].reason is Reason.TOO_MANY_WAITERS
    s = scene().asks("ada", "t1", forbid_children=True).queues("t1", "x")
    assert s.answer() == (Outcome.REFUSED, Reason.CHILDREN_FORBIDDEN)


def test_work_handed_over_by_an_executor_that_was_told_to_stop_is_no_failed_attempt():
    s = scene().asks("ada", "t1")
    for _ in range(5):
        s.exits("t1", -1, failure=Failure.HANDED_OVER)
        assert [(g.task, g.attempt) for g in s.all(Granted)] == [("t1", 1)]
    s.exits("t1")
    assert s.fate("t1") == "completed"


def test_losses_quarantine_for_those_who_saw_them():
    s = scene(quarantine_losses=2).asks("ada", "a").asks("bob", "b").loses("a").loses("b")
    assert s.all(ClaimChanged) == []
    s.loses("a")
    assert len(s.all(ClaimChanged)) == 1
