"""Entries go by themselves, after the days that the settings say; and what the log then has of it."""

from contextlib import closing
from threading import Event

import pytest

from consumers.retention import DAY, Retention
from readmodel.cache import Asked, entries
from schemas.claims import Invalidated, Released, Removed
from schemas.topics import Topic
from streams.log import LogUnreachable, Place
from streams.memory import MemoryLog
from tests.support.model import Model
from tests.support.office import Office, spec


class Clock:
    """Append times that rise by a millisecond a call, and by whole days where a test says so."""

    def __init__(self):
        self.time = 1_700_000_000_000

    def __call__(self):
        self.time += 1
        return self.time


class Unsteady(MemoryLog):
    """`answers`: what comes of the next appends, an error or a call beside it."""

    answers = ()

    def append(self, records):
        answer, self.answers = (self.answers[0], self.answers[1:]) if self.answers else (None, ())
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            answer()
        return super().append(records)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def model(dsn, clock):
    with closing(Model(dsn, Office(Unsteady(now=clock)))) as made:
        yield made


def taken_out(model, dsn, clock):
    """The reasons of what a look takes out now."""
    model.projector.catch_up()
    retention = Retention(model.office.log, dsn, now=lambda: clock.time + 1)
    before = len(reasons(model.office))
    number = retention.step()
    assert retention.step() == 0, "what was said is not said again"
    model.office.settle()
    said = reasons(model.office)[before:]
    assert len(said) == number
    return said


def reasons(office):
    bodies = [body for number in range(2) for body in office.read(Place(Topic.CLAIMS, number))]
    return [body.reason for body in bodies if isinstance(body, Invalidated | Removed)]


def two_entries(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.submit("ada", "job-2", spec("other", inputs="b"))
    office.run()


def test_entries_stay_for_ever_where_nobody_said_otherwise(model, dsn, clock):
    two_entries(model)
    clock.time += 99_999 * DAY
    assert taken_out(model, dsn, clock) == []


def test_an_entry_goes_after_its_days_and_who_asks_next_is_told_why_it_runs(model, dsn, clock):
    model.office.number("keep_days", 30)
    two_entries(model)
    clock.time += 29 * DAY
    assert taken_out(model, dsn, clock) == []
    clock.time += DAY
    assert taken_out(model, dsn, clock) == ["what is more than 30 days old is kept no longer"] * 2
    assert model.ask(entries, "root", Asked()) == []
    model.office.submit("ada", "job-3", spec("again"))
    model.office.run()
    explained = model.explained("ada", "job-3")
    assert (explained.how, [why.code for why in explained.why_executed]) == ("executed", ["removed"])
    assert explained.why_executed[0].text.endswith(
        "was taken out of the cache (what is more than 30 days old is kept no longer)"
    )


def test_an_entry_that_is_used_stays(model, dsn, clock):
    model.office.number("keep_unused_days", 10)
    two_entries(model)
    clock.time += 5 * DAY
    model.office.submit("ada", "job-3", spec("again"))
    model.office.run()
    clock.time += 6 * DAY
    assert taken_out(model, dsn, clock) == ["what was not used for 10 days is kept no longer"]
    assert [one.name for one in model.ask(entries, "root", Asked())] == ["one"]
    clock.time += 5 * DAY
    assert len(taken_out(model, dsn, clock)) == 1


@pytest.mark.parametrize(("decided", "outcome"), [(False, "complete"), (True, "copied")])
def test_what_disagrees_with_an_entry_that_goes_is_not_given_unless_somebody_has_decided(
    model, dsn, clock, decided, outcome
):
    office = model.office
    office.number("keep_days", 30)
    office.submit("ada", "job-1", spec("one"))
    office.run()
    clock.time += 20 * DAY
    office.exits = lambda ready: {"output": "another"}
    office.submit("ada", "job-2", spec("one", refresh=True))
    office.run()
    if decided:
        office.say(Topic.CLAIMS, Released(fingerprint=office.done[0].fingerprint))
        office.settle()
    clock.time += 15 * DAY
    assert taken_out(model, dsn, clock) == ["what is more than 30 days old is kept no longer"]
    office.submit("ada", "job-3", spec("one"))
    office.run()
    assert model.task("ada", "job-3").state == outcome


def test_what_agrees_with_the_entry_that_somebody_kept_stays_when_that_goes(model, dsn, clock):
    office = model.office
    office.number("keep_days", 30)
    office.submit("ada", "job-1", spec("one"))
    office.run()
    clock.time += 20 * DAY
    as_first, office.exits = office.exits, lambda ready: {"output": "another"}
    office.submit("ada", "job-2", spec("one", refresh=True))
    office.run()
    kept = office.done[0]
    office.say(Topic.CLAIMS, Invalidated(fingerprint=kept.fingerprint, keep=kept.token, reason="the other is wrong"))
    office.settle()
    office.exits = as_first
    office.submit("ada", "job-3", spec("one", refresh=True))
    office.run()
    clock.time += 15 * DAY
    assert taken_out(model, dsn, clock) == ["what is more than 30 days old is kept no longer"]
    office.submit("ada", "job-4", spec("one"))
    office.run()
    assert model.task("ada", "job-4").state == "copied"


def test_another_output_that_turns_up_before_the_command_is_not_given_as_if_somebody_had_decided(model, dsn, clock):
    office = model.office
    office.number("keep_days", 30)
    office.submit("ada", "job-1", spec("one"))
    office.run()
    clock.time += 31 * DAY

    def disagrees():
        office.exits = lambda ready: {"output": "another"}
        office.submit("ada", "job-2", spec("one", refresh=True))
        office.run()

    office.log.answers = [disagrees]
    assert taken_out(model, dsn, clock) == ["what is more than 30 days old is kept no longer"]
    assert [one.root for one in model.ask(entries, "root", Asked())] == ["job-2"]
    office.submit("ada", "job-3", spec("one"))
    office.run()
    assert model.task("ada", "job-3").state == "complete"
    clock.time += 31 * DAY
    assert taken_out(model, dsn, clock) == ["what is more than 30 days old is kept no longer"]
    office.submit("ada", "job-4", spec("one"))
    office.submit("ada", "job-5", spec("one"))
    office.run()
    assert sorted(model.task("ada", job).state for job in ("job-4", "job-5")) == ["complete", "copied"]


def test_where_the_log_is_away_it_looks_again_the_next_time(model, dsn, clock, caplog):
    model.office.number("keep_days", 1)
    two_entries(model)
    model.projector.catch_up()
    clock.time += 2 * DAY
    stop, log = Event(), model.office.log
    log.answers = [LogUnreachable("the log does not answer"), stop.set]
    Retention(log, dsn, now=lambda: clock.time).run(stop, 0.001)
    assert "entries whose time is over stay until it is back" in caplog.text
    assert len(reasons(model.office)) == 2
