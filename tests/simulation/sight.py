"""Who may read whose things, written from the words of the design and not from the shipped rules."""

from schemas.settings import Change, GrantRemoved, GrantSet, GroupSet, UserSet


class Broken(AssertionError):
    """An invariant does not hold. `number`: as in the design's list; `about`: the fingerprint or job it concerns."""

    def __init__(self, number: int, what: str, about: str = "") -> None:
        super().__init__(f"invariant {number} is broken: {what}")
        self.number = number
        self.about = about


class Sight:
    """Users, groups and grants so far.

    A reader reads their own things; what an admin asks for; the things of a group they own or were granted, of its
    subgroups, and of whatever that group was granted; the things of a user they were granted, and of that user's
    groups, but not what was granted to that user.
    """

    def __init__(self) -> None:
        self.admins: dict[str, None] = {}
        self.inactive: dict[str, None] = {}
        self.group_owner: dict[str, str] = {}
        self.grants: dict[tuple[str, str], None] = {}
        self._reach: dict[str, set[str]] = {}

    def apply(self, change: Change) -> None:
        """Let a settings change count from here on."""
        self._reach = {}
        match change:
            case UserSet():
                for mark, is_so in ((self.admins, change.is_admin), (self.inactive, not change.is_active)):
                    mark.pop(change.user, None)
                    if is_so:
                        mark[change.user] = None
            case GroupSet():
                self.group_owner[change.group] = change.owner
            case GrantSet():
                self.grants[change.subject, change.object] = None
            case GrantRemoved():
                self.grants.pop((change.subject, change.object), None)

    def reads(self, reader: str, owner: str) -> bool:
        """Whether what `owner` owns may be shown to `reader`."""
        if reader == owner:
            return True
        if reader in self.inactive:
            return False
        if reader in self.admins:
            return True
        if reader not in self._reach:
            self._reach[reader] = self._reached_by(reader)
        return owner in self._reach[reader]

    def _reached_by(self, reader: str) -> set[str]:
        reached = {reader}
        while True:
            more = {group for group, owner in self.group_owner.items() if owner in reached}
            for subject, thing in self.grants:
                if subject in reached and (subject == reader or subject in self.group_owner):
                    more.add(thing)
            if more <= reached:
                return reached
            reached |= more
