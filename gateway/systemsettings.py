"""`setting list` and `setting set`: the numbers that all decisions depend on. They stand in the log, not in a file."""

from typing import cast, get_args

from coordinator import config
from coordinator.config import NUMBERS
from gateway.client import Client
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries
from schemas.settings import ConfigName, ConfigSet
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
