"""Sending a command and waiting for its answer, from several threads at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.claims import Aged
from schemas.reasons import Outcome
from schemas.topics import Topic
from streams.answers import Answers, NoAnswer
from streams.driver import Crew, Driver
from streams.faults import FaultyLog, Refused
from streams.log import LogError, LogUnreachable, Place, Stored
from streams.memory import MemoryLog
from tests.support.log_world import COUNTS, World, append, request

SOON = 20.0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def coordinator(world: World) -> Iterator[World]:
    """The world, with a coordinator that answers."""
    driver = Driver(world.log, lambda: Crew([world.runner(n) for n in range(COUNTS[Topic.CLAIMS])]))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(driver.run)
        yield world
        driver.stop()
        ended.result(SOON)


@pytest.fixture
def answers(world: World) -> Iterator[Answers]:
    made = Answers(world.log)
    yield made
    made.close()


def test_every_command_gets_its_own_answer(coordinator: World, answers: Answers) -> None:
    requests = [request(number) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda body: answers.append_and_wait(Topic.CLAIMS, body, SOON), requests))
    assert [answer.about for answer in said] == [body.fingerprint for body in requests]
    assert {answer.outcome for answer in said} == {Outcome.DONE}


def test_answers_of_long_ago_are_not_read_again(world: World) -> None:
    append(world.log, Topic.CLAIMS, *[request(number) for number in range(10)])
    world.run()
    answers = Answers(world.log)
    with pytest.raises(NoAnswer):
        answers.append_and_wait(Topic.CLAIMS, request(0), 0.01)
    answers.close()


def test_without_a_coordinator_the_wait_ends_and_says_where_the_command_stands(answers: Answers) -> None:
    with pytest.raises(
        NoAnswer, match=r"no answer to claims/0 offset 1 within 0.01 s: is `up`, or a coordinator, running\?"
    ):
        answers.append_and_wait(Topic.CLAIMS, request(0), 0.01)


def test_a_command_without_a_key_goes_to_the_partition_that_is_named(world: World, answers: Answers) -> None:
    with pytest.raises(NoAnswer, match="claims/1 offset 1"):
        answers.append_and_wait(Topic.CLAIMS, Aged(before=1), 0.01, partition=1)
    assert world.log.end(Place(Topic.CLAIMS, 1)) == 2


def test_closing_tells_who_still_waits(world: World) -> None:
    answers = Answers(world.log)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(answers.append_and_wait, Topic.CLAIMS, request(0), SOON)
        assert world.log.wait({Place(Topic.CLAIMS, 0): 1}, SOON)
        answers.close()
        with pytest.raises(LogError, match="closed"):
            waiting.result(SOON)
    with pytest.raises(LogError, match="closed"):
        answers.append_and_wait(Topic.CLAIMS, request(0), SOON)


def test_an_append_that_fails_is_the_callers_and_the_next_works(coordinator: World) -> None:
    faults = [Refused()]
    answers = Answers(FaultyLog(coordinator.log, lambda records: faults.pop() if faults else None))
    with pytest.raises(LogUnreachable):
        answers.append_and_wait(Topic.CLAIMS, request(0), SOON)
    assert answers.append_and_wait(Topic.CLAIMS, request(0), SOON).outcome is Outcome.DONE
    answers.close()


class UnreadableFacts(MemoryLog):
    """The same log, gone for who reads new facts."""

    def read(self, place: Place, offset: int, limit: int) -> Sequence[Stored]:  # type: ignore[override]
        if place.topic is Topic.FACTS:
            raise LogUnreachable("gone")
        return super().read(place, offset, limit)


def test_when_the_facts_can_not_be_read_everyone_hears_of_it(world: World) -> None:
    broken = UnreadableFacts()
    vars(broken).update(vars(world.log))
    answers = Answers(broken)
    for _ in range(2):
        with pytest.raises(LogError, match="gone"):
            answers.append_and_wait(Topic.CLAIMS, request(0), SOON)
    answers.close()
