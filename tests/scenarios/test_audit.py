"""The audit: silent about a log that is right, and precise about one that is not."""

import pytest

from schemas import facts as f
from schemas.claims import Requested
from schemas.codec import encode
from schemas.log import Cause
from schemas.tasks import JobAssembled, JobCancelled
from schemas.topics import Topic
from streams.audit import verify
from streams.caused import cause_of
from streams.kept import kept_in_memory
from streams.log import Append, Floor, Place
from streams.moments import time_of
from streams.past import replay
from tests.support.audits import WITH_STAND_INS
from tests.support.office import COUNTS, Office, machine_types, spec
from tests.support.traffic import busy_office

SEED = 4
FACTS = [Place(Topic.FACTS, number) for number in range(COUNTS[Topic.FACTS])]
CLAIMS = [Place(Topic.CLAIMS, number) for number in range(COUNTS[Topic.CLAIMS])]
WORK = Place(Topic.WORK, 0)


def audit(office, **options):
    return verify(
        office.log,
        machine_types(office.routes.counts),
        kept_in_memory(office.checkpoints),
        checkers=WITH_STAND_INS,
        **options,
    )


def told(report):
    return "\n".join(f"{d.invariant} {d.place} {d.offset} {d.text}" for d in report.differences)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_wrong_with_what_the_machines_decided(seed):
    office = busy_office(seed)
    report = audit(office)
    assert told(report) == ""
    assert (report.wrong, report.undecided, report.pending) == (0, 0, 0)
    assert report.records == sum(office.log.end(place) for place in office.log.at)
    assert report.decisions > 500
    assert report.checkpoints > 5
    assert report.states.keys() == {str(runner.place) for runner in office.runners}


def test_a_cancelled_jobs_log_is_no_second_end():
    office = Office()
    office.user("ada")
    office.submit("ada", "job-1", spec("never"))
    office.say(Topic.TASKS, JobCancelled(root="job-1"))
    office.run()
    for log in ("first", "second"):
        office.say(Topic.TASKS, JobAssembled(root="job-1", output="", log=log))
        office.run()
    facts = [fact for place in FACTS for fact in office.read(place) if isinstance(fact, f.JobChanged)]
    assert [fact.log for fact in facts if fact.state == "cancelled"] == ["", "first"]
    assert told(audit(office)) == ""


def test_it_counts_what_was_said_twice_and_minds_only_if_it_differs():
    office = busy_office(SEED)
    record = next(r for r in office.log.read(FACTS[0], 1, 100) if cause_of(r.value))
    before = audit(office).repeats
    office.log.append([Append(FACTS[0], record.key, record.value)])
    report = audit(office)
    assert (report.wrong, report.repeats) == (0, before + 1)
    other = encode(f.Answered(outcome="done"), cause_of(record.value))
    office.log.append([Append(FACTS[0], record.key, other)])
    assert f"9 facts/0 {record.offset} was appended again with other bytes" in told(audit(office))


# --- A log that someone wrote into ------------------------------------------------------------------------------------


def replace(log, place, offset, value):
    records = log.at[place].records
    records[offset] = records[offset]._replace(value=value)


def drop_fact(log):
    records = log.at[FACTS[1]].records
    value = records.pop(7).value
    records[7:] = [record._replace(offset=record.offset - 1) for record in records[7:]]
    return f"facts/1 lacks {named(log, value)}"


def change_fact(log):
    value = log.read(FACTS[1], 7, 1)[0].value
    replace(log, FACTS[1], 7, value.replace(b'"v":1', b'"v": 1'))
    return f"facts/1 7 is not what follows from {named(log, value)}"


def named(log, value):
    cause = cause_of(value)
    source = next(place for place in log.at if log.genesis(place).log_id == cause.log_id)
    return f"{source} offset {cause.offset}, output {cause.index}"


def forge_fact(log):
    end = log.end(FACTS[0])
    log.append([Append(FACTS[0], "x", encode(f.Answered(outcome="done")))])
    return f"facts/0 {end} answered names no cause, so no machine wrote it"


def forge_fact_of_elsewhere(log):
    end = log.end(FACTS[0])
    log.append([Append(FACTS[0], "x", encode(f.Answered(outcome="done"), Cause("elsewhere", 3, 0)))])
    return f"facts/0 {end} its cause is in elsewhere, which is no partition of this log"


def forge_output_of_a_command(log):
    claims, facts = CLAIMS[0], FACTS[0]
    end = log.end(facts)
    cause = Cause(log.genesis(claims).log_id, log.end(claims) - 1, 50)
    log.append([Append(facts, "x", encode(f.Answered(outcome="done"), cause))])
    return f"facts/0 {end} nothing like it follows from claims/0 offset {cause.offset}, output 50"


def forge_request(log):
    end = log.end(CLAIMS[0])
    log.append([Append(CLAIMS[0], "x", encode(Requested(fingerprint="x", task="t", root="r", owner="ada")))])
    return f"claims/0 {end} requested names no cause, so no machine wrote it"


