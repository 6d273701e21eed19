"""The judge of the chaos suite, on logs of a few records: what it must find, and the clock that it must see through."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.jobs import Jobs
from gateway.people import user_set
from schemas.codec import encode
from schemas.spec import JobSpec
from schemas.tasks import JobAssembled, JobCancelled, JobSubmitted
from schemas.topics import Topic
from streams.admin import EMBEDDED
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Place
from streams.loop import Runner
from streams.memory import MemoryLog
from streams.routes import Routes, key_of
from tests.chaos.judge import Judge, in_order, true_time
from tests.chaos.reader import Reader
from tests.chaos.run import is_unforeseen
from tests.chaos.town import BROKER_JUMP
from tests.support.office import spec

NOON = 1_795_000_000_000
JUMPS = (0, BROKER_JUMP * 1000, -BROKER_JUMP * 1000)


class Broker(MemoryLog):
    """A log whose clock can be set."""

    def __init__(self) -> None:
        self.time = NOON
        super().__init__(lambda: self.time)
        self.create(EMBEDDED)

    def say(self, topic: Topic, body: object, time: int) -> Place:
        self.time = time
        place = Routes(self).place(topic, key_of(body))
        self.append([Append(place, key_of(body), encode(body))])
        return place


@pytest.fixture
def broker() -> Iterator[Broker]:
    log = Broker()
    yield log
    log.close()


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("after", [-60_000, 0, 1, 3_500_000])
def test_a_time_of_append_says_which_jump_it_is_from(jump: int, after: int) -> None:
    assert true_time(NOON + after + jump, NOON) == NOON + after


def test_records_are_judged_in_the_order_in_which_they_were_appended(broker: Broker) -> None:
    ada, ben = user_set("ada"), user_set("ben")
    said = [
        broker.say(Topic.SETTINGS, ada, NOON + 10),
        broker.say(Topic.TASKS, JobCancelled(root="zzzzz-8i9sb-000000000000000"), NOON + 20 - BROKER_JUMP * 1000),
        broker.say(Topic.SETTINGS, ben, NOON + 30 + BROKER_JUMP * 1000),
    ]
    positions = dict.fromkeys(said, 1)
    assert [place for place, _ in in_order(broker, positions, {}, NOON)] == said


def test_what_came_while_the_log_was_read_off_is_left_for_the_next_time(broker: Broker) -> None:
    early = broker.say(Topic.SETTINGS, user_set("ada"), NOON + 10)
    late = broker.say(Topic.TASKS, JobCancelled(root="zzzzz-8i9sb-000000000000000"), NOON + 20 + BROKER_JUMP * 1000)
    positions = dict.fromkeys((early, late), 1)
    assert [place for place, _ in in_order(broker, positions, {}, NOON, (NOON + 20) / 1000)] == [early]
    assert [place for place, _ in in_order(broker, positions, {}, NOON, (NOON + 21) / 1000)] == [late]


def test_a_genesis_that_was_written_once_more_asks_for_no_answer(broker: Broker) -> None:
    place = Place(Topic.TASKS, 0)
    broker.append([Append(place, "", encode(broker.genesis(place)))])
    judge = Judge(broker)
    assert judge.read(broker) == 1
    judge.model.finish([])
    assert judge.model.is_quiet()


def test_a_cancelled_job_gets_its_log_afterwards_once(broker: Broker) -> None:
    root, log = "zzzzz-8i9sb-000000000000000", "d41d8cd98f00b204e9800998ecf8427e+0"
    owner = user_set("ada").user
    assembled = JobAssembled(root=root, output="", log=log)
    asked = JobSubmitted(root=root, owner=owner, request=root, spec=JobSpec(task=spec()))
    for body in (asked, JobCancelled(root=root), assembled, assembled):
        place = broker.say(Topic.TASKS, body, NOON)
    runner = Runner(broker, Jobs, place.partition, MemoryCheckpoints())
    while runner.poll():
        pass
    judge = Judge(broker)
    judge.read(broker)
    assert judge.model.fired["cancelled job's log"] == 1
    assert judge.model.is_quiet()


def test_a_start_without_a_grant_is_found(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("node-a.0123456789abcdef zzzzz-ot0gb-000000000000000 1795000000.5\n")
    with pytest.raises(AssertionError, match=r"invariant 11: .*0123456789abcdef.* has no grant in the log"):
        Judge(broker).count_starts(tmp_path / "starts")


def test_a_log_that_was_trimmed_is_not_judged(broker: Broker) -> None:
    broker.say(Topic.SETTINGS, user_set("ada"), NOON)
    broker.trim(Place(Topic.SETTINGS, 0), 1)
    with pytest.raises(AssertionError, match=r"settings/0.* were trimmed"):
        Judge(broker)


def test_postgres_uses_the_word_too() -> None:
    assert is_unforeseen("crunch-reuse: unexpected KeyError: 'x'; run it again with --data-dir")
    assert not is_unforeseen("FATAL: terminating connection because of unexpected postmaster exit")


def test_what_the_api_takes_back_is_found() -> None:
    reader = Reader("", "", Path(), "", [])
    for state in ("Running", "Complete", "Complete", "Running"):
        reader.hear(200, json.dumps({"items": [{"uuid": "one", "state": state}]}))
    assert reader.wrong == ["invariant 4: the API said that one is complete, and then that it is Running"]


def test_who_was_known_to_the_api_stays_so() -> None:
    reader = Reader("", "", Path(), "", [])
    for status, body in ((401, "not yet"), (503, "away"), (200, '{"items": []}'), (503, "away")):
        reader.hear(status, body)
    assert (reader.wrong, reader.answers) == ([], 1)
    reader.hear(401, "Not logged in")
    assert reader.wrong == ["the API answers 401: Not logged in"]
