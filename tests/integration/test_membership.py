"""Who holds which partition: shared out, handed over in order, taken over from the dead."""

import multiprocessing
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schemas.topics import Topic
from streams.admin import create_topics
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_settings import KafkaSettings
from streams.kafkagroup import KafkaGroup
from streams.log import LogMismatch, Place
from streams.membership import Everything, Membership, OneOfMany
from tests.support.logs import kafka_settings

PLACES = frozenset(Place(Topic.CLAIMS, number) for number in range(4))
NONE: frozenset[Place] = frozenset()
PATIENCE = 60.0


class Member:
    """A membership in a thread; what it is told comes in order."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._told: queue.SimpleQueue[frozenset[Place]] = queue.SimpleQueue()
        self.held = NONE
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._membership.run(self._told.put)
        except BaseException as error:  # noqa: BLE001 - looked at when it is over
            self.failure = error

    def hear(self) -> frozenset[Place]:
        """What it is told next."""
        self.held = self._told.get(timeout=PATIENCE)
        return self.held

    def until(self, count: int) -> frozenset[Place]:
        """What it is told when that is so many places."""
        while len(self.held) != count:
            self.hear()
        return self.held

    def stop(self) -> None:
        self._membership.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@contextmanager
def member(membership: Membership) -> Iterator[Member]:
    made = Member(membership)
    try:
        yield made
    finally:
        made.stop()


def test_who_stands_by_for_all_holds_all() -> None:
    with member(Everything(PLACES)) as one:
        assert one.hear() == PLACES
    assert one.hear() == NONE


def test_in_postgres_one_holds_all_and_the_next_one_takes_over(dsn: str) -> None:
    with member(OneOfMany(dsn, "group", PLACES)) as first:
        assert (first.hear(), first.hear()) == (NONE, PLACES)
        with member(OneOfMany(dsn, "group", PLACES)) as second, member(OneOfMany(dsn, "another", PLACES)) as other:
            assert second.hear() == NONE
            assert (other.hear(), other.hear()) == (NONE, PLACES)
            first.stop()
            assert first.hear() == NONE
            assert second.hear() == PLACES


def _hold_for_ever(dsn: str, ready: "multiprocessing.connection.Connection") -> None:
    OneOfMany(dsn, "group", PLACES).run(lambda places: ready.send(len(places)))


def test_in_postgres_a_killed_holder_is_followed_at_once(dsn: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_hold_for_ever, args=(dsn, theirs))
    process.start()
    assert (ours.recv(), ours.recv()) == (0, len(PLACES))
    with member(OneOfMany(dsn, "group", PLACES)) as second:
        assert second.hear() == NONE
        process.kill()
        process.join()
        assert second.hear() == PLACES
    ours.close()
    theirs.close()


@pytest.fixture
def settings(kafka_broker: LocalBroker) -> KafkaSettings:
    settings = kafka_settings(kafka_broker)
    log = KafkaLog(settings)
    create_topics(log)
    log.close()
    return settings


def test_in_kafka_the_group_shares_them_out_and_one_that_leaves_hands_over(settings: KafkaSettings) -> None:
    with member(KafkaGroup(settings, "coordinator", [Topic.CLAIMS])) as first:
        assert first.until(4) == PLACES
        with member(KafkaGroup(settings, "coordinator", [Topic.CLAIMS])) as second:
            assert first.until(2) | second.until(2) == PLACES
            assert not first.held & second.held
        assert second.until(0) == NONE
        assert first.until(4) == PLACES
    assert first.failure is None
    assert second.failure is None


def test_in_kafka_a_partition_is_not_given_on_before_it_is_let_go(settings: KafkaSettings) -> None:
    """`changed` has returned for who loses it before it is called for who gets it."""
    has_all, letting_go, let_go, taken = (threading.Event() for _ in range(4))
    overlaps: list[frozenset[Place]] = []
    held: dict[str, frozenset[Place]] = {"one": NONE, "other": NONE}

    def slow(places: frozenset[Place]) -> None:
        if held["one"] - places:
            letting_go.set()
            let_go.wait(PATIENCE)
        held["one"] = places
        if places == PLACES:
            has_all.set()

    def watchful(places: frozenset[Place]) -> None:
        overlaps.append(places & held["one"])
        held["other"] = places
        if places:
            taken.set()

    one = KafkaGroup(settings, "coordinator", [Topic.CLAIMS])
    other = KafkaGroup(settings, "coordinator", [Topic.CLAIMS])
    threads = [threading.Thread(target=one.run, args=(slow,)), threading.Thread(target=other.run, args=(watchful,))]
    threads[0].start()
    assert has_all.wait(PATIENCE)
    threads[1].start()
    assert letting_go.wait(PATIENCE)
    assert not taken.is_set()
    let_go.set()
    assert taken.wait(PATIENCE)
    for membership, thread in zip((other, one), reversed(threads), strict=True):
        membership.stop()
        thread.join(PATIENCE)
    assert not any(overlaps)


def test_in_kafka_a_topic_that_is_missing_is_said(kafka_broker: LocalBroker) -> None:
    with member(KafkaGroup(kafka_settings(kafka_broker), "coordinator", [Topic.CLAIMS])) as lonely:
        lonely.thread.join(PATIENCE)
    assert isinstance(lonely.failure, LogMismatch)
