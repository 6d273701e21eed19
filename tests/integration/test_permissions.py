"""Nobody can tell what people do whose things they may not read: the same history with and without them looks alike."""

from contextlib import closing
from itertools import zip_longest

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.projector import Projector
from readmodel import registry
from readmodel.connection import connect
from readmodel.migrate import drop
from tests.support import mutations
from tests.support.twoworlds import INNER, OUTER, Story, comparable, probes

READERS = [name for name in OUTER if name != "lab"]


def seen(dsn, story, without=()):
    """What each reader of the outer circle finds out in the end."""
    with closing(connect(dsn)) as connection:
        drop(connection)
        registry.prepare(connection)
        with closing(Projector(story.play(without=without).log, dsn)) as projector:
            projector.catch_up()
        return {reader: comparable(probes(connection, reader, story)) for reader in READERS}


def tell_apart(dsn, seed):
    """Who can tell the two worlds apart, and by what; None: nobody."""
    story = Story(seed)
    with_them, without_them = seen(dsn, story), seen(dsn, story, INNER)
    for reader, one in with_them.items():
        lines = zip_longest(one.splitlines(), without_them[reader].splitlines())
        different = next(((mine, its) for mine, its in lines if mine != its), None)
        if different is not None:
            return reader, different
    return None


SETTINGS = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_who_may_not_read_them_can_not_tell_whether_they_are_there(dsn, seed):
    assert tell_apart(dsn, seed) is None


@pytest.mark.parametrize("leak", [mutations.visibility_ignored, mutations.judgements_told_to_all])
def test_a_leak_is_found(dsn, leak):
    with leak():
        assert any(tell_apart(dsn, seed) for seed in range(6))
