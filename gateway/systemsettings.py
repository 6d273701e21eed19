"""`setting list`, `set` and `rules`: what all decisions depend on. It stands in the log, not in a file."""

from typing import cast, get_args

from coordinator import config
from coordinator.config import NUMBERS
from coordinator.machine import RULES_VERSION
from gateway.client import Client
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries
from schemas.reasons import Outcome
from schemas.settings import ConfigName, ConfigSet, RulesSet
from schemas.topics import Topic


def list_all(session: Session) -> None:
    """Print every number, and what it means."""
    with Client(session) as client:
        now = config.of(queries.numbers(client.rows))
    default = config.Config()
    rows = [
        {"name": name, "value": getattr(now, name), "default": getattr(default, name), "about": number.about}
        for name, number in NUMBERS.items()
    ]
    if session.as_json:
        session.result(rows)
    for row in rows:
        changed = "" if row["value"] == row["default"] else f" (default: {row['default']})"
        session.say(f"{row['name']} = {row['value']}{changed}  [dim]{row['about']}[/dim]")


def set_one(session: Session, name: str, value: int) -> None:
    """Change one number, for all decisions that stand behind this one in the log."""
    known = get_args(ConfigName)
    if name not in known:
        raise Refused(f"setting: there is no {name[:80]!r}: it is one of {', '.join(known)}")
    _, least, most = NUMBERS[cast(ConfigName, name)]
    if not least <= value <= most:
        raise Refused(f"setting: {name} is from {least} to {most}, not {value}")
    with Client(session) as client:
        client.ask(Topic.SETTINGS, ConfigSet(name=cast(ConfigName, name), value=value))
    if session.as_json:
        session.result({"name": name, "value": value})
    session.say(f"{name} is {value} from now on")


def show_rules(session: Session) -> None:
    """Print which version of the rules decides, and up to which one this release knows."""
    with Client(session) as client:
        decides = queries.numbers(client.rows).get("rules_version", 1)
    if session.as_json:
        session.result({"decides": decides, "known": RULES_VERSION})
    session.say(f"rules version {decides} decides; this release knows rules up to version {RULES_VERSION}")


def raise_rules(session: Session, version: int) -> None:
    """Let the rules of a version decide from here on. Refused for one that this release does not know, or a lower one.

    A machine of a release that does not know it stops, and says to upgrade.
    """
    if version > RULES_VERSION:
        raise Refused(
            f"setting: this release knows rules up to version {RULES_VERSION}, not {version}: upgrade all processes"
        )
    with Client(session) as client:
        answer = client.ask(Topic.SETTINGS, RulesSet(version=version))
    is_new = answer.outcome is not Outcome.NOTHING
    if session.as_json:
        session.result({"decides": version, "changed": is_new})
    session.say(f"rules version {version} decides from now on" if is_new else f"nothing to do: {answer.detail}")
