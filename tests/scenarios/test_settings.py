"""The forwarder: one order for all, and nothing without a meaning gets through."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.machine import NewerRules
from coordinator.settings import FORWARDED_TO, Settings
from schemas.codec import Undecodable
from schemas.facts import Answered, SettingChanged
from schemas.reasons import Outcome, Reason
from schemas.settings import (
    ConfigSet,
    Forwarded,
    GrantRemoved,
    GrantSet,
    GroupSet,
    PureAssumed,
    RulesSet,
    UserSet,
)
from schemas.topics import Topic
from tests.support.given import Given

PARTITIONS = {Topic.TASKS: 2, Topic.CLAIMS: 3, Topic.WORK: 1}
ADA = UserSet(user="ada", name="ada")
BOB = UserSet(user="bob", name="bob")
LAB = GroupSet(group="lab", name="lab", owner="ada")


def world(*before) -> Given[Settings]:
    return Given(Settings(PARTITIONS)).having(*before)


def test_a_change_goes_to_every_partition_in_a_fixed_order_and_is_answered_last():
    outputs = world().when(ADA).outputs
    places = [(o.topic, o.partition) for o in outputs]
    assert places == [
        (Topic.TASKS, 0), (Topic.TASKS, 1),
        (Topic.CLAIMS, 0), (Topic.CLAIMS, 1), (Topic.CLAIMS, 2),
        (Topic.WORK, 0),
        (Topic.FACTS, 0), (Topic.FACTS, 0),
    ]  # fmt: skip
    assert {o.body for o in outputs[:6]} == {Forwarded(change=ADA, position=1)}
    assert [o.body for o in outputs[6:]] == [
        SettingChanged(change=msgspec.Raw(msgspec.json.encode(ADA))),
        Answered(outcome=Outcome.DONE, about="ada"),
    ]


def test_positions_rise_strictly_although_refused_changes_lie_between():
    scene = world().when(ADA, GrantSet(subject="ada", object="nobody"), BOB)
    assert [f.position for f in scene.bodies(Forwarded)] == [1] * 6 + [3] * 6


@pytest.mark.parametrize(
    ("before", "change", "outcome", "reason"),
    [
        ([ADA], UserSet(user="other", name="ada"), Outcome.REFUSED, Reason.UUID_TAKEN),
        ([ADA, LAB], UserSet(user="lab", name="lab"), Outcome.REFUSED, Reason.UUID_TAKEN),
        ([ADA], GroupSet(group="ada", name="x", owner="ada"), Outcome.REFUSED, Reason.UUID_TAKEN),
        ([ADA], GroupSet(group="lab", name="lab", owner="nobody"), Outcome.REFUSED, Reason.UNKNOWN),
        ([ADA], GroupSet(group="lab", name="lab", owner="lab"), Outcome.REFUSED, Reason.OWN_ANCESTOR),
        ([ADA], GrantSet(subject="ada", object="nobody"), Outcome.REFUSED, Reason.UNKNOWN),
        ([ADA], GrantSet(subject="nobody", object="ada"), Outcome.REFUSED, Reason.UNKNOWN),
        ([ADA], GrantSet(subject="ada", object="ada"), Outcome.NOTHING, Reason.ALREADY),
        ([ADA, BOB, GrantSet(subject="ada", object="bob")], GrantSet(subject="ada", object="bob"), Outcome.NOTHING,
         Reason.ALREADY),
        ([ADA, BOB], GrantRemoved(subject="ada", object="bob"), Outcome.NOTHING, Reason.UNKNOWN),
        ([], ConfigSet(name="max_step", value=0), Outcome.REFUSED, Reason.OUT_OF_RANGE),
        ([], ConfigSet(name="verify_rate", value=10_001), Outcome.REFUSED, Reason.OUT_OF_RANGE),
        ([], RulesSet(version=1), Outcome.NOTHING, Reason.ALREADY),
        ([], RulesSet(version=0), Outcome.REFUSED, Reason.OUT_OF_RANGE),
        ([], Undecodable(Reason.UNDECODABLE, "no JSON"), Outcome.REFUSED, Reason.UNDECODABLE),
    ],
)  # fmt: skip
def test_what_has_no_meaning_or_no_effect_is_answered_and_not_forwarded(before, change, outcome, reason):
    scene = world(*before).when(change).answered(outcome, reason)
    assert len(scene.outputs) == 1
    assert scene.outputs[0].partition == 0


@pytest.mark.parametrize(
    "change",
    [
        ConfigSet(name="lease", value=20_000),
        ConfigSet(name="verify_rate", value=0),
        PureAssumed(repository="r", script="s.py", commits=("c" * 40,)),
        UserSet(user="ada", name="countess", is_active=False),
        GrantRemoved(subject="ada", object="bob"),
        GroupSet(group="lab", name="lab", owner="bob"),
    ],
)
def test_what_has_a_meaning_goes_through(change):
    scene = world(ADA, BOB, LAB, GrantSet(subject="ada", object="bob")).when(change).answered(Outcome.DONE)
    assert len(scene.bodies(Forwarded)) == 6


def test_groups_cannot_own_each_other_in_a_ring():
    ring = [GroupSet(group="b", name="b", owner="lab"), GroupSet(group="c", name="c", owner="b")]
    scene = world(ADA, LAB, *ring).when(GroupSet(group="lab", name="lab", owner="c"))
    scene.answered(Outcome.REFUSED, Reason.OWN_ANCESTOR)


def test_a_name_is_free_again_when_its_user_takes_another():
    scene = world(ADA, UserSet(user="ada", name="countess")).when(UserSet(user="new", name="ada"))
    scene.answered(Outcome.DONE)
    scene.when(UserSet(user="third", name="countess")).answered(Outcome.REFUSED, Reason.UUID_TAKEN)


def test_rules_beyond_what_the_code_knows_stop_it_before_anything_is_forwarded():
    with pytest.raises(NewerRules, match="upgrade"):
        world().when(RulesSet(version=2))


def test_rules_that_the_code_knows_are_forwarded():
    scene = Given(Settings(PARTITIONS, known_rules=2)).when(RulesSet(version=2)).answered(Outcome.DONE)
    assert len(scene.bodies(Forwarded)) == 6
    scene.when(RulesSet(version=1)).answered(Outcome.REFUSED, Reason.OUT_OF_RANGE)


uuids = st.sampled_from(["ada", "bob", "lab", "run"])
records = st.one_of(
    st.builds(UserSet, user=uuids, name=uuids),
    st.builds(GroupSet, group=uuids, name=uuids, owner=uuids),
    st.builds(GrantSet, subject=uuids, object=uuids),
    st.builds(GrantRemoved, subject=uuids, object=uuids),
    st.builds(ConfigSet, name=st.just("tick"), value=st.integers(0, 2)),
)


@given(st.lists(records, max_size=25))
def test_what_is_forwarded_is_always_sound_and_a_restart_changes_nothing(log):
    going, restarting = world(), world()
    for record in log:
        assert going.when(record).outputs == restarting.restarted().when(record).outputs
    view = going.machine._state.view
    assert not set(view.users) & set(view.groups)
    assert going.machine._state.partitions == PARTITIONS
    for group in view.groups:
        owner = group
        for _ in range(len(view.groups)):
            owner = view.groups.get(owner, owner)
        assert owner in view.users


@given(st.lists(records, max_size=10), records)
def test_a_repeated_change_leaves_the_state_as_it_is(log, record):
    scene = world(*log, record)
    before = scene.machine.snapshot()
    assert scene.when(record).machine.snapshot() == before


def test_forwarded_to_names_the_command_topics_besides_settings():
    assert set(FORWARDED_TO) == set(Topic) - {Topic.SETTINGS, Topic.FACTS, Topic.ASSIGNMENTS}
