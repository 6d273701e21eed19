"""A log that is looked at while it grows: what is before the cut follows from what is before it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.topics import Topic
from streams.archive import ArchiveLog
from streams.archiving import archive
from streams.audit import verify
from streams.caused import cause_if_any, ends_of, records
from streams.cuts import whole_ends
from streams.log import Append, Log, Place
from tests.support.audits import WITH_STAND_INS
from tests.support.office import COUNTS, Office, machine_types, spec

PLACES = [Place(topic, number) for topic, count in COUNTS.items() for number in range(count)]


class Growing:
    """A log to which something is done each time before somebody asks where a partition ends."""

    def __init__(self, log: Log, act: Callable[[], None]) -> None:
        self.log = log
        self.act = act

    def end(self, place: Place) -> int:
        self.act()
        return self.log.end(place)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


def growing() -> tuple[Office, Growing]:
    """An office in which a job is done, from its submission to its end, each time somebody looks."""
    office = Office()
    office.user("ada")
    numbers = iter(range(1_000))

    def act() -> None:
        number = next(numbers)
        office.submit("ada", f"job-{number}", spec(inputs=str(number)))
        office.run()

    return office, Growing(office.log, act)


def orphans(log: Log, ends: dict[Place, int]) -> int:
    """How many records before these ends have their cause at or beyond them."""
    sources = {log.genesis(place).log_id: place for place in ends}
    causes = [cause_if_any(record.value) for place, end in ends.items() for record in records(log, place, 0, end)]
    return sum(cause is not None and cause.offset >= ends[sources[cause.log_id]] for cause in causes)


def test_ends_that_are_asked_one_after_the_other_orphan_records_and_a_cut_does_not() -> None:
    office, log = growing()
    before = ends_of(office.log, PLACES)
    assert orphans(office.log, ends_of(log, PLACES)) > 0
    ends = whole_ends(log, PLACES)
    assert orphans(office.log, ends) == 0
    assert all(ends[place] >= before[place] for place in PLACES)


def test_all_that_was_there_before_is_before_the_cut() -> None:
    office, log = growing()
    log.act()
    there = ends_of(office.log, PLACES)
    ends = whole_ends(log, PLACES)
    assert all(ends[place] >= there[place] for place in PLACES)


def test_a_quiet_log_is_cut_at_its_end_also_where_a_record_names_a_cause_that_is_nowhere() -> None:
    office, _ = growing()
    claims, facts = Place(Topic.CLAIMS, 0), Place(Topic.FACTS, 0)
    forged = b'{"cause":["%s",99999,0]}' % office.log.genesis(claims).log_id.encode()
    office.log.append([Append(facts, "k", forged), Append(facts, "k", b'{"cause":["nobody",1,0]}')])
    assert whole_ends(office.log, PLACES) == ends_of(office.log, PLACES)


def test_an_archive_made_meanwhile_is_a_log_by_itself_and_is_written_on(tmp_path: Path) -> None:
    office, log = growing()
    for _ in range(3):
        archive(log, tmp_path)
        archived = ArchiveLog(tmp_path)
        assert orphans(archived, ends_of(archived, PLACES)) == 0
        report = verify(archived, machine_types(COUNTS), checkers=WITH_STAND_INS)
        assert report.wrong == 0, report.differences
    archive(office.log, tmp_path)
    assert ends_of(ArchiveLog(tmp_path), PLACES) == ends_of(office.log, PLACES)
