"""The forwarder: the one reader of `settings`, which repeats each change into every partition that decides.

One order for all: a change that is accepted here reaches every partition of `tasks`, `claims` and `work` after the one
before it. Its answer comes last, so who has read the answer knows that every copy is in the log. What would leave the
settings without a meaning (a grant to nobody, a group that owns itself, a clock that stands still) is refused here,
once, so that the other machines need not ask.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from coordinator.config import NUMBERS
from coordinator.machine import RULES_VERSION, Output, Seen, answered, check_rules, nothing, refused
from coordinator.visibility import View
from schemas.codec import Undecodable
from schemas.facts import SettingChanged
from schemas.log import Genesis
from schemas.reasons import Reason
from schemas.settings import (
    Change,
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

FORWARDED_TO = (Topic.TASKS, Topic.CLAIMS, Topic.WORK)


class State(msgspec.Struct):
    """What a change is checked against."""

    partitions: dict[Topic, int]
    rules: int = 1
    view: View = msgspec.field(default_factory=View)
    names: dict[str, str] = {}  # user -> login name
    users: dict[str, str] = {}  # login name -> user


class Objection(NamedTuple):
    """Why a change is not forwarded; `is_refusal` false: it would change nothing."""

    reason: Reason
    detail: str
    is_refusal: bool = True


class Settings:
    """The machine of `settings`. `partitions`: number of partitions of `tasks`, `claims` and `work`."""

    topic: ClassVar[Topic] = Topic.SETTINGS

    def __init__(self, partitions: dict[Topic, int], known_rules: int = RULES_VERSION) -> None:
        self._state = State(partitions={topic: partitions[topic] for topic in FORWARDED_TO})
        self._known_rules = known_rules

    def step(self, seen: Seen) -> Iterator[Output]:
        """The change in every partition, the fact, the answer; or the answer alone. Raises NewerRules."""
        body = seen.body
        if isinstance(body, Genesis):
            return
        if isinstance(body, Undecodable):
            yield _public(refused("", body.reason, body.detail))
            return
        if isinstance(body, RulesSet):
            check_rules(body, self._known_rules)
        objection = object_to(self._state, body)
        if objection is None:
            yield from self._forward(body, seen.offset)
        else:
            say = refused if objection.is_refusal else nothing
            yield _public(say(about(body), objection.reason, objection.detail))

    def _forward(self, change: Change, position: int) -> Iterator[Output]:
        evolve(self._state, change)
        forwarded = Forwarded(change=change, position=position)
        for topic in FORWARDED_TO:
            for partition in range(self._state.partitions[topic]):
                yield Output(topic, forwarded, partition)
        yield _public(Output(Topic.FACTS, SettingChanged(change=msgspec.Raw(msgspec.json.encode(change)))))
        yield _public(answered(about(change)))

    def snapshot(self) -> bytes:
        """The state as JSON bytes."""
        return msgspec.json.encode(self._state)

    @classmethod
    def restore(cls, snapshot: bytes, known_rules: int = RULES_VERSION) -> Self:
        """The machine that made the snapshot."""
        state = msgspec.json.decode(snapshot, type=State)
        machine = cls(state.partitions, known_rules)
        machine._state = state
        return machine


def _public(output: Output) -> Output:
    return msgspec.structs.replace(output, partition=0)


def about(change: Change) -> str:
    """What a change is about: the uuid or the name that its answer carries."""
    match change:
        case UserSet(user=user):
            return user
        case GroupSet(group=group):
            return group
        case GrantSet(subject=subject) | GrantRemoved(subject=subject):
            return subject
        case ConfigSet(name=name):
            return name
        case PureAssumed():
            return "assume_pure"
        case RulesSet():
            return "rules"


def evolve(state: State, change: Change) -> None:
    """Let an accepted change count."""
    state.view.apply(change)
    if isinstance(change, RulesSet):
        state.rules = change.version
    if isinstance(change, UserSet):
        state.users.pop(state.names.get(change.user, ""), None)
        state.users[change.name] = change.user
        state.names[change.user] = change.name


def object_to(state: State, change: Any) -> Objection | None:
    """Why this change is not forwarded, or None. Raises TypeError for what is no change at all."""
    match change:
        case UserSet():
            return _object_to_user(state, change)
        case GroupSet():
            return _object_to_group(state.view, change)
        case GrantSet():
            return _object_to_grant(state.view, change)
        case GrantRemoved(subject=subject, object=thing):
            missing = thing not in state.view.grants.get(subject, {})
            return Objection(Reason.UNKNOWN, "there is no such grant", is_refusal=False) if missing else None
        case ConfigSet(name=name, value=value):
            _, least, most = NUMBERS[name]
            is_good = least <= value <= most
            return None if is_good else Objection(Reason.OUT_OF_RANGE, f"{name}: from {least} to {most}, not {value}")
        case RulesSet(version=version):
            return _object_to_rules(state, version)
        case PureAssumed():
            return None
    raise TypeError(f"no record of settings: {type(change).__name__}")


def _object_to_user(state: State, change: UserSet) -> Objection | None:
    if change.user in state.view.groups:
        return Objection(Reason.UUID_TAKEN, "user: this uuid is a group's")
    if state.users.get(change.name, change.user) != change.user:
        return Objection(Reason.UUID_TAKEN, "name: another user has it, choose a different one")
    return None


def _object_to_group(view: View, change: GroupSet) -> Objection | None:
    if change.group in view.users:
        return Objection(Reason.UUID_TAKEN, "group: this uuid is a user's")
    owner = change.owner
    while owner in view.groups and owner != change.group:
        owner = view.groups[owner]
    if owner == change.group:
        return Objection(Reason.OWN_ANCESTOR, "owner: a group can't own itself, directly or through others")
    if owner not in view.users:
        return Objection(Reason.UNKNOWN, "owner: no such user or group")
    return None


def _object_to_grant(view: View, change: GrantSet) -> Objection | None:
    for field, uuid in (("subject", change.subject), ("object", change.object)):
        if uuid not in view.users and uuid not in view.groups:
            return Objection(Reason.UNKNOWN, f"{field}: no such user or group")
    if change.object == change.subject or change.object in view.grants.get(change.subject, {}):
        return Objection(Reason.ALREADY, "it could read that before", is_refusal=False)
    return None


def _object_to_rules(state: State, version: int) -> Objection | None:
    if version == state.rules:
        return Objection(Reason.ALREADY, f"rules version {version} decides already", is_refusal=False)
    if version < state.rules:
        return Objection(Reason.OUT_OF_RANGE, f"version: rules version {state.rules} decides, it can only rise")
    return None
