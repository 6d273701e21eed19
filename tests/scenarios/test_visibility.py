"""Who may be shown what, as sentences, and against a closure computed the slow way."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.visibility import MAX_REMEMBERED, View
from schemas.settings import Change, ConfigSet, GrantRemoved, GrantSet, GroupSet, UserSet

ADA = UserSet(user="ada", name="ada")
BOB = UserSet(user="bob", name="bob")
CYD = UserSet(user="cyd", name="cyd")
ROOT = UserSet(user="root", name="root", is_admin=True)


def view_of(*changes: Change) -> View:
    view = View()
    for change in changes:
        view.apply(change)
    return view


def test_everyone_reads_their_own_and_nobody_elses():
    view = view_of(ADA, BOB)
    assert view.can_read("ada", "ada")
    assert not view.can_read("ada", "bob")
    assert view.can_read("nobody", "nobody")
    assert not view.can_read("nobody", "ada")


def test_a_grant_shows_what_its_object_owns_and_not_the_other_way_round():
    view = view_of(ADA, BOB, GrantSet(subject="ada", object="bob"))
    assert view.can_read("ada", "bob")
    assert not view.can_read("bob", "ada")


def test_who_owns_a_group_reads_it_and_its_subgroups():
    view = view_of(ADA, GroupSet(group="lab", name="lab", owner="ada"), GroupSet(group="run", name="run", owner="lab"))
    assert view.can_read("ada", "run")
    assert view.can_read("lab", "run")
    assert not view.can_read("run", "lab")


def test_members_of_a_group_read_what_the_group_was_granted():
    view = view_of(
        ADA, BOB, GroupSet(group="lab", name="lab", owner="bob"), GroupSet(group="data", name="data", owner="root"),
        GrantSet(subject="ada", object="lab"), GrantSet(subject="lab", object="data"),
    )  # fmt: skip
    assert view.can_read("ada", "data")
    assert view.can_read("bob", "data")
    assert view.can_read("lab", "data")


def test_what_others_showed_to_a_user_is_not_passed_on():
    view = view_of(ADA, BOB, CYD, GrantSet(subject="ada", object="bob"), GrantSet(subject="bob", object="cyd"))
    assert view.can_read("bob", "cyd")
    assert not view.can_read("ada", "cyd")


def test_a_users_groups_come_with_the_user():
    view = view_of(ADA, BOB, GroupSet(group="lab", name="lab", owner="bob"), GrantSet(subject="ada", object="bob"))
    assert view.can_read("ada", "lab")


def test_an_active_admin_reads_everything():
    view = view_of(ROOT, ADA)
    assert view.can_read("root", "ada")
    assert view.can_read("root", "somebody never heard of")


@pytest.mark.parametrize("is_admin", [False, True])
def test_an_inactive_user_reads_nothing_but_their_own(is_admin):
    view = view_of(
        UserSet(user="ada", name="ada", is_admin=is_admin, is_active=False), BOB,
        GroupSet(group="lab", name="lab", owner="ada"), GrantSet(subject="ada", object="bob"),
    )  # fmt: skip
    assert view.can_read("ada", "ada")
    assert not view.can_read("ada", "bob")
    assert not view.can_read("ada", "lab")


def test_a_removed_grant_counts_no_more_from_that_change_on():
    view = view_of(ADA, BOB, GrantSet(subject="ada", object="bob"))
    assert view.can_read("ada", "bob")
    view.apply(GrantRemoved(subject="ada", object="bob"))
    assert not view.can_read("ada", "bob")
    view.apply(GrantRemoved(subject="ada", object="bob"))
    assert view == view_of(ADA, BOB)


def test_a_group_that_changes_hands_is_read_by_the_new_owner_only():
    view = view_of(ADA, BOB, GroupSet(group="lab", name="lab", owner="ada"))
    assert view.can_read("ada", "lab")
    view.apply(GroupSet(group="lab", name="lab", owner="bob"))
    assert view.can_read("bob", "lab")
    assert not view.can_read("ada", "lab")


def test_answers_for_many_readers_are_forgotten_and_found_again():
    view = view_of(
        *(UserSet(user=f"u{n}", name=f"u{n}") for n in range(MAX_REMEMBERED + 10)), GrantSet(subject="u1", object="u2")
    )
    for n in range(MAX_REMEMBERED + 10):
        assert view.can_read(f"u{n}", "u2") == (n in (1, 2))
    assert len(view._reached) <= MAX_REMEMBERED


PEOPLE = ["a", "b", "c"]
GROUPS = ["g", "h", "i", "j"]
anyone = st.sampled_from(PEOPLE + GROUPS)
changes = st.lists(
    st.one_of(
        st.builds(
            UserSet, user=st.sampled_from(PEOPLE), name=st.just("n"), is_admin=st.sampled_from([False, False, True]),
            is_active=st.sampled_from([True, True, False]),
        ),
        st.builds(GroupSet, group=st.sampled_from(GROUPS), name=st.just("n"), owner=anyone),
        st.builds(GrantSet, subject=anyone, object=anyone),
        st.builds(GrantRemoved, subject=anyone, object=anyone),
        st.builds(ConfigSet, name=st.just("lease"), value=st.just(1)),
    ),
    max_size=40,
)  # fmt: skip


def slow_can_read(log: list[Change], reader: str, owner: str) -> bool:
    """The rule as a fixed point over all arrows, from the log alone."""
    users = {c.user: c for c in log if isinstance(c, UserSet)}
    owners = {c.group: c.owner for c in log if isinstance(c, GroupSet)}
    granted = set()
    for change in log:
        if isinstance(change, GrantSet):
            granted.add((change.subject, change.object))
        if isinstance(change, GrantRemoved):
            granted.discard((change.subject, change.object))
    me = users.get(reader)
    if me is not None and (not me.is_active or me.is_admin):
        return reader == owner or me.is_active
    known = {reader}
    for _ in range(len(PEOPLE + GROUPS)):
        known |= {g for g, o in owners.items() if o in known}
        known |= {o for s, o in granted if s in known and (s == reader or s in owners)}
    return owner in known


@given(changes)
def test_it_agrees_with_the_closure_after_every_change(log):
    view = View()
    for n, change in enumerate(log, 1):
        view.apply(change)
        for reader in (*PEOPLE, *GROUPS, "stranger"):
            for owner in (*PEOPLE, *GROUPS):
                assert view.can_read(reader, owner) == slow_can_read(log[:n], reader, owner), (reader, owner)


@given(changes)
def test_a_snapshot_is_the_same_view_with_the_same_bytes(log):
    view = view_of(*log)
    view.can_read("a", "b")
    again = msgspec.json.decode(msgspec.json.encode(view), type=View)
    assert again == view
    assert msgspec.json.encode(again) == msgspec.json.encode(view)
    assert all(again.can_read(r, o) == view.can_read(r, o) for r in PEOPLE + GROUPS for o in PEOPLE + GROUPS)
