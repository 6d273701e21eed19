"""`upgrade`: data of an earlier release get the layouts of this one, before anything starts on them.

Whatever starts would do the same for the tables that it uses. Here it is done once and told, the read model is made
anew from the log (a row that was made by older code may lack what newer code would have written), and nothing is done
where the data are newer than the code.
"""

from contextlib import ExitStack, closing
from typing import NamedTuple

import msgspec

from gateway import reach, runtime, wiring_parts
from gateway.problems import Refused
from gateway.readmodels import teller
from gateway.session import Session
from readmodel import registry
from readmodel.connection import Connection, connect, translated
from readmodel.migrate import READ_MODEL, REGISTRY
from readmodel.sql import steps_in
from schemas.topics import Topic
from streams.postgres import LAYOUT


class Tables(NamedTuple):
    """A schema in Postgres: its name for people, where its version stands, the version that this code makes."""

    about: str
    versions: str
    known: int


PARTS = {
    "log": Tables("log", "log.layout", LAYOUT),
    "api": Tables(REGISTRY.about, "api.migrations", steps_in(REGISTRY.folder)[-1][0]),
    "rm": Tables(READ_MODEL.about, "rm.migrations", steps_in(READ_MODEL.folder)[-1][0]),
}


class Step(msgspec.Struct, frozen=True):
    """The version that tables were of, and the one that they are of now."""

    was: int
    now: int


class Upgraded(msgspec.Struct, kw_only=True):
    """The tables that there were. `facts`: that the read model was made anew from; 0: it was of this layout."""

    tables: dict[str, Step]
    facts: int


def run(session: Session, *, dry_run: bool) -> None:
    """Upgrade what is there, or say what would be done."""
    with ExitStack() as stack:
        if not session.config.postgres.dsn:
            _require_data(session)
            session.folders.create()
            stack.enter_context(runtime.sole_owner(session.folders))
        dsn = stack.enter_context(reach.database(session))
        with closing(connect(dsn)) as connection:
            present = _present(connection)
        _require_known(present)
        facts = 0 if dry_run else _upgrade(session, dsn, present)
    steps = {name: Step(was, PARTS[name].known) for name, was in present.items()}
    _tell(session, Upgraded(tables=steps, facts=facts), dry_run=dry_run)


def _require_data(session: Session) -> None:
    if not session.folders.marker.exists():
        raise Refused(f"{session.folders.data} holds no data: name the folder with --data-dir, or a --postgres")


def _present(connection: Connection) -> dict[str, int]:
    """The versions of those tables that are there."""
    found = {}
    with translated():
        for name, part in PARTS.items():
            [[exists]] = connection.execute("select to_regclass(%s) is not null", (part.versions,))
            if exists:
                [[version]] = connection.execute(f"select max(version) from {part.versions}".encode())
                found[name] = int(version or 0)
    return found


def _require_known(present: dict[str, int]) -> None:
    if not present:
        raise Refused("postgres: this database holds nothing of ours: look at the DSN")
    for name, version in present.items():
        if version > PARTS[name].known:
            told = f"the {PARTS[name].about} is of version {version}, this code knows {PARTS[name].known}"
            raise Refused(f"{told}: upgrade crunch-reuse")


def _upgrade(session: Session, dsn: str, present: dict[str, int]) -> int:
    """How many facts the read model was made from."""
    with closing(reach.open_log(session.config, dsn)) as log:
        log.partitions(Topic.SETTINGS)  # whoever opens a log brings its tables up to date
        with closing(connect(dsn)) as connection:
            registry.prepare(connection)
        if present.get("rm", PARTS["rm"].known) == PARTS["rm"].known:
            return 0
        return wiring_parts.rebuild(log, dsn, teller(session))


def _tell(session: Session, done: Upgraded, *, dry_run: bool) -> None:
    if session.as_json:
        session.result(done)
    for name, step in done.tables.items():
        about = PARTS[name].about
        if step.was == step.now:
            session.say(f"the {about} is of version {step.now}, as this release makes it")
        else:
            session.say(f"the {about} {'would become' if dry_run else 'is now'} {step.now}, and was {step.was}")
    if done.facts:
        session.say(f"the read model was made anew from {done.facts} facts")
    if not dry_run:
        session.say("start what is to run, and look with audit verify whether all is right")
