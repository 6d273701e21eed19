"""The log in an archive: the same records, the same audit, and nothing that was changed passes for it."""

import json

import pytest

import streams.archiving as archiving
import streams.caused as caused
from gateway.cli import run
from schemas.topics import Topic
from streams.archive import CHECKPOINTS, MANIFEST, ArchiveLog
from streams.archiving import archive
from streams.audit import verify
from streams.kept import kept_in_folder, kept_in_memory
from streams.log import Append, LogError, LogMismatch, LogUnreachable, Place
from streams.past import replay
from tests.support.archives import WORK, archived_office, flip, keep_in, segment
from tests.support.audits import WITH_STAND_INS
from tests.support.office import COUNTS, Office, machine_types, spec
from tests.support.traffic import busy_office

FACTS = Place(Topic.FACTS, 1)
GARBAGE = b'\xff\xfe"\n\r\x00 no record \xc3('


def records(log):
    places = [Place(topic, number) for topic in Topic for number in range(log.partitions(topic))]
    return {place: read_all(log, place) for place in places}


def read_all(log, place):
    found, position = [], log.start(place)
    while batch := log.read(place, position, 7):
        found += batch
        position = batch[-1].offset + 1
    return found


def audited(log, kept):
    report = verify(log, machine_types(COUNTS), kept, checkers=WITH_STAND_INS)
    report.seconds = 0
    return report


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch):
    monkeypatch.setattr(archiving, "SEGMENT_RECORDS", 40)


def test_what_is_archived_is_what_is_there(tmp_path):
    office = busy_office(4)
    office.log.append([Append(FACTS, "kéy", GARBAGE), Append(FACTS, "", b"")])
    done = archive(office.log, tmp_path)
    archived = ArchiveLog(tmp_path)
    assert records(archived) == records(office.log)
    assert done.records == sum(office.log.end(place) for place in office.log.at)
    assert done.segments > 20
    for place in office.log.at:
        assert (archived.start(place), archived.end(place)) == (0, office.log.end(place))
        assert archived.genesis(place) == office.log.genesis(place)
    with pytest.raises(LogMismatch):
        archived.read(FACTS, archived.end(FACTS) + 1, 1)
    assert archived.clone().wait({FACTS: 0}, 1) == {FACTS}
    assert archived.wait({FACTS: archived.end(FACTS)}, 1) == set()


def test_nothing_can_be_written_into_it(tmp_path):
    archived_office(tmp_path)
    archived = ArchiveLog(tmp_path)
    writes = [
        lambda: archived.append([]),
        lambda: archived.trim(FACTS, 3),
        lambda: archived.create({}),
        lambda: archived.move_floor("claims-machine", FACTS, None),
    ]
    for write in writes:
        with pytest.raises(LogError, match="can only be read"):
            write()
    assert segment(tmp_path, FACTS).stat().st_mode & 0o222 == 0


def test_the_audit_of_an_archive_is_the_audit_of_the_log(tmp_path):
    office = archived_office(tmp_path)
    kept = kept_in_memory(office.checkpoints)
    assert audited(ArchiveLog(tmp_path), kept) == audited(office.log, kept)
    picture = replay(ArchiveLog(tmp_path), machine_types(COUNTS), 2**52)
    assert picture == replay(office.log, machine_types(COUNTS), 2**52)


def test_a_trimmed_topic_brings_the_state_that_it_is_decided_again_from(tmp_path):
    office = busy_office(4)
    kept = sorted(checkpoint.offset for checkpoint in office.checkpoints.load(WORK))
    office.log.trim(WORK, kept[1])
    archive(office.log, tmp_path / "archive", keep_in(tmp_path / "kept", office))
    report = audited(ArchiveLog(tmp_path / "archive"), kept_in_folder(tmp_path / "archive" / CHECKPOINTS))
    assert report.wrong == 0, report.differences
    assert report.notes == [f"work/0 was trimmed: decided again from offset {kept[1]} on"]


