"""An archive brought back into Kafka: the log that it was made of, which goes on as if nothing had been."""

from contextlib import closing
from pathlib import Path

import pytest

import streams.archiving as archiving
from coordinator.dispatch import Dispatch
from schemas.topics import Topic
from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.audit import Report, verify
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_bringing import bring
from streams.kafka_settings import KafkaSettings
from streams.kept import KeptStates, kept_in_folder, nothing_kept
from streams.log import Append, Log, LogMismatch, Place, Stored
from streams.loop import Runner
from streams.past import replay
from streams.remembering import RememberingLog
from tests.support.archives import keep_in
from tests.support.audits import WITH_STAND_INS
from tests.support.kafkas import NewLog, operator_of
from tests.support.logs import kafka_settings
from tests.support.office import COUNTS, Office, machine_types, memory_log, spec

pytestmark = pytest.mark.needs("kafka")

PLACES = [Place(topic, number) for topic, count in COUNTS.items() for number in range(count)]
WORK, FACTS = Place(Topic.WORK, 0), Place(Topic.FACTS, 1)
GARBAGE = b'\xff\xfe"\n\r\x00 no record \xc3('


def all_of(log: Log) -> dict[Place, list[Stored]]:
    found = {}
    for place in PLACES:
        found[place], position = [], log.start(place)
        while batch := log.read(place, position, 1_000):
            found[place] += batch
            position = batch[-1].offset + 1
    return found


def audited(log: Log, kept: KeptStates = nothing_kept) -> Report:
    return verify(RememberingLog(log), machine_types(COUNTS), kept, checkers=WITH_STAND_INS)


def floors(log: Log) -> dict[Place, object]:
    return {place: log.floor(f"{place.topic}-machine", place) for place in PLACES}


@pytest.fixture
def made(kafka_broker: LocalBroker) -> KafkaSettings:
    """Of a log that is to be made."""
    return kafka_settings(kafka_broker)


@pytest.fixture
def office() -> Office:
    """What happened in a log elsewhere: what is brought back need not have been in Kafka."""
    office = Office(every=3)
    office.user("ada")
    for number in range(4):
        office.submit("ada", f"job-{number}", spec(inputs="ab"[number % 2]))
        office.run()
    return office


@pytest.fixture
def archived(office: Office, tmp_path: Path) -> ArchiveLog:
    archive(office.log, tmp_path / "archive")
    return ArchiveLog(tmp_path / "archive")


def test_what_is_brought_is_what_was_archived_and_goes_on(
    archived: ArchiveLog, made: KafkaSettings, new_log: NewLog
) -> None:
    assert bring(archived, made) == sum(archived.end(place) for place in PLACES)
    log = new_log(made, COUNTS)
    assert all_of(log) == all_of(archived)
    assert floors(log) == floors(archived)
    assert [log.genesis(place) for place in PLACES] == [archived.genesis(place) for place in PLACES]
    assert not [problem for found in log.survey().values() for problem in found.problems]
    going_on = Office(log)
    for job, inputs in (("reused", "a"), ("new", "never seen")):
        going_on.submit("ada", job, spec(inputs=inputs))
    going_on.run()
    report = audited(log)
    assert (report.wrong, report.undecided, report.repeats) == (0, 0, 0), report.differences
    jobs = replay(RememberingLog(log), machine_types(COUNTS), 2**52).jobs
    assert {job: list(jobs[job].tasks.values()) for job in ("reused", "new")} == {
        "reused": ["copied"],
        "new": ["complete"],
    }