def repeat_nothing(log):
    source = Place(Topic.TASKS, 0)
    cause = Cause(log.genesis(source).log_id, 1, 40)
    log.append([Append(FACTS[0], "x", encode(f.Answered(outcome="done"), cause))])
    return f"facts/0 0 a repeat that names {cause.log_id} offset 1 repeats nothing"


@pytest.mark.parametrize(
    "tamper",
    [
        drop_fact,
        change_fact,
        forge_fact,
        forge_fact_of_elsewhere,
        forge_output_of_a_command,
        forge_request,
        repeat_nothing,
    ],
)
def test_what_was_written_into_the_log_is_found_and_named(tamper):
    office = busy_office(SEED)
    said = tamper(office.log)
    report = audit(office)
    assert report.wrong > 0
    assert said in told(report)


def test_a_checkpoint_with_another_state_is_found():
    office = busy_office(SEED)
    place = CLAIMS[1]
    wrong, right = office.checkpoints.at[place][:2]
    office.checkpoints.at[place][0] = type(wrong)(
        **{name: getattr(wrong, name) for name in wrong.__struct_fields__} | {"state": right.state}
    )
    assert told(audit(office)) == (
        f"9 claims/1 {wrong.offset} checkpoint claims/1 at {wrong.offset} holds another state than the replay"
    )


def test_a_command_that_stops_the_machine_is_named():
    office = busy_office(SEED)
    end = office.log.end(CLAIMS[0])
    office.log.append([Append(CLAIMS[0], "", b'{"v":99,"body":{}}')])
    office.log.move_floor("claims-machine", CLAIMS[0], Floor(end + 1, "", office.log.genesis(CLAIMS[0]).log_id))
    assert f"it can't be decided again: claims/0 stopped at offset {end}" in told(audit(office))


class LowFloor:
    """A log whose floor in one partition was not moved although all was appended: a runner that was just killed."""

    def __init__(self, log, place, offset):
        self.log, self.place, self.offset = log, place, offset

    def floor(self, reader, place):
        floor = self.log.floor(reader, place)
        return Floor(self.offset, "", floor.log_id) if place == self.place else floor

    def __getattr__(self, name):
        return getattr(self.log, name)


# --- A log that is still written --------------------------------------------------------------------------------------


def test_what_no_floor_has_passed_is_left_for_the_next_time():
    office = busy_office(SEED)
    office.submit("ada", "job-late", spec())
    assert (audit(office).undecided, audit(office).wrong) == (1, 0)
    office.settle()
    place = office.routes.place(Topic.TASKS, "job-late")
    office.log = LowFloor(office.log, place, office.log.end(place) - 1)
    report = audit(office)
    assert (report.undecided, report.wrong) == (1, 0)
    assert report.pending > 0


def test_work_that_was_forgotten_is_decided_again_from_the_oldest_state_on():
    office = busy_office(SEED)
    kept = sorted(checkpoint.offset for checkpoint in office.checkpoints.load(WORK))
    office.log.trim(WORK, kept[1])
    office.log.trim(Place(Topic.ASSIGNMENTS, 0), 9)
    report = audit(office)
    assert told(report) == ""
    assert report.notes == [f"work/0 was trimmed: decided again from offset {kept[1]} on"]
    assert report.trimmed > 0


def test_progress_is_told():
    seen = []
    report = audit(busy_office(SEED), progress=lambda what, count: seen.append((what, count)))
    assert sum(count for what, count in seen if what.startswith("reading")) == report.records
    assert sum(count for what, count in seen if what.startswith("deciding")) == report.commands
    assert report.speed > 0


# --- As it was --------------------------------------------------------------------------------------------------------


def test_the_picture_of_now_is_what_the_facts_say():
    office = busy_office(SEED)
    picture = replay(office.log, machine_types(COUNTS), 2**52)
    states = {}
    for facts in office.facts().values():
        states |= {fact.task: fact.state for fact in facts if isinstance(fact, f.TaskChanged)}
    assert {task: state for job in picture.jobs.values() for task, state in job.tasks.items()} == states
    assert sum(picture.tasks_by_state().values()) == len(states)
    assert picture.waiting() == {}


def test_the_picture_of_an_earlier_moment():
    office = Office()
    office.user("ada")
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ada", "job-2", spec("two"))
    office.settle()
    place = office.routes.place(Topic.TASKS, "job-2")
    moment = max(time_of(office.log, claims, office.log.end(claims) - 1) for claims in CLAIMS)
    office.run()
    before = replay(office.log, machine_types(COUNTS), moment)
    assert {root: job.state for root, job in before.jobs.items()} == {"job-1": "queued", "job-2": "queued"}
    assert (before.jobs["job-1"].owner, before.jobs["job-1"].name) == ("ada", "job-1 of ada")
    assert before.tasks_by_state() == {"claimed": 2}
    assert before.executions_by_status() == {"granted": 1}
    assert len(before.waiting()) == 1
    now = replay(office.log, machine_types(COUNTS), 2**52)
    assert now.jobs_by_state() == {"assembling": 2}
    assert now.tasks_by_state() == {"complete": 1, "copied": 1}
    assert "job-2" not in replay(office.log, machine_types(COUNTS), 2**52, {place: 1}).jobs
