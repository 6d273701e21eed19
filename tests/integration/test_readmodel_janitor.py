"""The janitor: a time becomes an offset, once, and what nobody needs is forgotten."""

from consumers.janitor import Behind, Janitor
from schemas.claims import Aged, Exited
from schemas.topics import Topic
from streams.log import Place
from streams.memory import MemoryLog
from streams.moments import first_at
from tests.support.office import COUNTS, Office, spec

CLAIMS = [Place(Topic.CLAIMS, 0), Place(Topic.CLAIMS, 1)]
WORK = Place(Topic.WORK, 0)
HOUR = 3_600_000


class Clock:
    def __init__(self):
        self.time = 1_700_000_000_000

    def __call__(self):
        return self.time


class Building:
    def __init__(self, safe=lambda place: 0):
        self.clock = Clock()
        self.office = Office(MemoryLog(now=self.clock))
        self.safe = safe
        self.begin()

    def begin(self):
        self.janitor = Janitor(self.office.log, interval=HOUR, safe=self.safe, now=self.clock)

    def aged(self):
        return [body for place in CLAIMS for body in self.office.read(place) if isinstance(body, Aged)]

    def exits(self):
        return [
            offset
            for place in CLAIMS
            for offset, body in enumerate(self.office.read(place), start=1)
            if isinstance(body, Exited)
        ]


def test_an_entry_is_looked_at_again_only_when_its_time_is_over():
    building = Building()
    building.office.submit("ada", "job-1", spec())
    building.office.run()
    building.clock.time += HOUR
    building.janitor.step()
    assert building.aged() == []
    building.clock.time += 1
    building.janitor.step()
    [offset] = building.exits()
    [aged] = building.aged()
    assert aged.before > offset
    building.office.submit("ada", "job-2", spec())
    building.office.run()
    assert [ready.kind for ready in building.office.done] == ["execute", "verify"]


def test_what_it_said_it_does_not_say_again():
    building = Building()
    building.office.submit("ada", "job-1", spec())
    building.office.run()
    for _ in range(5):
        building.clock.time += 2 * HOUR
        building.janitor.step()
    assert len(building.aged()) == 1
    building.begin()
    building.janitor.step()
    assert len(building.aged()) == 2  # it can't know, and it does no harm
    building.office.submit("ada", "job-2", spec())
    building.office.run()
    building.clock.time += 2 * HOUR
    building.janitor.step()
    assert len(building.aged()) == 3


def test_a_moment_is_found_among_records_of_the_same_time():
    clock = Clock()
    log = MemoryLog(now=clock)
    log.create(COUNTS)
    office = Office(log)
    for step in range(50):
        office.say(Topic.CLAIMS, Aged(before=0), 0)
        clock.time += step % 3
    times = [record.time for record in log.read(CLAIMS[0], 0, 100)]
    for moment in range(times[0] - 2, times[-1] + 3):
        expected = next((n for n, time in enumerate(times) if time >= moment), len(times))
        assert first_at(log, CLAIMS[0], moment) == expected


def test_work_is_forgotten_up_to_what_is_still_needed_and_the_rest_is_left_alone():
    building = Building(safe=lambda place: 3 if place == WORK else 0)
    building.office.submit("ada", "job-1", spec())
    building.office.submit("ada", "job-2", spec(inputs="b"))
    building.office.submit("ada", "job-3", spec(inputs="c"))
    building.office.run()
    building.janitor.step()
    starts = {place: building.office.log.start(place) for place in building.office.log.at}
    assert {place for place, start in starts.items() if start} == {WORK}
    assert starts[WORK] == 3


def test_what_every_reader_has_long_read_is_forgotten():
    office = Building().office
    place = Place(Topic.ASSIGNMENTS, 0)
    starts = []
    for number in range(4):
        office.submit("ada", f"job-{number}", spec(inputs=str(number)))
        office.run()
        behind = Behind(office.log, kept=3)  # of a janitor that has just started
        safe = {place: behind(place)}
        Janitor(office.log, interval=HOUR, safe=lambda asked, safe=safe: safe.get(asked, 0)).step()
        starts.append(office.log.start(place))
    assert starts == [0, 0, 1, 2]