def test_a_trimmed_partition_keeps_its_offsets(
    office: Office, tmp_path: Path, made: KafkaSettings, new_log: NewLog
) -> None:
    kept = keep_in(tmp_path / "kept", office)
    begin = sorted(one.offset for one in office.checkpoints.load(WORK))[0]
    empty = Place(Topic.ASSIGNMENTS, 0)
    office.log.trim(WORK, begin)
    office.log.trim(empty, office.log.end(empty))
    archive(office.log, tmp_path / "archive", kept)
    bring(ArchiveLog(tmp_path / "archive"), made)
    log = new_log(made, COUNTS)
    assert {place: log.start(place) for place in (WORK, empty)} == {WORK: begin, empty: office.log.end(empty)}
    assert all_of(log) == all_of(office.log)
    report = audited(log, kept_in_folder(tmp_path / "kept"))
    assert report.wrong == 0, report.differences
    assert report.notes == [f"work/0 was trimmed: decided again from offset {begin} on"]
    runner = Runner(log, Dispatch, 0, office.checkpoints)
    assert begin <= runner.position <= runner.floor == log.end(WORK), "it starts from a state below the floor"


class Interrupted(Exception):
    """As if the process was killed."""


def test_one_that_was_interrupted_is_refused_by_all_and_goes_on_where_it_was(
    archived: ArchiveLog, made: KafkaSettings, new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "SEGMENT_RECORDS", 10)
    steps = iter(range(12))

    def progress(_what: str, _count: int) -> None:
        if next(steps, None) is None:
            raise Interrupted

    with pytest.raises(Interrupted):
        bring(archived, made, progress)
    with closing(KafkaLog(made)) as log, pytest.raises(LogMismatch, match="a restore into it was interrupted"):
        log.genesis(WORK)
    total = sum(archived.end(place) for place in PLACES)
    assert 0 < bring(archived, made) < total
    assert bring(archived, made) == 0, "nothing is left to be done"
    assert all_of(new_log(made, COUNTS)) == all_of(archived)


def test_topics_that_hold_something_else_are_left_as_they_are(archived: ArchiveLog, new_log: NewLog) -> None:
    log = new_log(counts=COUNTS)
    for begun in (b"", b"x"):  # just made, and in use
        log.append([Append(WORK, "", begun)] if begun else [])
        before = all_of(log)
        with pytest.raises(LogMismatch, match="holds something else than the archive: remove the topics"):
            bring(archived, log.settings)
        assert all_of(log) == before


def test_a_log_that_went_on_is_not_brought_back(archived: ArchiveLog, made: KafkaSettings, new_log: NewLog) -> None:
    bring(archived, made)
    new_log(made, COUNTS).append([Append(WORK, "", b"more")])
    with pytest.raises(LogMismatch, match=r"work/0 is there, and holds something else"):
        bring(archived, made)


def test_empty_topics_of_somebody_and_other_counts_are_refused(
    archived: ArchiveLog, made: KafkaSettings, new_log: NewLog
) -> None:
    log = KafkaLog(made)
    operator_of(log).make(Topic.FACTS, COUNTS[Topic.FACTS], {"cleanup.policy": "delete"})
    with pytest.raises(LogMismatch, match=r"facts/0 is there, and was not made for an archive"):
        bring(archived, made)
    log.close()
    other = new_log(counts=COUNTS | {Topic.CLAIMS: 3})
    with pytest.raises(LogMismatch, match="topic claims has 3 partitions, not 2"):
        bring(archived, other.settings)


def test_two_at_once_are_noticed(archived: ArchiveLog, made: KafkaSettings) -> None:
    """The second comes in when the first has begun."""
    outcome: list[str] = []

    def progress(_what: str, _count: int) -> None:
        if not outcome:
            outcome.append("begun")
            operator_of(log).produce(FACTS, b"theirs")

    log = KafkaLog(made)
    with pytest.raises(LogMismatch, match=r"facts/1: somebody else writes there too"):
        bring(archived, made, progress)
    with pytest.raises(LogMismatch, match="a restore into it was interrupted"):
        log.genesis(WORK)
    log.close()


def test_what_is_no_record_of_ours_is_brought_too(tmp_path: Path, made: KafkaSettings, new_log: NewLog) -> None:
    log = memory_log()
    log.create(COUNTS)
    log.append([Append(FACTS, "kéy", GARBAGE), Append(FACTS, "", b""), Append(FACTS, "large", b"x" * 5_000_000)])
    archive(log, tmp_path)
    bring(ArchiveLog(tmp_path), made)
    assert all_of(new_log(made, COUNTS)) == all_of(log)
