"""`demo`: shows on real input that identical work runs once. Every figure comes from the read model, made from the log.

A data folder of its own, new each time, and three jobs over a folder of source files: two that are the same, asked for
at one moment by two processes, and then one with a file more. Whatever happens to this process, `up` ends with it: it
watches the pipe that is its standard input.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import orjson

from gateway import audit, pictures
from gateway.client import Client
from gateway.config import PREFIX
from gateway.folders import APP, Folders
from gateway.problems import FAILED, Problem, Refused
from gateway.session import Session
from readmodel import queries
from readmodel.rows import Counts, Job, Task, User

FILES = 9
LONGEST = 70_000  # bytes of a file of the standard library that is taken: about a quarter of a second's work
SCRIPTS = Path("examples", "hash", "crunch_scripts")
STOP_SECONDS = 60
IMAGE = "python:3.12-slim"  # for the docker runner, where no other is named


class Act(NamedTuple):
    """A job that was submitted, as the read model knows it in the end."""

    job: Job
    tasks: list[Task]
    counts: Counts


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo has to say, of one job or of all. Times in ms."""

    tasks: int
    executed: int
    waited: int
    copied: int
    created_anew: int
    sandboxes: int
    saved: int
    spent: int


def run(session: Session, tree: Path | None, image: str, *, keep: bool) -> int:
    """Play the demo, in an image if one is named; exit code 1 if the audit finds anything wrong."""
    began = time.monotonic()
    files = _chosen(tree)
    if session.config.executor.runner == "docker":
        image = image or IMAGE
    with _stage(session, keep=keep) as stage:
        _copy(files[:-1], stage / "first")
        _copy(files, stage / "second")
        here = Session(session.config_file, {**session.options, "data.dir": str(stage / "data")}, session.as_json)
        with _up(session, here.folders):
            code = _play(here, stage, files, image)
        session.note(f"the whole took {time.monotonic() - began:.1f} s")
        if keep:
            session.note(f"kept: look around with: {APP} up --data-dir {here.folders.data}")
    return code


def _play(here: Session, stage: Path, files: list[Path], image: str) -> int:
    here.say(f"[bold]Two processes submit the same job at the same moment[/bold]: {_about(files[:-1])}")
    roots = _submit_together(here, [_job_file(stage, "first", name, image) for name in ("one", "other")])
    here.say(f"[bold]A third job has one more file[/bold]: {files[-1].name}")
    roots += _submit_together(here, [_job_file(stage, "second", "third", image)])
    with Client(here) as client:
        user = client.user(None)
        acts = [_act(client, user, root) for root in roots]
        everything = queries.counts(client.rows, user.uuid)
        report = audit.report_of(here, audit.source_of(here, client))
    _tell(here, acts, everything)
    audit.tell(here, report)
    if here.as_json:
        each = [{"job": act.job.root, "output": act.job.output, "figures": _figures(act)} for act in acts]
        here.result({"jobs": each, "all": _sum(acts, everything), "audit": report})
    return FAILED if report.wrong else 0


# --- The input -----------------------------------------------------------------------------------------------------


def _chosen(tree: Path | None) -> list[Path]:
    """The files to count: those of `tree`, or Python's library's largest but the giants; the last is the extra one."""
    folder = tree or Path(sysconfig.get_path("stdlib"))
    pattern, limit = ("*", sys.maxsize) if tree else ("*.py", LONGEST)
    if not folder.is_dir():
        raise Refused(f"--input: there is no folder {folder}")
    found = [path for path in folder.glob(pattern) if path.is_file() and path.stat().st_size <= limit]
    if len(found) < 2:
        raise Refused(f"--input: {folder} has {len(found)} files: the demo needs two or more")
    if tree is None:
        found = sorted(found, key=lambda path: (-path.stat().st_size, path.name))[:FILES]
    return sorted(found, key=lambda path: path.name)


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _about(files: list[Path]) -> str:
    size = sum(path.stat().st_size for path in files)
    return f"digests and k-mers of {len(files)} files, {size / 1024:.0f} KiB, from {files[0].parent}"


def _job_file(stage: Path, tree: str, name: str, image: str) -> Path:
    job: dict[str, Any] = {
        "name": name,
        "repository": str(_scripts()),
        "script": "split.py",
        "inputs": {"tree": str(stage / tree)},
        "parameters": {"k": 3},
        "is_pure": True,
    }
    if image:
        job["image"] = image
    file = stage / f"{name}.json"
    file.write_bytes(orjson.dumps(job))
    return file


def _scripts() -> Path:
    """The example's scripts: in a checkout, or where the wheel put them."""
    beside = Path(__file__).parent.parent
    for place in (beside, Path(sys.prefix, "share", APP), beside / "share" / APP):
        if (place / SCRIPTS / "split.py").exists():
            return place / SCRIPTS
    raise Problem(f"the example's scripts are missing from {sys.prefix}: install {APP} again")


# --- The stage -----------------------------------------------------------------------------------------------------


@contextmanager
def _stage(session: Session, *, keep: bool) -> Iterator[Path]:
    """A new folder for inputs, job files and data, removed in the end unless it is to be kept."""
    session.folders.create()
    stage = Path(tempfile.mkdtemp(prefix="demo-", dir=session.folders.data))
    try:
        yield stage
    finally:
        if not keep:
            shutil.rmtree(stage)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "gateway.cli", *words]


