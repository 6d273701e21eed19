"""What the loop makes of single records: refusals of its own, stops, outputs without end, and where each belongs."""

import pytest

from coordinator.machine import Output
from schemas.codec import decode, encode
from schemas.facts import Answered
from schemas.fields import MAX_RECORD_BYTES, MAX_RECORD_DEPTH
from schemas.log import Cause
from schemas.partition import partition_of
from schemas.reasons import Outcome, Reason
from schemas.settings import Forwarded, RulesSet
from schemas.topics import Topic, members
from schemas.topics import key_of as key_by_topic
from schemas.work import Ready
from streams.log import Append, Place, Stored
from streams.loop import BATCH, REFUSALS, MachineStopped
from streams.memory import MemoryLog
from streams.routes import Routes, key_of
from tests.support.examples import full, minimal
from tests.support.log_world import COUNTS, FINGERPRINTS, World, finish, request

PLACE = Place(Topic.CLAIMS, 0)
HERE, ELSEWHERE = FINGERPRINTS[0], FINGERPRINTS[2]


def good(**fields: object) -> Append:
    return Append(PLACE, HERE, encode(request(0, **fields)))  # type: ignore[arg-type]


def answers(world: World) -> list[tuple[int, str, Outcome, Reason]]:
    """Offset of the command, key, outcome and reason of each answer, in the order of the commands."""
    found = []
    for partition in range(COUNTS[Topic.FACTS]):
        for record in world.log.read(Place(Topic.FACTS, partition), 1, 1_000):
            envelope = decode(Topic.FACTS, record.value)
            body = envelope.body
            assert isinstance(body, Answered)
            assert partition_of(record.key, COUNTS[Topic.FACTS]) == partition
            assert record.key == body.about
            found.append((envelope.cause.offset, record.key, body.outcome, body.reason))
    return sorted(found)


# --- Refusals --------------------------------------------------------------------------------------------------------

BAD = {
    "no JSON": (HERE, b"\xff\xfe\0", Reason.UNDECODABLE),
    "empty": (HERE, b"", Reason.UNDECODABLE),
    "no record": (HERE, b'{"v":1,"body":{"type":"nonsense"}}', Reason.UNDECODABLE),
    "of another topic": (HERE, encode(Ready(pool="p", token="t", fingerprint="f", owner="o")), Reason.UNDECODABLE),
    "no key": ("", b"", Reason.UNDECODABLE),
    "a key too long to repeat": ("k" * 1_000, b"", Reason.UNDECODABLE),
    "too large": (HERE, b" " * (MAX_RECORD_BYTES + 1), Reason.TOO_LARGE),
    "too deep": (HERE, b"[" * (MAX_RECORD_DEPTH + 1) + b"]" * (MAX_RECORD_DEPTH + 1), None),
    "another's key": (HERE, encode(request(2)), Reason.WRONG_KEY),
    "key left out": ("", encode(request(0)), Reason.WRONG_KEY),
    "another's partition": (ELSEWHERE, encode(request(2)), Reason.WRONG_PARTITION),
}


@pytest.mark.parametrize(("key", "value", "reason"), BAD.values(), ids=BAD)
def test_a_bad_record_is_answered_once_and_the_next_is_decided(key: str, value: bytes, reason: Reason | None) -> None:
    world = World()
    world.log.append([Append(PLACE, key, value), good()])
    finish(world.runner())
    [(first, about, outcome, why), second] = answers(world)
    assert (first, about, outcome) == (1, key[:96] or "-", Outcome.REFUSED)
    assert why is reason or reason is None
    assert why in REFUSALS
    assert second == (2, HERE, Outcome.DONE, Reason.NONE)


def test_a_repeat_is_not_answered_again() -> None:
    world = World()
    once = Append(PLACE, HERE, encode(request(0), Cause("another", 7, 0)))
    world.log.append([once, once])
    finish(world.runner())
    assert answers(world) == [(1, HERE, Outcome.DONE, Reason.NONE)]


def test_a_command_from_outside_is_decided_each_time() -> None:
    world = World()
    world.log.append([good(), good()])
    assert finish(world.runner()).machine.snapshot().count(b'"f3":2') == 1
    assert len(answers(world)) == 2


# --- Stops -----------------------------------------------------------------------------------------------------------

