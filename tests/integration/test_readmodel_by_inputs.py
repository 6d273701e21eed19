"""Who could not prove reading an entry's inputs learns nothing of it."""

from readmodel.telling import sentences
from tests.support.office import spec


def test_a_failed_proof_leaves_no_trace_in_the_jobs_log(model):
    office = model.office
    office.submit("ada", "job-1", spec("mine", share="by_inputs"))
    office.run()
    office.proves = lambda ready: False
    for root, inputs in (("job-2", "a"), ("job-3", "another")):
        office.submit("eve", root, spec("mine", inputs=inputs))
        office.run()
    assert [ready.kind for ready in office.done] == ["execute", "verify", "execute", "execute"]
    assert model.told("eve", "job-2") == model.told("eve", "job-3")
    after_a_failed_proof, alone = model.task("eve", "job-2"), model.task("eve", "job-3")
    assert (after_a_failed_proof.why, after_a_failed_proof.waited) == (alone.why, alone.waited)
    assert [w.code for w in model.explained("eve", "job-2").why_executed] == ["none_earlier"]


def test_who_was_given_it_for_a_proof_is_told_so_and_not_whose_it_is(model):
    office = model.office
    office.submit("ada", "job-1", spec("mine", share="by_inputs"))
    office.run()
    for root in ("job-2", "job-3"):
        office.submit("eve", root, spec("mine"))
        office.run()
    assert [ready.kind for ready in office.done] == ["execute", "verify"]
    first, second = model.explained("eve", "job-2"), model.explained("eve", "job-3")
    assert (first.how, first.source, first.proved) == ("reused", None, True)
    given, proved = sentences(first)
    assert "was given the output of another execution, at " in given
    assert proved.startswith("shared by inputs: that its owner may read all that it names was proved at 2")
    assert (second.how, second.source.task, second.proved) == ("reused", model.task("eve", "job-2").task, False)
    assert len(sentences(second)) == 1
    assert not any("job-1" in line for line in [*sentences(first), *sentences(second), *model.told("eve", "job-2")])
