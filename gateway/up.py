"""`up`: everything in one process, until it is told to stop or a part fails."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from gateway import people, runtime, wiring
from gateway.parts import Event
from gateway.problems import Problem, problem_of
from gateway.runtime import Running
from gateway.session import Session
from gateway.wiring import Works

READY = Event("ready")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(session: Session, *, dispatch: bool, until_eof: bool) -> int:
    """Run until a signal or, with `until_eof`, the end of standard input. Problem: the line of the part that failed."""
    config, folders = session.config, session.folders
    folders.create()
    logging.basicConfig(format="up: %(message)s", level=logging.WARNING)
    events: SimpleQueue[Event] = SimpleQueue()
    with runtime.sole_owner(folders), _signals(events):
        if until_eof:
            _watch_standard_input(events)
        with wiring.running(config, folders, events, dispatch=dispatch) as works:
            running = _about_us(works)
            _make_local_user(works, events)
            event = events.get()
            if event is READY:
                runtime.announce(folders, running)
                _tell(session, running, works.why)
                event = events.get()
            logging.disable(logging.WARNING)  # what follows from the end is no news
            session.note(f"stopping: {event.reason}")
    if event.error is not None:
        raise _story(event) from event.error
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


def _about_us(works: Works) -> Running:
    offer = works.offer
    return Running(
        pid=os.getpid(),
        started_at=time.time_ns() // 1_000_000,
        dsn=works.dsn,
        runner=works.runner,
        slots=offer.slots if offer else 0,
        cores=offer.cores if offer else 0,
        memory=offer.memory if offer else 0,
        scratch=offer.scratch if offer else 0,
    )


def _tell(session: Session, running: Running, why: str) -> None:
    if session.as_json:
        session.result({"ready": True, "pid": running.pid, "runner": running.runner, "slots": running.slots})
        return
    work = f"{running.slots} slots, tasks run in {running.runner} ({why})" if running.slots else "nothing is dispatched"
    session.say(f"ready: {work}; data in {session.folders.data}; Ctrl-C stops it")


def _story(event: Event) -> BaseException:
    """What to raise for a failed part: its one line, or, if nobody foresaw the error, the error itself."""
    assert event.error is not None
    known = problem_of(event.error)
    return Problem(f"{event.reason}: {known[0]}") if known else event.error


@contextmanager
def _signals(events: "SimpleQueue[Event]") -> Iterator[None]:
    """Signals that ask us to stop become events. A queue, as its `put` is safe in a signal handler."""

    def stop(number: int, _frame: object) -> None:
        events.put(Event(signal.Signals(number).name))

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch_standard_input(events: "SimpleQueue[Event]") -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        events.put(Event("standard input has ended"))

    threading.Thread(target=watch, name="standard input", daemon=True).start()
