"""A process that does one part of the work, until a signal or a failure: `coordinator`, `executor`, `projector`.

Started, ready, what it takes and gives, stopped: each is a line of its journal. `doctor --ready NAME` asks how it is.
"""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gateway.folders import Folders
from gateway.health import BEAT_SECONDS, Health, Standing
from gateway.journal import Journal
from gateway.parts import Event, raise_failure, signals
from gateway.session import Session

CHANGED = Event("how it stands has changed")


Stands = Callable[[], Standing]


class Role(NamedTuple):
    """What a process is. `begin`: its parts, inside the context, and how to ask how it stands."""

    name: str
    begin: Callable[["SimpleQueue[Event]", Journal], AbstractContextManager[Stands]]


def run(session: Session, role: Role) -> int:
    """Run until a signal. Problem: the line of the part that failed."""
    folders: Folders = session.folders
    folders.create()
    logging.basicConfig(format=f"{role.name}: %(message)s", level=logging.WARNING)
    journal = Journal(role.name, as_json=session.as_json)
    health = Health(folders.processes, role.name)
    events: SimpleQueue[Event] = SimpleQueue()
    with health.sole(), signals(events):
        health.say(Standing(is_ready=False, detail="starting"))
        journal.say("started", pid=os.getpid(), data=folders.data)
        with role.begin(events, journal) as stands:
            event = _watch(events, stands, health, journal)
            logging.disable(logging.WARNING)  # what follows from the end is no news
            journal.say("stopping", reason=event.reason)
        journal.say("stopped")
    raise_failure(event)
    return 0


def _watch(events: "SimpleQueue[Event]", stands: Stands, health: Health, journal: Journal) -> Event:
    """Say how it stands, again and again, until something ends it: what that was."""
    was_ready = False
    while True:
        standing = stands()
        health.say(standing)
        if standing.is_ready != was_ready:
            journal.say("ready" if standing.is_ready else "waiting", detail=standing.detail)
            was_ready = standing.is_ready
        try:
            event = events.get(timeout=BEAT_SECONDS)
        except Empty:
            continue
        if event is not CHANGED:
            return event
