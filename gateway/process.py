"""A process that does one part of the work, until a signal or a failure: `coordinator`, `executor`, `projector`.

Started, ready, what it takes and gives, stopped: each is a line of its journal. `doctor --ready NAME` asks how it is.
"""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gateway.folders import Folders
from gateway.health import BEAT_SECONDS, Health, Standing
from gateway.instruments import Instruments
from gateway.journal import Journal, JournalHandler
from gateway.parts import Event, raise_failure, signals
from gateway.session import Session
from gateway.traces import Tracing

CHANGED = Event("how it stands has changed")


Stands = Callable[[], Standing]


class Stage(NamedTuple):
    """What the parts of a process begin with: where failures go, where actions are told, how it is watched."""

    events: "SimpleQueue[Event]"
    journal: Journal
    instruments: Instruments
    tracing: Tracing


class Role(NamedTuple):
    """What a process is. `begin`: its parts, inside the context, and how to ask how it stands."""

    name: str
    begin: Callable[[Stage], AbstractContextManager[Stands]]


def run(session: Session, role: Role) -> int:
    """Run until a signal. Problem: the line of the part that failed."""
    folders: Folders = session.folders
    folders.create()
    journal = Journal(role.name, as_json=session.as_json)
    instruments = Instruments(role.name, session.config.metrics)
    logging.basicConfig(handlers=[JournalHandler(journal, instruments.said)], level=logging.WARNING)
    health = Health(folders.processes, role.name)
    events: SimpleQueue[Event] = SimpleQueue()
    with health.sole(), signals(events), ExitStack() as stack:
        stage = Stage(events, journal, instruments, Tracing(role.name, session.config.traces, stack))
        health.say(Standing(is_ready=False, detail="starting"))
        metrics = instruments.serve(events, stack)
        journal.say("started", pid=os.getpid(), data=folders.data, metrics=metrics)
        with role.begin(stage) as stands:
            event = _watch(stage, stands, health)
            logging.disable(logging.WARNING)  # what follows from the end is no news
            journal.say("stopping", reason=event.reason)
        journal.say("stopped")
    raise_failure(event)
    return 0


def _watch(stage: Stage, stands: Stands, health: Health) -> Event:
    """Say how it stands, again and again, until something ends it: what that was."""
    was_ready = False
    while True:
        standing = stands()
        health.say(standing)
        stage.instruments.condition.say(standing)
        if standing.is_ready != was_ready:
            stage.journal.say("ready" if standing.is_ready else "waiting", detail=standing.detail)
            was_ready = standing.is_ready
        try:
            event = stage.events.get(timeout=BEAT_SECONDS)
        except Empty:
            continue
        if event is not CHANGED:
            return event
