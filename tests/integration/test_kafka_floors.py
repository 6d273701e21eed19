"""Floors in Kafka: the highest that anybody wrote is there, whoever was frozen when, and former ones do not add up."""

from collections.abc import Iterable

import pytest

from schemas.topics import Topic
from streams.kafka import KafkaLog
from streams.kafka_cluster import Cluster
from streams.kafka_notes import Notes
from streams.kafka_settings import NOTES
from streams.log import Floor, Place
from tests.support.kafkas import NewLog, operator_of
from tests.support.logs import WORK, records

pytestmark = pytest.mark.needs("kafka")

FEW = dict.fromkeys(Topic, 1)


def test_a_late_floor_of_a_zombie_changes_nothing(new_log: NewLog) -> None:
    zombie, other = new_log(counts=FEW), new_log
    zombie.move_floor("r", WORK, Floor(3, "d3", "id"))
    assert zombie.floor("r", WORK) == Floor(3, "d3", "id")
    heir = other(zombie.settings, FEW)
    heir.move_floor("r", WORK, Floor(9, "d9", "id"))
    heir.append(records(WORK, b"after it"))
    zombie.move_floor("r", WORK, Floor(4, "d4", "id"))
    zombie.append(records(WORK, b"after it"))
    assert other(zombie.settings, FEW).floor("r", WORK) == Floor(9, "d9", "id")


def keys_of_floors(log: KafkaLog) -> list[tuple[str, ...]]:
    """Under which keys there are floors, as another process reads them."""
    notes = Notes(Cluster(log.settings))
    notes.floor("r", WORK)
    keys = list(notes._floors("r", WORK))
    notes.close()
    return keys


@pytest.mark.parametrize("step", ["floor", "outdone"])
def test_a_writer_frozen_before_its_first_floor_takes_away_no_higher_one(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    standby = new_log(counts=FEW)
    frozen, other = new_log(standby.settings, FEW), new_log
    standby.move_floor("r", WORK, Floor(30, "d30", "id"))
    standby.append(records(WORK, b"after it"))
    looks = getattr(frozen._shared.notes, step)

    def look_and_freeze(*asked: object) -> object:
        found = looks(*asked)
        standby.move_floor("r", WORK, Floor(1_000_000, "d1000000", "id"))
        standby.append(records(WORK, b"after it"))
        return found

    monkeypatch.setattr(frozen._shared.notes, step, look_and_freeze)
    frozen.move_floor("r", WORK, Floor(101, "d101", "id"))
    frozen.append(records(WORK, b"after it"))
    assert other(standby.settings, FEW).floor("r", WORK) == Floor(1_000_000, "d1000000", "id")


def test_a_writer_that_wakes_up_takes_away_no_higher_floor_either(new_log: NewLog) -> None:
    zombie, other = new_log(counts=FEW), new_log
    zombie.move_floor("r", WORK, Floor(3, "d3", "id"))
    heir = other(zombie.settings, FEW)
    heir.move_floor("r", WORK, Floor(1_000_000, "d1000000", "id"))
    heir.append(records(WORK, b"after it"))
    zombie.move_floor("r", WORK, Floor(500_000, "d500000", "id"))  # a span that is new to it
    zombie.append(records(WORK, b"after it"))
    assert other(zombie.settings, FEW).floor("r", WORK) == Floor(1_000_000, "d1000000", "id")


def test_floors_of_former_writers_do_not_add_up(new_log: NewLog) -> None:
    log, other = new_log(counts=FEW), new_log
    for number in range(1, 13):
        writer = other(log.settings, FEW)
        for offset in range(1_000 * number, 1_000 * number + 3):
            writer.move_floor("r", WORK, Floor(offset, "d", "id"))
        writer.append(records(WORK, b"after it"))
        writer.close()
    assert log.floor("r", WORK) == Floor(12_002, "d", "id")
    assert [key[-1] for key in keys_of_floors(log)] == [f"{11_264:020d}"]


def test_one_writer_leaves_one_floor(new_log: NewLog) -> None:
    log = new_log(counts=FEW)
    for offset in range(1, 200):
        log.move_floor("r", WORK, Floor(offset, "d", "id"))
    assert log.floor("r", WORK) == Floor(199, "d", "id")
    assert len(keys_of_floors(log)) == 1


def test_what_a_producer_that_was_given_up_still_writes_lowers_no_floor(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log(counts=FEW)
    late: list[tuple[bytes, bytes | None]] = []

    def loses(_name: str, pairs: Iterable[tuple[bytes, bytes | None]]) -> None:
        late.extend(pairs)
        log._writer.close()

    with monkeypatch.context() as patched:
        patched.setattr(log._writer, "put", loses)
        log.move_floor("r", WORK, Floor(1_000, "d", "id"))
    log.move_floor("r", WORK, Floor(1_001, "d", "id"))
    assert log.floor("r", WORK) == Floor(1_001, "d", "id")
    for key, value in late:
        operator_of(log).produce(Place(NOTES, 0), value, key=key)  # type: ignore[arg-type]
    assert new_log(log.settings, FEW).floor("r", WORK) == Floor(1_001, "d", "id")