def _environment(session: Session) -> dict[str, str]:
    """Ours, and where log and read model are; not on a command line, which anybody may read."""
    where = {
        f"{PREFIX}KAFKA_SERVERS": session.config.kafka.servers,
        f"{PREFIX}POSTGRES_DSN": session.config.postgres.dsn,
    }
    no_api = {f"{PREFIX}API_LISTEN": ""}  # nobody asks it here, and starting it takes half a second
    return os.environ | {name: value for name, value in where.items() if value} | no_api


@contextmanager
def _up(session: Session, folders: Folders) -> Iterator[None]:
    """An `up` on the stage's own data folder, in a process of its own; inside, it is ready."""
    words = ["up", "--until-eof", "--json", "--data-dir", str(folders.data), "--runner", session.config.executor.runner]
    words += ["--config", str(session.config_file)] if session.config_file else []
    process = subprocess.Popen(
        _command(*words),
        env=_environment(session),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            ready = _read_ready(process)
            session.say(f"[dim]up: {ready['slots']} slots, tasks run in {ready['runner']}[/dim]")
            yield
        finally:
            _close(process)


def _read_ready(process: "subprocess.Popen[bytes]") -> dict[str, str]:
    line = _pipe(process.stdout).readline()
    if not line:
        raise Problem(f"`up` did not start: {_pipe(process.stderr).read().decode(errors='replace')}")
    ready: dict[str, str] = orjson.loads(line)
    return ready


def _close(process: "subprocess.Popen[bytes]") -> None:
    """Let `up` end, and wait for it: also when we are interrupted, and interrupted again."""
    _pipe(process.stdin).close()
    while True:
        try:
            process.wait(STOP_SECONDS)
        except KeyboardInterrupt:
            continue
        return


def _pipe(stream: "IO[bytes] | None") -> "IO[bytes]":
    assert stream is not None
    return stream


def _submit_together(here: Session, files: list[Path]) -> list[str]:
    """Submit each file from a process of its own, all at once; the jobs' uuids when all have ended."""
    words = ["submit", "--json", "--data-dir", str(here.folders.data)]
    processes = [
        subprocess.Popen(
            _command(*words, str(file)), env=_environment(here), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for file in files
    ]
    try:
        with _status(here):
            return [_root_of(process) for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.communicate()


def _root_of(process: "subprocess.Popen[bytes]") -> str:
    out, err = process.communicate()
    if process.returncode:
        raise Problem(f"a job did not complete: {err.decode(errors='replace')}")
    root: str = orjson.loads(out)["job"]["root"]
    return root


@contextmanager
def _status(here: Session) -> Iterator[None]:
    if here.as_json or not here.console.is_terminal:
        yield
        return
    with here.console.status("tasks run"):
        yield


# --- What came of it -----------------------------------------------------------------------------------------------


def _act(client: Client, user: User, root: str) -> Act:
    job = queries.job(client.rows, user.uuid, root)
    assert job is not None
    return Act(job, queries.tree(client.rows, user.uuid, root), queries.counts(client.rows, user.uuid, root))


def _figures(act: Act) -> Figures:
    return Figures(
        tasks=len(act.tasks),
        executed=act.counts.complete,
        waited=act.counts.waited,
        copied=act.counts.copied,
        created_anew=sum(task.children for task in act.tasks if task.state == "copied"),
        sandboxes=act.counts.started,
        saved=act.counts.saved,
        spent=act.counts.spent,
    )


def _sum(acts: list[Act], everything: Counts) -> Figures:
    each = [_figures(act) for act in acts]
    return Figures(
        tasks=everything.complete + everything.copied,
        executed=everything.complete,
        waited=everything.waited,
        copied=everything.copied,
        created_anew=sum(figures.created_anew for figures in each),
        sandboxes=everything.started,
        saved=everything.saved,
        spent=everything.spent,
    )


def _tell(here: Session, acts: list[Act], everything: Counts) -> None:
    if here.as_json:
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    heads = ("job", "tasks", "executed", "copied", "of those waited", "queued by a copy, todo", "saved")
    for head in heads:
        table.add_column(head, justify="left" if head == "job" else "right")
    rows = [(act.job.name, _figures(act)) for act in acts] + [("all", _sum(acts, everything))]
    for name, figures in rows:
        counts = (figures.tasks, figures.executed, figures.copied, figures.waited, figures.created_anew)
        table.add_row(name, *map(str, counts), pictures.seconds(figures.saved))
    here.console.print(table)
    for act in acts:
        _tell_story(here, act)
    _tell_sum(here, acts, _sum(acts, everything))


def _tell_story(here: Session, act: Act) -> None:
    """A few of the job's tasks: how the first came by its output, and one of each kind below it."""
    here.say(pictures.job_line(act.job))
    shown: dict[str, Task] = {}
    for task in act.tasks[1:]:
        shown.setdefault(f"{task.state} {task.waited}", task)
    for task in [*act.tasks[:1], *shown.values()]:
        here.say(f"  {'' if task.depth == 0 else '  '}{pictures.task_line(task)}")


def _tell_sum(here: Session, acts: list[Act], all_: Figures) -> None:
    same = acts[0].job.output == acts[1].job.output
    here.say(
        f"the outputs of the first two jobs are {'the same' if same else '[red]different[/red]'}: {acts[0].job.output}"
    )
    here.say(
        f"[bold]{all_.sandboxes} sandboxes were started, {all_.tasks} tasks finished[/bold]:"
        f" {pictures.seconds(all_.spent)} of work done, {pictures.seconds(all_.saved)} saved"
    )
