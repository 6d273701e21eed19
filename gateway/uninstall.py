"""`uninstall`: lists what was made on this machine, and removes it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway import runtime, wiring
from gateway.folders import APP, Folders, default_config_file
from gateway.problems import USAGE, Problem
from gateway.session import Session


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was made. `bytes`: what it takes on disk; None where that says nothing."""

    what: str
    where: str
    bytes: int | None = None


def run(session: Session, *, yes: bool, dry_run: bool) -> int:
    """List, ask, remove. Problem where an `up` runs; exit code 2 where nobody can be asked."""
    folders = session.folders
    if runtime.is_held(folders):
        raise Problem(f"`up` runs on {folders.data}: stop it first (Ctrl-C in its terminal)")
    things = list(_things(session))
    removed = False
    if things and not dry_run:
        if not (yes or _agreed(things, session)):
            return USAGE
        _remove(session)
        removed = True
    _tell(session, things, removed=removed)
    return 0


def _things(session: Session) -> Iterator[Thing]:
    folders = session.folders
    if folders.marker.exists():
        yield Thing(what="data folder", where=str(folders.data), bytes=_size(folders.data))
    for left in wiring.leftovers(folders):
        yield Thing(what="left running", where=left)
    if session.config.postgres.dsn and folders.marker.exists():
        yield Thing(what="log and read model in your Postgres", where="schemas log and rm, which are left to you")


def _tell(session: Session, things: list[Thing], *, removed: bool) -> None:
    if session.as_json:
        session.result({"removed": removed, "things": things})
    for thing in things:
        session.say(("removed  " if removed else "") + _line(thing))
    if not things:
        session.say(f"nothing to remove: no data of {APP} in {session.folders.data}")
    for line in _left_to_you():
        session.say(f"left     {line}")


def _left_to_you() -> Iterator[str]:
    """What is not ours to remove: what people wrote, and what runs this command."""
    if default_config_file().exists():
        yield f"your configuration: {default_config_file()}"
    yield f"the Python environment of this command: {sys.prefix}"


def _agreed(things: list[Thing], session: Session) -> bool:
    if not sys.stdin.isatty():
        session.note("nobody to ask: repeat with --yes to remove this, or --dry-run to list it")
        return False
    for thing in things:
        print(_line(thing), file=sys.stderr)
    print("Remove all this, for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(session: Session) -> None:
    folders = session.folders
    for stays in wiring.remove_leftovers(session.config, folders):
        session.note(stays)
    if folders.marker.exists():
        _remove_tree(folders)


def _remove_tree(folders: Folders) -> None:
    """The marker goes last: what a failed removal leaves is still known as ours."""
    for path in folders.data.iterdir():
        if path == folders.marker:
            continue
        if path.is_dir() and not path.is_symlink():
            _make_writable(path)
            shutil.rmtree(path)
        else:
            path.unlink()
    folders.marker.unlink()
    folders.data.rmdir()


def _make_writable(folder: Path) -> None:
    """Outputs and inputs are extracted read-only: a folder has to be writable to be emptied."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _line(thing: Thing) -> str:
    size = "" if thing.bytes is None else f"  ({thing.bytes / 2**20:.1f} MiB)"
    return f"{thing.what}: {thing.where}{size}"
