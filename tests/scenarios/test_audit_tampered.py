"""One byte, somewhere: the audit names the place, whatever the byte was, and never stumbles over it."""

from random import Random

import pytest
from msgspec.structs import replace

from coordinator.claims import Claims
from schemas.topics import Topic
from streams.audit import verify
from streams.kept import kept_in_folder
from streams.log import Place
from streams.snapshots import SharedSnapshots
from tests.support.archives import flip, keep_in
from tests.support.audits import WITH_STAND_INS
from tests.support.office import COUNTS, Office, machine_types, spec
from tests.support.traffic import busy_office

FACTS = Place(Topic.FACTS, 1)
FLIPS = 150


def small_office():
    office = Office()
    office.user("ada")
    office.user("ben")
    office.may_read("ben", "ada")
    office.submit("ada", "job-a", spec("one", inputs="x"))
    office.submit("ben", "job-b", spec("one", inputs="x"))
    office.run()
    return office


def audit(office, kept=lambda _: ()):
    return verify(office.log, machine_types(COUNTS), kept, checkers=WITH_STAND_INS)


def flip_in(log, place, offset, at, bit):
    records = log.at[place].records
    value = bytearray(records[offset].value)
    value[at % len(value)] ^= 1 << bit
    records[offset] = records[offset]._replace(value=bytes(value))


def draw(rng, log, topics):
    places = [place for place in log.at if place.topic in topics and log.end(place) > 1]
    place = rng.choice(places)
    return place, rng.randrange(1, log.end(place)), rng.randrange(10_000), rng.randrange(8)


def test_one_byte_in_one_fact_and_one_in_a_snapshot_are_both_named(tmp_path):
    office = busy_office(4)
    assert audit(office, keep_in(tmp_path, office)).wrong == 0
    value = office.log.at[FACTS].records[9].value
    flip_in(office.log, FACTS, 9, value.index(b'"ada"') + 1, 0)
    damaged = sorted((tmp_path / "claims-1").glob("*.snapshot"))[1]
    flip(damaged)
    report = audit(office, kept_in_folder(tmp_path))
    assert report.wrong == 2
    state, fact = sorted(report.differences, key=lambda found: found.place)
    assert (fact.place, fact.offset, fact.cause) == ("facts/1", 9, "tasks/1 offset 19, output 0")
    assert ('"ada"' in fact.expected, '"`da"' in fact.found) == (True, True)
    assert (state.place, state.offset) == ("claims/1", int(damaged.stem))
    assert f"{damaged} is damaged" in state.text


def test_a_snapshot_that_is_whole_and_wrong_is_named(tmp_path):
    office = busy_office(4)
    place = Place(Topic.CLAIMS, 1)
    right = office.checkpoints.at[place][0]
    wrong = replace(right.header, marks={}, digest="0" * 64)
    SharedSnapshots(tmp_path).keep(wrong, right.machine(Claims))
    [found] = audit(office, kept_in_folder(tmp_path)).differences
    assert (found.place, found.offset) == ("claims/1", right.offset)
    assert "holds another digest, marks than the replay" in found.text


@pytest.mark.parametrize("seed", range(3))
def test_any_bit_of_any_fact_is_found_where_it_stands(seed):
    rng = Random(seed)
    office = small_office()
    for _ in range(FLIPS // 3):
        place, offset, at, bit = draw(rng, office.log, [Topic.FACTS, Topic.ASSIGNMENTS])
        before = office.log.at[place].records[offset]
        flip_in(office.log, place, offset, at, bit)
        after = office.log.at[place].records[offset].value
        report = audit(office)
        office.log.at[place].records[offset] = before
        named = {(found.place, found.offset) for found in report.differences}
        assert (str(place), offset) in named, (before.value, after, report.differences)
    assert audit(office).wrong == 0


@pytest.mark.parametrize("seed", range(3))
def test_any_bit_of_any_machines_command_is_found(seed):
    rng = Random(seed)
    office = small_office()
    for _ in range(FLIPS // 3):
        place, offset, at, bit = draw(rng, office.log, [Topic.TASKS, Topic.CLAIMS, Topic.WORK])
        before = office.log.at[place].records[offset]
        if b'"cause":' not in before.value:
            continue
        flip_in(office.log, place, offset, at, bit)
        report = audit(office)
        office.log.at[place].records[offset] = before
        assert report.wrong > 0, before.value
