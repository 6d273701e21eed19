"""`up`: everything in one process, until it is told to stop or a part fails."""

import logging
import os
import sys
import threading
import time
from contextlib import ExitStack
from queue import SimpleQueue

from gateway import people, runtime, wiring
from gateway.folders import APP
from gateway.health import Standing
from gateway.instruments import Instruments
from gateway.journal import Journal, JournalHandler
from gateway.parts import Event, next_event, raise_failure, signals
from gateway.runtime import Running
from gateway.session import Session
from gateway.wiring import Works

READY = Event("ready")


def run(session: Session, *, dispatch: bool, until_eof: bool) -> int:
    """Run until a signal or, with `until_eof`, the end of standard input. Problem: the line of the part that failed."""
    config, folders = session.config, session.folders
    folders.create()
    events: SimpleQueue[Event] = SimpleQueue()
    instruments = Instruments("up", config.metrics)
    journal = Journal("up", as_json=False)  # on standard output stands one thing: that it is ready
    logging.basicConfig(handlers=[JournalHandler(journal, instruments.said)], level=logging.WARNING)
    with runtime.sole_owner(folders), signals(events), ExitStack() as stack:
        if until_eof:
            _watch_standard_input(events)
        metrics = instruments.serve(events, stack)
        with wiring.running(config, folders, events, instruments, dispatch=dispatch) as works:
            running = _about_us(works, config.kafka.servers)
            _make_local_user(works, events)
            event = next_event(events)
            if event is READY:
                runtime.announce(folders, running)
                instruments.condition.say(Standing(is_ready=True, detail="ready"), again=False)
                _tell(session, running, works.why, metrics)
                event = next_event(events)
            logging.disable(logging.WARNING)  # what follows from the end is no news
            journal.say("stopping", reason=event.reason)
    raise_failure(event)
    return 0


def _make_local_user(works: wiring.Works, events: "SimpleQueue[Event]") -> None:
    """In a thread, so that a part that fails, or a signal, is heard of meanwhile. `events` hears READY at its end."""

    def make() -> None:
        try:
            people.ensure_local_user(works.log, works.dsn)
            events.put(READY)
        except Exception as error:  # noqa: BLE001 # handed to the main thread, which ends `up` with it
            events.put(Event("the local user", error))

    threading.Thread(target=make, name="local user", daemon=True).start()


def _about_us(works: Works, kafka: str) -> Running:
    offer = works.offer
    return Running(
        pid=os.getpid(),
        started_at=time.time_ns() // 1_000_000,
        dsn=works.dsn,
        kafka=kafka,
        api=works.api,
        runner=works.runner,
        slots=offer.slots if offer else 0,
        cores=offer.cores if offer else 0,
        memory=offer.memory if offer else 0,
        scratch=offer.scratch if offer else 0,
    )


def _tell(session: Session, running: Running, why: str, metrics: str) -> None:
    if session.as_json:
        told = {"pid": running.pid, "runner": running.runner, "slots": running.slots, "api": running.api}
        session.result({"ready": True, "metrics": metrics, **told})
        return
    work = f"{running.slots} slots, tasks run in {running.runner} ({why})" if running.slots else "nothing is dispatched"
    session.say(f"ready: {work}; data in {session.folders.data}; Ctrl-C stops it")
    if running.api:
        session.say(f"dashboard: https://{running.api}/ (sign in with the token of: {APP} token show)")
        session.say(f"Arvados clients: https://{running.api}, found by: eval $({APP} token show)")
    if metrics:
        session.say(f"metrics: http://{metrics}/metrics")


def _watch_standard_input(events: "SimpleQueue[Event]") -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        events.put(Event("standard input has ended"))

    threading.Thread(target=watch, name="standard input", daemon=True).start()
