"""`audit verify` and `audit replay`: the log's own account of itself, decided again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from gateway.client import Client
from gateway.machines import machines
from gateway.pictures import safe
from gateway.problems import FAILED, Refused
from gateway.session import Session
from streams import audit
from streams.audit import Progress, Report
from streams.checkpoints import CheckpointReader


def verify(session: Session) -> int:
    """Audit the whole log; exit code 1 if something is wrong."""
    with Client(session) as client:
        report = report_of(session, client)
    if session.as_json:
        session.result(report)
    tell(session, report)
    return FAILED if report.wrong else 0


def report_of(session: Session, client: Client) -> Report:
    """What the audit of the running log and its checkpoints finds."""
    checkpoints = CheckpointReader(session.folders.checkpoints)
    with _progress(session) as progress:
        return audit.verify(client.log, machines(client.log), checkpoints, progress)


def tell(session: Session, report: Report) -> None:
    """Print what the audit found."""
    for difference in report.differences:
        where = f"{difference.place} offset {difference.offset}"
        session.say(f"[red]wrong[/red]  invariant {difference.invariant}, {where}: {safe(difference.text)}")
    for note in report.notes:
        session.say(f"[dim]{safe(note)}[/dim]")
    verdict = f"[red]{report.wrong} are wrong[/red]" if report.wrong else "[green]nothing is wrong[/green]"
    session.say(
        f"audit: {report.records} records, {report.commands} commands decided again, {report.decisions} decisions"
        f" and {report.checkpoints} checkpoints compared in {report.seconds:.1f} s: {verdict}"
    )


def replay(session: Session, moment: str | None) -> int:
    """Print what was known at a moment (ISO 8601; None: now), decided again from the first record on."""
    with Client(session) as client:
        picture = audit.replay(client.log, machines(client.log), _milliseconds(moment))
    counts = {
        "jobs": picture.jobs_by_state(),
        "tasks": picture.tasks_by_state(),
        "executions": picture.executions_by_status(),
    }
    if session.as_json:
        session.result(picture)
    for what, by_state in counts.items():
        told = ", ".join(f"{number} {state}" for state, number in by_state.items())
        session.say(f"{what}: {told or 'none'}")
    return 0


def _milliseconds(moment: str | None) -> int:
    if moment is None:
        return time.time_ns() // 1_000_000
    try:
        return int(datetime.fromisoformat(moment).astimezone().timestamp() * 1000)
    except ValueError as error:
        raise Refused(f"--at: {moment[:40]!r} is no time: write it like 2030-01-31T12:00:00") from error


@contextmanager
def _progress(session: Session) -> Iterator[Progress]:
    """A line on the terminal that says what is being looked at; nothing elsewhere."""
    if session.as_json or not session.console.is_terminal:
        yield lambda _what, _count: None
        return
    total = 0
    with session.console.status("reading the log") as status:

        def progress(what: str, count: int) -> None:
            nonlocal total
            total += count
            status.update(f"{what} ({total} records)")

        yield progress
