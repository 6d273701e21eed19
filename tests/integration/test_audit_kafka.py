"""The audit of a log in Kafka: the same as of any other, and of its archive the same again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topic
from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.audit import verify
from streams.kept import kept_in_memory
from streams.log import Append, Log, Place
from streams.past import replay
from streams.tale import tell
from tests.support.archives import flip, keep_in
from tests.support.audits import WITH_STAND_INS
from tests.support.kafkas import NewLog
from tests.support.office import COUNTS, Office, machine_types, spec

pytestmark = pytest.mark.needs("kafka")


class Bent:
    """Stands before a log: the first fact that holds `text` is appended with one byte of it flipped. `place`: where."""

    def __init__(self, log: Log, text: bytes) -> None:
        self._log = log
        self._text = text
        self.place: Place | None = None
        self.offset = 0

    def append(self, records: Sequence[Append]) -> list[int]:
        bent = [number for number, record in enumerate(records) if self._is_wanted(record)][: self.place is None]
        offsets = self._log.append([self._flipped(one) if n in bent else one for n, one in enumerate(records)])
        for number in bent:
            self.place, self.offset = records[number].place, offsets[number]
        return offsets

    def _is_wanted(self, record: Append) -> bool:
        return record.place.topic is Topic.FACTS and self._text in record.value

    def _flipped(self, record: Append) -> Append:
        value = bytearray(record.value)
        value[record.value.index(self._text) + 1] ^= 1
        return record._replace(value=bytes(value))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_one_byte_in_one_fact_and_one_in_a_snapshot_are_both_named(new_log: NewLog, tmp_path: Path) -> None:
    bent = Bent(new_log(counts=COUNTS), b'"ada"')
    office = Office(bent, every=3)  # type: ignore[arg-type]
    office.user("ada")
    for number in range(6):
        office.submit("ada", f"job-{number}", spec(inputs="ab"[number % 2]))
    office.run()
    kept = keep_in(tmp_path, office)
    damaged = max(tmp_path.glob("claims-*/*.snapshot"))
    flip(damaged)
    report = verify(office.log, machine_types(COUNTS), kept, checkers=WITH_STAND_INS)
    assert report.wrong == 2, report.differences
    state, fact = sorted(report.differences, key=lambda found: found.place)
    assert (fact.place, fact.offset) == (str(bent.place), bent.offset)
    assert ('"ada"' in fact.expected, '"`da"' in fact.found) == (True, True)
    assert (state.place, state.offset) == (damaged.parent.name.replace("-", "/"), int(damaged.stem))
    assert f"{damaged} is damaged" in state.text


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
