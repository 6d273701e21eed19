"""Users, groups and permission links of an Arvados v1 cluster as changes of the settings, so that its history is read
here by who read it there.

What a link means is Arvados' own rule (`materialized_permission_view` of 1.3.3). What a group owns is read by who has
any permission on the group; what a user owns, by who manages the user: less lets one see no more than the user's name.
Links to single objects and links for logging in let nobody read what somebody owns, and stay behind.

What was said here before is left as it is: a user who was disabled, a grant that was taken back. So this can be run
again.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from coordinator.settings import Objection, State, evolve, object_to
from gateway.migration.source import History, PastGroup, PastLink, PastUser
from gateway.people import is_login_name
from schemas.codec import Undecodable, decode, encode
from schemas.settings import Change, GrantSet, GroupSet, UserSet
from schemas.topics import Topic
from streams.log import Log, Place

BATCH = 1_000
SETTINGS = Place(Topic.SETTINGS, 0)
# By the middle part of a user's and of a group's uuid: links to it that let read what it owns.
READING = {"tpzed": ("can_manage",), "j7d0g": ("can_read", "can_write", "can_manage")}


class PeopleReport(msgspec.Struct, kw_only=True):
    """What became of users, groups and grants.

    `users`, `groups`, `grants`: taken over now. `before`: how many were here. `left`: how many stay behind, by reason.
    `renamed`: login names there that others have here, and what they are now. `admins`: who were that there alone.
    """

    users: int = 0
    groups: int = 0
    grants: int = 0
    before: int = 0
    left: dict[str, int] = {}
    renamed: dict[str, str] = {}
    admins: list[str] = []


class Settled:
    """What the settings have said so far, by the forwarder's own rules. `granted`: also what was taken back since."""

    def __init__(self) -> None:
        self.state = State(partitions={})
        self.granted: set[tuple[str, str]] = set()

    @classmethod
    def of(cls, log: Log) -> "Settled":
        """All that stands in the log. Raises LogError."""
        made, position = cls(), 0
        while batch := log.read(SETTINGS, position, BATCH):
            position = batch[-1].offset + 1
            for record in batch:
                body = getattr(decode(Topic.SETTINGS, record.value), "body", None)
                if isinstance(body, Change):
                    made.hear(body)
        return made

    def hear(self, change: Change) -> Objection | None:
        """Let a change count; why it would not, if so."""
        objection = object_to(self.state, change)
        if objection is None:
            evolve(self.state, change)
            if isinstance(change, GrantSet):
                self.granted.add((change.subject, change.object))
        return objection

    def knows(self, owner: str) -> bool:
        """Whether this is the uuid of a user or group."""
        return owner in self.state.view.users or owner in self.state.view.groups


class People:
    """Goes through the people of `history`. `admins`: whether who was an admin there is one here."""

    def __init__(self, history: History, settled: Settled, *, admins: bool) -> None:
        self._history = history
        self._settled = settled
        self._admins = admins
        self._left = Counter[str]()
        self.report = PeopleReport()

    def changes(self) -> Iterator[Change]:
        """What to append, in order: users, each group after its owner, grants. Refused where a row can't be read."""
        yield from filter(None, map(self._user, self._history.users()))
        yield from self._groups([group for group in self._history.groups() if self._is_new(group)])
        yield from filter(None, map(self._grant, self._history.links()))
        self.report.left = dict(self._left.most_common())

    def refused(self, reason: str) -> None:
        """What was taken for granted is not: the settings had changed meanwhile."""
        self._left[reason] += 1
        self.report.left = dict(self._left.most_common())

    def _user(self, user: PastUser) -> UserSet | None:
        if self._settled.knows(user.uuid):
            self.report.before += 1
            return None
        name = self._free_name(user)
        is_admin = self._admins and bool(user.is_admin)
        change = UserSet(user=user.uuid, name=name, is_admin=is_admin, is_active=bool(user.is_active))
        if not self._is_taken(change):
            return None
        self.report.users += 1
        if user.username and name != user.username:
            self.report.renamed[user.username] = name
        if user.is_admin and not is_admin:
            self.report.admins.append(name)
        return change

    def _free_name(self, user: PastUser) -> str:
        """Their login name; where somebody has it here, with the cluster's prefix: nobody is taken for another."""
        name = user.username or ""
        wanted = (name, f"{name}.{user.uuid[:5]}") if name else ()
        taken = self._settled.state.users
        return next((one for one in wanted if is_login_name(one) and one not in taken), user.uuid)

    def _is_new(self, group: PastGroup) -> bool:
        if self._settled.knows(group.uuid):
            self.report.before += 1
        elif group.is_trashed:
            self._left["groups in the trash"] += 1
        else:
            return True
        return False

    def _groups(self, groups: list[PastGroup]) -> Iterator[Change]:
        """Those whose owner is known, as long as there are such."""
        while ready := [group for group in groups if self._settled.knows(group.owner_uuid)]:
            groups = [group for group in groups if not self._settled.knows(group.owner_uuid)]
            for group in ready:
                change = GroupSet(group=group.uuid, name=group.name or group.uuid, owner=group.owner_uuid)
                if self._is_taken(change):
                    self.report.groups += 1
                    yield change
        if groups:
            self._left["groups whose owner is not known"] += len(groups)

    def _grant(self, link: PastLink) -> GrantSet | None:
        tail, head = link.tail_uuid or "", link.head_uuid or ""
        if link.name not in READING.get(_kind(head), ()) or _kind(tail) not in READING:
            self._left["links that open nothing that a user or group owns"] += 1
            return None
        change = GrantSet(subject=tail, object=head)
        if (tail, head) in self._settled.granted:
            self.report.before += 1
        elif self._is_taken(change):
            self.report.grants += 1
            return change
        return None

    def _is_taken(self, change: Change) -> bool:
        """Whether the settings would take it: then it counts from here on."""
        heard = decode(Topic.SETTINGS, encode(change))
        if isinstance(heard, Undecodable):
            self._left[heard.detail] += 1
            return False
        objection = self._settled.hear(change)
        if objection is None:
            return True
        if objection.is_refusal:
            self._left[objection.detail] += 1
        else:
            self.report.before += 1
        return False


def _kind(uuid: str) -> str:
    """The middle part, which says what the uuid names; empty: it is none."""
    parts = uuid.split("-")
    return parts[1] if len(parts) == 3 else ""
