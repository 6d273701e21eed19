"""Who could not prove reading an entry's inputs learns nothing of it."""

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
