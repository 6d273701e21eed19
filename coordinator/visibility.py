"""Who may be shown what: the machines' own copy of users, groups and grants, and the one question asked of it.

Reading follows arrows: from an owner to each group it owns, and from a grant's subject to its object. An arrow into
a group goes on from there: who reads a group reads what it and its subgroups own, and what the group was granted. An
arrow into a user stops at what that user owns: to be shown Ada's things is not to be shown what others showed to Ada.
"""

from functools import cached_property

import msgspec

from schemas.settings import Change, GrantRemoved, GrantSet, GroupSet, UserSet

MAX_REMEMBERED = 4096  # readers whose answers are kept; forgetting them costs time, never a different answer


class Standing(msgspec.Struct, array_like=True):
    """What a user is, as far as reading goes."""

    is_admin: bool
    is_active: bool


class View(msgspec.Struct, dict=True):
    """Users, groups and grants as one prefix of `settings` left them. A field of a machine's state; encodes as JSON."""

    users: dict[str, Standing] = {}
    groups: dict[str, str] = {}  # group -> the user or group that owns it
    grants: dict[str, dict[str, None]] = {}  # subject -> the objects whose things it may read, in order of granting

    def can_read(self, reader: str, owner: str) -> bool:
        """Whether things that `owner` owns may be shown to `reader`; each is the uuid of a user or of a group.

        Everyone reads their own, known or not. An inactive user reads nothing else; an active admin reads everything.
        """
        if reader == owner:
            return True
        if reader not in self._reached:
            self._remember(reader)
        reached = self._reached[reader]
        return reached is None or owner in reached

    def apply(self, change: Change) -> None:
        """Let a settings change count from here on. Changes that concern no reading are passed over."""
        match change:
            case UserSet(user=user, is_admin=is_admin, is_active=is_active):
                self.users[user] = Standing(is_admin, is_active)
            case GroupSet(group=group, owner=owner):
                self.groups[group] = owner
            case GrantSet(subject=subject, object=thing):
                self.grants.setdefault(subject, {})[thing] = None
            case GrantRemoved(subject=subject, object=thing):
                self._remove(subject, thing)
            case _:
                return
        self.__dict__.clear()

    def _remove(self, subject: str, thing: str) -> None:
        granted = self.grants.get(subject, {})
        granted.pop(thing, None)
        if not granted:
            self.grants.pop(subject, None)

    def _remember(self, reader: str) -> None:
        if len(self._reached) >= MAX_REMEMBERED:
            self._reached.clear()
        self._reached[reader] = self._reach(reader)

    def _reach(self, reader: str) -> frozenset[str] | None:
        """Owners whose things the reader is shown besides its own; None: all there are."""
        standing = self.users.get(reader)
        if standing is not None and not standing.is_active:
            return frozenset()
        if standing is not None and standing.is_admin:
            return None
        found: dict[str, None] = {}
        ahead = [reader]
        while ahead:
            self._follow(ahead.pop(), found, ahead, reader)
        return frozenset(found)

    def _follow(self, owner: str, found: dict[str, None], ahead: list[str], reader: str) -> None:
        granted = self.grants.get(owner, {}) if owner == reader or owner in self.groups else {}
        for reached in (*granted, *self._owned.get(owner, ())):
            if reached not in found:
                found[reached] = None
                ahead.append(reached)

    @cached_property
    def _reached(self) -> dict[str, frozenset[str] | None]:
        """Answers found since the last change; no part of the state."""
        return {}

    @cached_property
    def _owned(self) -> dict[str, list[str]]:
        """Owner -> groups it owns: `groups` turned round; no part of the state."""
        owned: dict[str, list[str]] = {}
        for group, owner in self.groups.items():
            owned.setdefault(owner, []).append(group)
        return owned