STOPS = {
    "newer schema": (b'{"v":99,"body":{"type":"requested"}}', "NewerSchema: .* has schema version 99, .*: upgrade"),
    "newer rules": (
        encode(Forwarded(change=RulesSet(version=99), position=1)),
        "NewerRules: .* rules version 99, .*: upgrade",
    ),
    "a bug": (encode(request(0, children=-1)), "RuntimeError: a bug that negative priorities trigger"),
    "an output too large": (
        encode(request(0, pool="p" * 900)),
        r"ValueError: output 0 \(Ready\) has \d+ bytes",
    ),
}


@pytest.mark.parametrize("limit", [1, 1_000])
@pytest.mark.parametrize(("value", "said"), STOPS.values(), ids=STOPS)
def test_a_stop_names_the_record_and_leaves_what_came_before_decided(
    value: bytes, said: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "output" in said:
        monkeypatch.setattr("streams.loop.MAX_RECORD_BYTES", 800)
    world = World()
    world.log.append([good(), good(), Append(PLACE, HERE, value), good()])
    runner = world.runner()
    with pytest.raises(MachineStopped, match=f"^claims/0 stopped at offset 3: {said}") as error:
        finish(runner, limit)
    assert "\n" not in str(error.value)
    assert [offset for offset, *_ in answers(world)] == [1, 2]
    floor = world.log.floor(runner.reader, PLACE)
    assert floor
    assert floor.offset == 3
    with pytest.raises(MachineStopped, match="stopped at offset 3"):
        finish(world.runner())


def test_a_runner_that_has_failed_is_not_used_again_and_keeps_no_state() -> None:
    world = World()
    world.log.append([good(), good(children=-1)])
    runner = world.runner()
    with pytest.raises(MachineStopped):
        runner.poll()
    runner.checkpoint()
    assert list(world.checkpoints.load(PLACE)) == []
    with pytest.raises(AssertionError, match="make a new one"):
        runner.poll()


# --- Many outputs ----------------------------------------------------------------------------------------------------


def appended_by(world: World) -> list[int]:
    """Numbers of records in each append that the runner makes from now on."""
    sizes: list[int] = []
    append = world.log.append

    def counting(records: list[Append]) -> list[int]:
        sizes.append(len(records))
        return append(records)

    world.log.append = counting  # type: ignore[method-assign, assignment]
    return sizes


def test_a_step_with_100_000_outputs_streams_them() -> None:
    world = World()
    world.log.append([good(children=100_000)])
    sizes = appended_by(world)
    finish(world.runner())
    assert sum(sizes) == 100_002
    assert max(sizes) == BATCH


def test_large_outputs_are_appended_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.loop.CHUNK_BYTES", 2_000)
    world = World()
    world.log.append([good(children=300)])
    sizes = appended_by(world)
    finish(world.runner())
    assert sum(sizes) == 302
    assert max(sizes) * len(encode(request(0))) < 4_000


# --- Where outputs belong ---------------------------------------------------------------------------------------------

RECORDS = [(topic, record) for topic in Topic for record in members(topic)]


@pytest.mark.parametrize(("topic", "record"), RECORDS, ids=[f"{t}-{r.__name__}" for t, r in RECORDS])
def test_the_loops_key_is_the_schemas_key(topic: Topic, record: type) -> None:
    for example in (full(record), minimal(record)):
        assert key_of(example) == key_by_topic(topic, example)


def test_an_output_goes_where_its_key_belongs_or_where_it_is_told() -> None:
    routes = Routes(World().log)
    ready = Ready(pool="p", token="t", fingerprint="f", owner="o")
    assert routes.place_of(Output(Topic.WORK, ready)) == (Place(Topic.WORK, 0), "p")
    for partition in range(2):
        told = Output(Topic.CLAIMS, Forwarded(change=RulesSet(version=1), position=1), partition)
        assert routes.place_of(told) == (Place(Topic.CLAIMS, partition), "")
    for number in range(20):
        fact = Answered(outcome=Outcome.DONE, about=f"a{number}")
        place, key = routes.place_of(Output(Topic.FACTS, fact))
        assert (place.partition, key) == (partition_of(f"a{number}", 2), f"a{number}")


class Short(MemoryLog):
    """A log whose reads give one record at a time: large ones come like that."""

    def __init__(self, log: MemoryLog) -> None:
        vars(self).update(vars(log))

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        return super().read(place, offset, min(limit, 1))


def test_a_short_read_is_not_the_end() -> None:
    world = World([request(number) for number in range(12)])
    expected = World([request(number) for number in range(12)]).run().accepted()
    for partition in range(COUNTS[Topic.CLAIMS]):
        finish(world.runner(partition, log=Short(world.log)))
    assert world.accepted() == expected
