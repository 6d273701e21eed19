"""The audit of a log in Kafka: the same as of any other, and of its archive the same again."""

import json
from pathlib import Path

import pytest

from schemas.topics import Topic
from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.audit import verify
from streams.kept import kept_in_memory
from streams.log import Place
from streams.past import replay
from streams.tale import tell
from tests.support.audits import WITH_STAND_INS
from tests.support.kafkas import NewLog
from tests.support.office import COUNTS, Office, machine_types, spec

pytestmark = pytest.mark.needs("kafka")


def test_a_log_in_kafka_is_audited_told_and_archived(new_log: NewLog, tmp_path: Path) -> None:
    office = Office(new_log(counts=COUNTS), every=10)
    office.user("ada")
    office.user("ben")
    office.may_read("ben", "ada")
    for number, owner in enumerate(("ada", "ben", "ada")):
        office.submit(owner, f"job-{number}", spec(inputs="ab"[number % 2]))
    office.run()
    kept = kept_in_memory(office.checkpoints)
    live = verify(office.log, machine_types(COUNTS), kept, checkers=WITH_STAND_INS)
    assert (live.wrong, live.undecided, live.pending) == (0, 0, 0), live.differences
    assert live.records == sum(office.log.end(Place(t, n)) for t, count in COUNTS.items() for n in range(count))
    assert live.checkpoints > 0
    archive(office.log, tmp_path)
    again = verify(ArchiveLog(tmp_path), machine_types(COUNTS), kept, checkers=WITH_STAND_INS)
    assert again.states == live.states
    assert again.decisions == live.decisions > 0
    picture = replay(office.log, machine_types(COUNTS), 2**52)
    assert picture == replay(ArchiveLog(tmp_path), machine_types(COUNTS), 2**52)
    task = next(task for job in picture.jobs.values() for task in job.tasks)
    story = [json.loads(line) for line in tell(office.log, task)]
    assert any(line["record"]["body"].get("task") == task for line in story)
    assert Topic.CLAIMS in {Topic(line["place"].split("/")[0]) for line in story}