def test_an_archive_is_written_on_and_never_changed(tmp_path):
    office = Office()
    office.user("ada")
    office.submit("ada", "job-1", spec("one"))
    office.run()
    archive(office.log, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*.jsonl")}
    assert archive(office.log, tmp_path).records == 0
    office.submit("ada", "job-2", spec("two"))
    office.run()
    assert archive(office.log, tmp_path).records > 0
    assert {path: path.read_bytes() for path in before} == before
    assert records(ArchiveLog(tmp_path)) == records(office.log)
    assert audited(ArchiveLog(tmp_path), lambda _: ()).wrong == 0


def test_an_archive_is_not_written_on_from_another_log(tmp_path):
    office = archived_office(tmp_path)
    other = busy_office(5)
    with pytest.raises(LogMismatch, match=r"has another record at|ends at"):  # the offices' log ids are the same
        archive(other.log, tmp_path)
    office.log.make(Topic.FACTS, COUNTS[Topic.FACTS])
    with pytest.raises(LogMismatch, match="archive of another log: facts/0 was made anew"):
        archive(office.log, tmp_path)


def test_a_partition_that_was_trimmed_to_its_end_keeps_its_offsets(tmp_path):
    office = busy_office(4)
    place = Place(Topic.ASSIGNMENTS, 0)
    end = office.log.end(place)
    assert end > 1
    office.log.trim(place, end)
    archive(office.log, tmp_path / "archive")
    archived = ArchiveLog(tmp_path / "archive")
    assert (archived.start(place), archived.end(place), archived.read(place, end, 9)) == (end, end, [])
    office.user("eve")
    office.submit("eve", "one more", spec("more"))
    office.run()
    archive(office.log, tmp_path / "archive")
    assert ArchiveLog(tmp_path / "archive").end(place) == office.log.end(place) > end


def test_records_that_were_trimmed_between_are_missed(tmp_path):
    office = archived_office(tmp_path)
    for _ in range(3):
        office.tick()
    office.run()
    office.log.trim(WORK, office.log.end(WORK) - 1)
    with pytest.raises(LogMismatch, match=r"work/0 was trimmed to \d+, its archive ends at \d+"):
        archive(office.log, tmp_path)


def test_records_that_are_trimmed_while_it_is_archived_are_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(caused, "BATCH", 10)
    office = busy_office(4)
    assert office.log.end(FACTS) > 80

    def trim(what, _count):
        if what == f"archiving {FACTS}":
            office.log.trim(FACTS, 60)

    with pytest.raises(LogMismatch, match=r"facts/1 was trimmed to 60 while it was archived"):
        archive(office.log, tmp_path / "archive", progress=trim)


def test_an_archive_that_was_begun_and_never_finished_is_begun_again(tmp_path):
    office = archived_office(tmp_path)
    (tmp_path / MANIFEST).unlink()
    archive(office.log, tmp_path)
    assert records(ArchiveLog(tmp_path)) == records(office.log)


class Silent:
    """A log that gives nothing of one partition, and says that there is more."""

    def __init__(self, log):
        self.log = log

    def read(self, place, offset, limit):
        return [] if place == FACTS else self.log.read(place, offset, limit)

    def __getattr__(self, name):
        return getattr(self.log, name)


def test_records_that_do_not_come_are_not_left_out(tmp_path):
    with pytest.raises(LogUnreachable, match=r"facts/1 ends at \d+, and gave nothing at 0"):
        archive(Silent(busy_office(4).log), tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LogMismatch, match="not empty and holds no archive"):
        archive(busy_office(4).log, tmp_path)


# --- From the command line, and spoiled -------------------------------------------------------------------------------


def flip_in_segment(folder):
    flip(segment(folder, FACTS))
    return f"{segment(folder, FACTS)} is not what was archived"


def cut_segment(folder):
    path = segment(folder, FACTS)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-100])
    return f"{path} is not what was archived"


def lose_segment(folder):
    path = segment(folder, FACTS)
    path.unlink()
    return f"{path} is missing"


def flip_in_manifest(folder):
    flip(folder / MANIFEST)
    return f"{folder / MANIFEST} is not what was written"


def lose_manifest(folder):
    (folder / MANIFEST).unlink()
    return f"{folder} is no archive"


def exchange_segments(folder):
    """Another archive's segment of the same partition, whole in itself."""
    paths = sorted(segment(folder, FACTS).parent.iterdir())
    one, other = paths[0].read_bytes(), paths[1].read_bytes()
    paths[0].chmod(0o600), paths[1].chmod(0o600)
    paths[0].write_bytes(other), paths[1].write_bytes(one)
    return f"{paths[0]} is not what was archived"


SPOILS = [flip_in_segment, cut_segment, lose_segment, flip_in_manifest, lose_manifest, exchange_segments]


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("command", ["verify", "replay", "export"])
def test_a_spoiled_archive_is_one_line(tmp_path, capsys, spoil, command):
    archived_office(tmp_path)
    said = spoil(tmp_path)
    code = run(["audit", command, *(["job-0-extra-0"] if command == "export" else []), "--archive", str(tmp_path)])
    told = capsys.readouterr()
    if command == "replay" and "facts-1" in said:  # replay asks nobody what was decided then
        assert code == 0
        return
    assert code == 1
    assert said in told.err
    assert told.err.count("\n") == 1


def test_the_commands_work_on_an_archive(tmp_path, capsys):
    office = archived_office(tmp_path)
    run(["audit", "verify", "--archive", str(tmp_path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["records"] == sum(office.log.end(place) for place in office.log.at)
    assert {found["invariant"] for found in report["differences"]} == {9}  # these offices' digests are stand-ins
    assert run(["audit", "replay", "--archive", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "jobs: " in told
    assert "claims/1 before offset" in told


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("claims/0:99999", r"claims/0 holds the offsets 0 to"),
        ("claims/9:1", "no machine decides on claims/9"),
        ("facts/0:1", "no machine decides on facts/0"),
        ("nowhere/0:1", "'nowhere/0:1' is no moment"),
        ("99999", "no partition has the offset 99999"),
        ("1999-01-01T00:00:00", "before the log's first record"),
        ("yesterday", "'yesterday' is no moment"),
        ("0000-00-00", "'0000-00-00' is no moment"),
    ],
)
def test_a_moment_that_is_none_is_one_line(tmp_path, capsys, moment, said):
    archived_office(tmp_path)
    assert run(["audit", "replay", "--until", moment, "--archive", str(tmp_path)]) == 3
    told = capsys.readouterr()
    assert said in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_moments_of_all_kinds(tmp_path, capsys):
    archived_office(tmp_path)

    def jobs(until):
        assert run(["audit", "replay", "--until", until, "--archive", str(tmp_path), "--json"]) == 0
        return len(json.loads(capsys.readouterr().out)["jobs"])

    last = ArchiveLog(tmp_path).end(Place(Topic.TASKS, 0)) - 1
    everything = jobs("1s")
    assert everything == jobs("2033-05-18T03:33:20") == jobs("3d ago")
    assert 0 < jobs("40") < everything
    assert 0 < jobs("tasks/0:30") < jobs(f"tasks/0:{last}") <= everything
    assert jobs("0") == 0


def test_what_to_export_is_said_once(tmp_path, capsys):
    for arguments in ([], ["task", "--all", str(tmp_path)]):
        assert run(["audit", "export", *arguments]) == 3
        assert "name a task, or a folder" in capsys.readouterr().err
