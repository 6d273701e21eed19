"""Where a runner starts: from any checkpoint the same state and outputs; from a log that is another one, not at all."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.log import Genesis
from schemas.topics import Topic
from streams.checkpoints import Checkpoint, MemoryCheckpoints
from streams.faults import recreate, truncate
from streams.log import Append, Floor, LogMismatch, Place
from streams.loop import Runner
from streams.memory import Partition
from streams.resume import digest_at
from tests.support.log_world import COUNTS, World, append, finish, request

PLACE = Place(Topic.CLAIMS, 0)
READER = "claims-machine"


def requests(number: int) -> list[object]:
    return [request(n, children=n % 3) for n in range(number)]


def only(checkpoint: Checkpoint) -> MemoryCheckpoints:
    store = MemoryCheckpoints()
    store.save(checkpoint)
    return store


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_every_checkpoint_leads_to_the_same_state_and_the_same_outputs(drawn: list[int]) -> None:
    commands = [request(n, children=children) for n, children in enumerate(drawn)]
    whole = World(commands)
    snapshot = finish(whole.runner(every=1), limit=1).machine.snapshot()
    for checkpoint in whole.checkpoints.load(PLACE):
        world = World(commands)
        at = Floor(checkpoint.offset, digest_at(world.log, PLACE, checkpoint.offset - 1), checkpoint.log_id)
        world.log.move_floor(READER, PLACE, at)
        assert finish(world.runner(checkpoints=only(checkpoint))).machine.snapshot() == snapshot
        assert world.accepted() == {
            place: [(cause, body) for cause, body in said if cause.offset >= checkpoint.offset]
            for place, said in whole.accepted().items()
        }


def test_up_to_the_floor_a_runner_is_silent() -> None:
    world = World(requests(9)).run()
    ends = {place: world.log.end(place) for place in world.log.at}
    again = finish(world.runner(checkpoints=MemoryCheckpoints()))
    assert again.position == world.log.end(PLACE)
    assert {place: world.log.end(place) for place in world.log.at} == ends


def test_a_checkpoint_of_newer_rules_is_passed_over() -> None:
    world = World(requests(9))
    finish(world.runner(every=1), limit=2)
    [newest, older, *_] = world.checkpoints.load(PLACE)
    world.checkpoints.save(msgspec.structs.replace(newest, rules=99))
    assert world.runner().position == older.offset


def test_a_trimmed_partition_is_resumed_from_its_checkpoint() -> None:
    world = World(requests(9)).run(every=1)
    world.log.trim(PLACE, world.log.end(PLACE) - 1)
    before = world.accepted()
    append(world.log, Topic.CLAIMS, *requests(9))
    finish(world.runner())
    after = world.accepted()
    assert all(said in after[place] for place in before for said in before[place])


# --- Logs that are not what they were ---------------------------------------------------------------------------------


def lose_the_end(world: World) -> None:
    truncate(world.log, PLACE, 2)


def lose_the_end_and_go_on(world: World) -> None:
    end = world.log.end(PLACE)
    truncate(world.log, PLACE, 1)
    append(world.log, Topic.CLAIMS, *(request(n, same=1) for n in range(50, 49 + end)))


def make_the_topic_anew(world: World) -> None:
    recreate(world.log, Topic.CLAIMS)


def make_the_topic_anew_with_the_same_commands(world: World) -> None:
    commands = [Append(PLACE, key, value) for _, _, key, value in world.log.read(PLACE, 1, 1_000)]
    recreate(world.log, Topic.CLAIMS)
    world.log.append(commands)


def make_a_target_anew(world: World) -> None:
    recreate(world.log, Topic.FACTS)


def trim_too_far(world: World) -> None:
    world.log.trim(PLACE, world.log.end(PLACE))
    world.checkpoints.at.clear()


def trim_beyond_the_floor(world: World) -> None:
    append(world.log, Topic.CLAIMS, request(50, same=1))
    world.log.trim(PLACE, world.log.end(PLACE))


def lose_the_floor_and_the_end(world: World) -> None:
    truncate(world.log, PLACE, 3)
    world.log.floors.clear()


DISASTERS: list[tuple[Callable[[World], None], str]] = [
    (lose_the_end, "claims/0 ends at 2, .* the log was truncated"),
    (lose_the_end_and_go_on, "claims/0 holds another record at"),
    (make_the_topic_anew, "claims/0 was made anew since the floor"),
    (make_the_topic_anew_with_the_same_commands, "claims/0 was made anew since the floor"),
    (make_a_target_anew, "facts/0 was made anew since a checkpoint of claims/0"),
    (trim_too_far, "claims/0 is trimmed to .* and no checkpoint can be used"),
    (trim_beyond_the_floor, "claims/0 starts at .*: trimmed too far"),
    (lose_the_floor_and_the_end, "claims/0 ends at 3, a checkpoint is at .* the log was truncated"),
]


@pytest.mark.parametrize(("disaster", "said"), DISASTERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_log_that_is_not_what_it_was_is_refused(disaster: Callable[[World], None], said: str) -> None:
    world = World(requests(12)).run(every=1)
    disaster(world)
    with pytest.raises(LogMismatch, match=said) as error:
        world.runner()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "genesis",
    [
        Genesis(log_id="x", topic="work", partition=0, partitions=2),
        Genesis(log_id="x", topic="claims", partition=1, partitions=2),
        Genesis(log_id="x", topic="claims", partition=0, partitions=4),
        Genesis(log_id="x", topic="claims", partition=0, partitions=2, hash="crc32"),
    ],
)
def test_a_partition_made_for_something_else_is_refused(genesis: Genesis) -> None:
    world = World()
    world.log.at[PLACE] = Partition(genesis, 0)
    with pytest.raises(LogMismatch, match="claims/0 says topic, partition, partitions, hash are"):
        world.runner()


def test_a_log_without_all_topics_is_refused() -> None:
    with pytest.raises(LogMismatch, match="no topic facts"):
        World(counts={topic: count for topic, count in COUNTS.items() if topic is not Topic.FACTS}).runner()


def test_a_log_cut_off_under_a_running_runner_stops_it() -> None:
    world = World(requests(12))
    runner = finish(world.runner())
    truncate(world.log, PLACE, 2)
    with pytest.raises(LogMismatch, match="trimmed or truncated"):
        runner.poll()


def test_a_log_cut_off_under_a_running_runner_and_grown_again_stops_it() -> None:
    world = World(requests(12))
    runner = finish(world.runner())
    truncate(world.log, PLACE, 2)
    append(world.log, Topic.CLAIMS, *(request(number, same=1) for number in range(40, 60)))
    with pytest.raises(LogMismatch, match=r"claims/0 has another record at .* has grown again"):
        runner.poll()


def below_the_floor(world: World) -> Runner:
    """A runner that has read two records where another has done them all."""
    runner = finish(world.runner()) and world.runner(checkpoints=MemoryCheckpoints())
    assert runner.poll(2) == 2
    assert 2 < runner.floor == world.log.end(PLACE)
    return runner


def test_a_log_cut_off_between_a_runner_and_the_floor_stops_it() -> None:
    world = World(requests(12))
    runner = below_the_floor(world)
    truncate(world.log, PLACE, 3)
    with pytest.raises(LogMismatch, match=r"claims/0 ends at 3, the floor of claims-machine is at \d+: .* truncated"):
        runner.poll()


def test_a_log_cut_off_between_a_runner_and_the_floor_and_grown_again_stops_it_before_it_says_anything() -> None:
    world = World(requests(12))
    runner = below_the_floor(world)
    truncate(world.log, PLACE, 3)
    append(world.log, Topic.CLAIMS, *(request(number, same=1) for number in range(40, 60)))
    assert runner.floor < world.log.end(PLACE)
    with pytest.raises(LogMismatch, match="the floor of claims-machine is not of claims/0 as it was read"):
        runner.poll()
    assert runner.emitted == 0


def test_a_runner_goes_on_where_everything_before_it_was_trimmed() -> None:
    world = World(requests(12))
    runner = finish(world.runner())
    world.log.trim(PLACE, runner.position)
    append(world.log, Topic.CLAIMS, request(40, same=1))
    assert runner.poll() == 1


def test_a_gap_in_what_is_read_stops_the_runner() -> None:
    world = World(requests(12))
    del world.log.at[PLACE].records[2]
    with pytest.raises(LogMismatch, match="claims/0 has a gap between 0 and"):
        world.runner().poll()
