"""Topic `settings`: everything besides commands that a decision depends on. One partition, so one order for all."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.fields import Count, Name, Offset, Record, Uuid
from schemas.log import Genesis


class UserSet(Record, frozen=True, tag="user_set", kw_only=True):
    """A user exists with these properties from here on."""

    user: Annotated[Uuid, Meta(description="the user's uuid; source: command line or API")]
    name: Annotated[Name, Meta(description="login name, unique among users; source: command line or API")]
    is_admin: Annotated[bool, Meta(description="may read everything")] = False
    is_active: Annotated[bool, Meta(description="an inactive user reads nothing but what they own")] = True


class GroupSet(Record, frozen=True, tag="group_set", kw_only=True):
    """A group (or project) exists, owned by a user or by another group."""

    group: Annotated[Uuid, Meta(description="the group's uuid")]
    name: Annotated[Name, Meta(description="label for people")]
    owner: Annotated[Uuid, Meta(description="user or group that owns it; who reads the owner reads the group")]


class GrantSet(Record, frozen=True, tag="grant_set", kw_only=True):
    """`subject` may read what `object` owns (an Arvados permission link)."""

    subject: Annotated[Uuid, Meta(description="uuid of a user or group")]
    object: Annotated[Uuid, Meta(description="uuid of a user or group whose things may be read")]


class GrantRemoved(Record, frozen=True, tag="grant_removed", kw_only=True):
    """The grant from `subject` to `object` is withdrawn; acknowledged when the forwarder's floor has passed it."""

    subject: Annotated[Uuid, Meta(description="uuid of a user or group")]
    object: Annotated[Uuid, Meta(description="uuid of a user or group")]


ConfigName = Literal[
    "failure_quorum",
    "max_attempts",
    "quarantine_losses",
    "verify_rate",
    "max_children",
    "max_depth",
    "max_tasks",
    "max_waiters",
    "lease",
    "ack_ticks",
    "tick",
    "max_step",
    "unplaceable",
    "starve",
    "keep_days",
    "keep_unused_days",
]


class ConfigSet(Record, frozen=True, tag="config_set", kw_only=True):
    """One number that decisions depend on; the names and defaults stand in coordinator/config.py."""

    name: Annotated[ConfigName, Meta(description="which setting")]
    value: Annotated[Count, Meta(description="its value in the unit that the setting's definition names")]


class PureAssumed(Record, frozen=True, tag="pure_assumed", kw_only=True):
    """An operator declares a script pure: its tasks are, without saying so, with all job parameters captured."""

    repository: Annotated[Name, Meta(description="repository the script is in")]
    script: Annotated[Name, Meta(description="path of the script")]
    commits: Annotated[tuple[Name, ...], Meta(description="full commits of the range, resolved at the edge")]


class RulesSet(Record, frozen=True, tag="rules_set", kw_only=True):
    """From here on the rules of this version decide; code that does not know them stops and says to upgrade."""

    version: Annotated[Count, Meta(description="rules version")]


Change = UserSet | GroupSet | GrantSet | GrantRemoved | ConfigSet | PureAssumed | RulesSet


class Forwarded(Record, frozen=True, tag="forwarded", kw_only=True):
    """A settings change as the forwarder repeats it into every partition of the other command topics."""

    change: Annotated[Change, Meta(description="the change as it stands in `settings`")]
    position: Annotated[Offset, Meta(description="its offset in `settings`; strictly rising in every partition")]


SettingRecord = Genesis | Change
