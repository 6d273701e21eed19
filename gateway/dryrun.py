"""`submit --dry-run`: what would be asked, and what would become of each task that is known now. Nothing is claimed."""

import time
from typing import Any

import msgspec

from gateway import pictures
from gateway.client import Client
from gateway.problems import NotRunning
from gateway.session import Session
from readmodel.forecast import Forecast, forecast
from readmodel.telling import foretold
from schemas.spec import JobSpec


def show(session: Session, as_user: str | None, spec: JobSpec) -> None:
    """Print the request, and the forecast where there is a running system to ask."""
    found = _forecast(session, as_user, spec)
    if session.as_json:
        session.result({"spec": _plain(spec), "forecast": found})
        return
    from rich.json import JSON

    session.console.print(JSON(msgspec.json.encode(spec).decode()))
    if spec.task.ineligible:
        session.say(f"its output could not be reused: {pictures.safe(spec.task.ineligible)}")
    for one in found or ():
        for line in foretold(one):
            session.say(pictures.safe(line))


def _forecast(session: Session, as_user: str | None, spec: JobSpec) -> list[Forecast] | None:
    try:
        client = Client(session)
    except NotRunning as error:
        session.note(f"what would become of it is not known: {error}")
        return None
    with client:
        return forecast(client.rows, client.user(as_user).uuid, spec, time.time_ns() // 1_000_000)


def _plain(spec: JobSpec) -> Any:
    return msgspec.json.decode(msgspec.json.encode(spec))
