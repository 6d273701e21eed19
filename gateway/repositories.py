"""`repository`: which git repositories jobs may name, and where they are, which is told to operators only."""

import re
from contextlib import closing
from pathlib import Path

from coordinator.ids import JOB_INFIX, derive
from gateway import git
from gateway.client import Client
from gateway.people import find
from gateway.problems import Refused
from gateway.reach import registry_of
from gateway.session import Session
from readmodel import registry
from schemas.settings import PureAssumed
from schemas.spec import SCRIPTS
from schemas.topics import Topic

MOST_COMMITS = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,254}")


def add(session: Session, name: str, place: str, owner: str | None) -> None:
    """Make it known. One that is there already gets the new place."""
    if not _NAME.fullmatch(name):
        raise Refused(f"name: {name[:80]!r} is no repository's name: letters, digits and _ . / -")
    if not git.is_url(place):
        folder = Path(place).expanduser().absolute()
        if not folder.is_dir():
            raise Refused(f"repository: {folder} is not a directory: give the path or URL of a git repository")
        place = str(folder)
    uuid = derive("repository", name).replace(JOB_INFIX, "s0uqq")
    owned = find(session, owner) if owner else ""
    row = {"uuid": uuid, "name": name, "owner_uuid": owned, "location": place, "now": registry.now_ms()}
    with closing(registry_of(session)) as rows:
        registry.execute(rows, "add_repository", row)
    if session.as_json:
        session.result({"uuid": uuid, "name": name})
    session.say(f"{name} is {place}")


def list_repositories(session: Session) -> None:
    """Print them."""
    with closing(registry_of(session)) as rows:
        found = registry.fetch(rows, "repositories", {})
    if session.as_json:
        session.result(found)
    for row in found:
        session.say(f"{row['name']}  {row['location']}")


def remove(session: Session, name: str) -> None:
    """Forget it."""
    with closing(registry_of(session)) as rows:
        if not registry.fetch(rows, "drop_repository", {"name": name}):
            raise Refused(f"repository: there is no {name[:80]!r}: crunch-reuse repository list shows them")
    if session.as_json:
        session.result({"name": name, "removed": True})
    session.say(f"{name} is not known any more")


def assume_pure(session: Session, name: str, script: str, commits: str) -> None:
    """Declare a script pure at some commits: its tasks that say nothing of it are, with all job parameters captured."""
    with closing(registry_of(session)) as rows:
        place = next((row["location"] for row in registry.fetch(rows, "repositories", {}) if row["name"] == name), None)
    if place is None:
        raise Refused(f"repository: there is no {name[:80]!r}: crunch-reuse repository list shows them")
    with git.open_repository(place, session.folders.cache / "repositories", commits) as repository:
        meant = git.commits_of(repository, commits, MOST_COMMITS)
        _require_script(repository, meant, script)
    declared = PureAssumed(repository=name, script=SCRIPTS + script, commits=tuple(meant))
    with Client(session) as client:
        client.ask(Topic.SETTINGS, declared)
    if session.as_json:
        session.result({"repository": name, "script": script, "commits": meant})
    session.say(f"{script} of {name} counts as pure at {len(meant)} commit{'' if len(meant) == 1 else 's'}")


def _require_script(repository: git.Repository, commits: list[str], script: str) -> None:
    """Refused unless the newest of them has it: a wrong name would be silently good for nothing."""
    if all(entry.path != SCRIPTS + script for entry in repository.entries(commits[0])):
        raise Refused(f"script: {SCRIPTS}{script[:80]} is no file of commit {commits[0][:10]}")
