"""`audit verify`, `audit replay` and `audit export`: the log's own account of itself, decided again and told."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from coordinator.picture import Picture
from gateway.client import Client
from gateway.machines import machines
from gateway.pictures import safe
from gateway.problems import FAILED, Refused
from gateway.session import Session
from gateway.until import Until, until
from streams import audit, past, tale
from streams.archive import CHECKPOINTS, ArchiveLog
from streams.archiving import archive
from streams.audit import Progress, Report
from streams.comparing import KEPT, Difference
from streams.kept import KeptStates, kept_in_folder
from streams.log import Log
from streams.remembering import RememberingLog

SHOWN = 100  # differences that are printed; --json has more


class Source(NamedTuple):
    """A log to audit, and the states that are kept of it."""

    log: Log
    kept: KeptStates


@contextmanager
def _source(session: Session, archived: Path | None) -> Iterator[Source]:
    """The archive in a folder, or else the log of what runs."""
    if archived is not None:
        yield Source(ArchiveLog(archived), kept_in_folder(archived / CHECKPOINTS))
        return
    with Client(session) as client:
        yield source_of(session, client)


def source_of(session: Session, client: Client) -> Source:
    """The log of what runs, and what it keeps of its states."""
    return Source(RememberingLog(client.log), kept_in_folder(session.folders.checkpoints))


# --- Verify -----------------------------------------------------------------------------------------------------------


def verify(session: Session, archived: Path | None) -> int:
    """Audit the whole log; exit code 1 if something is wrong."""
    with _source(session, archived) as source:
        report = report_of(session, source)
    if session.as_json:
        session.result(report)
    tell(session, report)
    return FAILED if report.wrong else 0


def report_of(session: Session, source: Source) -> Report:
    """What the audit of a log and its states finds."""
    with telling(session) as progress:
        return audit.verify(source.log, machines(source.log), source.kept, progress)


def tell(session: Session, report: Report) -> None:
    """Print what the audit found."""
    for difference in report.differences[:SHOWN]:
        session.say(f"[red]wrong[/red]  {safe(_line(difference))}")
    if report.wrong > SHOWN:
        session.say(f"[red]wrong[/red]  and {report.wrong - SHOWN} more (--json shows up to {KEPT})")
    for note in report.notes:
        session.say(f"[dim]{safe(note)}[/dim]")
    verdict = f"[red]{report.wrong} are wrong[/red]" if report.wrong else "[green]nothing is wrong[/green]"
    session.say(
        f"audit: {report.records} records, {report.commands} commands decided again, {report.decisions} decisions"
        f" and {report.checkpoints} checkpoints compared in {report.seconds:.1f} s ({report.speed:.0f} records/s):"
        f" {verdict}"
    )


def _line(found: Difference) -> str:
    line = f"invariant {found.invariant}, {found.place} offset {found.offset}: {found.text}"
    if found.expected or found.found:
        line += f"; expected {found.expected or 'nothing'}; found {found.found or 'nothing'}"
    return line


# --- Replay -----------------------------------------------------------------------------------------------------------


def replay(session: Session, moment: str | None, archived: Path | None) -> int:
    """Print what was known at a moment, decided again from the first record on."""
    wanted = until(moment)
    with _source(session, archived) as source, telling(session) as progress:
        picture = _replayed(source.log, wanted, progress)
    if session.as_json:
        session.result(picture)
    counts = {
        "jobs": picture.jobs_by_state(),
        "tasks": picture.tasks_by_state(),
        "executions": picture.executions_by_status(),
    }
    for what, by_state in counts.items():
        told = ", ".join(f"{number} {state}" for state, number in by_state.items())
        session.say(f"{what}: {told or 'none'}")
    session.say(f"waiting: {len(picture.waiting())}")
    for place, offset in picture.offsets.items():
        session.say(f"[dim]{place} before offset {offset}: state {picture.states[place][:16]}[/dim]")
    return 0


def _replayed(log: Log, wanted: Until, progress: Progress) -> Picture:
    try:
        if wanted.place is not None:
            return past.replay_to(log, machines(log), wanted.place, wanted.offset, progress)
        if wanted.moment is None:
            return past.replay_each_to(log, machines(log), wanted.offset, progress)
        past.check_moment(log, wanted.moment)
        return past.replay(log, machines(log), wanted.moment, progress=progress)
    except past.OutsideTheLog as error:
        raise Refused(f"--until: {error}") from error


# --- Export -----------------------------------------------------------------------------------------------------------


def export(session: Session, task: str | None, everything: Path | None, archived: Path | None) -> int:
    """Write a task's story to standard output, or the whole log into an archive."""
    if (task is None) == (everything is None):
        raise Refused("name a task, or a folder for the whole log with --all")
    with _source(session, archived) as source:
        if everything is not None:
            return _export_all(session, source, everything)
        assert task is not None
        return _export_task(source.log, task)


def _export_task(log: Log, task: str) -> int:
    try:
        with closing(tale.tell(log, task)) as lines:
            sys.stdout.buffer.writelines(lines)
    except past.OutsideTheLog as error:
        raise Refused(str(error)) from error
    sys.stdout.buffer.flush()
    return 0


def _export_all(session: Session, source: Source, folder: Path) -> int:
    with telling(session) as progress:
        done = archive(source.log, folder, source.kept, progress)
    if session.as_json:
        session.result(done)
    session.say(
        f"archived {done.records} records in {done.segments} segments, {done.bytes} bytes, in {folder};"
        f" look at them with: audit verify --archive {folder}"
    )
    return 0


@contextmanager
def telling(session: Session) -> Iterator[Progress]:
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
