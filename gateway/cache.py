"""`cache ls`, `cache rm` and `cache stats`: the outputs that can be given again, and what that saved."""

from typing import NamedTuple

from gateway import pictures
from gateway.client import Client
from gateway.content import store_of
from gateway.folders import APP
from gateway.problems import Refused
from gateway.session import Session
from gateway.until import time_of
from readmodel import cache
from readmodel.cache import Asked, Entry
from schemas.claims import Removed
from schemas.topics import Topic
from store.collections import CollectionStore
from store.errors import StoreError

REMOVED = "its owner removed it from the cache"
NAMED = 5  # entries that are left alone and named; --json has all
NO_AGE = "no age: write 10m, 2h or 90d, or a time"


class Old(NamedTuple):
    """Which entries are to go, as the options say: a task's, or all that are older, or were used earlier."""

    task: str | None
    older: str | None
    unused: str | None


def ls(session: Session, as_user: str | None, limit: int) -> None:
    """Print entries, those used longest ago first."""
    with Client(session) as client:
        found = cache.entries(client.rows, client.user(as_user).uuid, Asked(limit=limit))
    if session.as_json:
        session.result(found)
    for entry in found:
        session.say(_line(entry))
    if not found:
        session.say("nothing yet that could be given again")


def rm(session: Session, as_user: str | None, old: Old, *, yes: bool) -> None:
    """Take entries out of reuse. Refused where none is named.

    To make room is no judgement: an entry whose output differs from another's stays until somebody has decided.
    """
    if not any(old):
        raise Refused("name a task, or say which: --older-than 90d, --unused-for 30d")
    with Client(session) as client:
        user = client.user(as_user)
        asked = Asked(
            of_owner=None if user.is_admin else user.uuid,
            task=old.task,
            made_before=time_of("--older-than", old.older, NO_AGE),
            used_before=time_of("--unused-for", old.unused, NO_AGE),
        )
        left, found = _split(client, user.uuid, cache.entries(client.rows, user.uuid, asked))
        for entry in found if yes else ():
            gone = Removed(fingerprint=entry.fingerprint, token=entry.token, reason=REMOVED)
            client.ask(Topic.CLAIMS, gone)
    if session.as_json:
        session.result({"entries": found, "left_alone": left, "done": yes})
    for entry in found:
        session.say(_line(entry))
    session.say(f"{len(found)} entries: {'removed' if yes else 'nothing was done; repeat it with --yes'}")
    if left:
        session.say(
            f"left alone, as the same work has other outputs too and nobody has decided: {_named(left)}; an admin "
            f"decides with `{APP} release TASK`, or `{APP} invalidate --keep TASK`"
        )


def _split(client: Client, viewer: str, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Those that are to be left alone, and the others."""
    disputed = cache.disputed(client.rows, viewer) if entries else set()
    left = [entry for entry in entries if entry.fingerprint in disputed]
    return left, [entry for entry in entries if entry.fingerprint not in disputed]


def _named(entries: list[Entry]) -> str:
    names = [entry.task or entry.token for entry in entries[:NAMED]]
    return ", ".join(names) + (f" and {len(entries) - NAMED} more" if len(entries) > NAMED else "")


def stats(session: Session, as_user: str | None) -> None:
    """Print what reuse saved."""
    with Client(session) as client:
        user = client.user(as_user)
        found = cache.savings(client.rows, user.uuid)
        outputs = cache.copied_outputs(client.rows, user.uuid)
    store = store_of(session.folders)
    size = sum(_size(store, output) * times for output, times in outputs.items())
    if session.as_json:
        session.result({"savings": found, "bytes": size})
    mine, others = pictures.seconds(found.given_ms), pictures.seconds(found.taken_ms)
    session.say(f"your jobs were given {found.given} outputs ({size} bytes): {mine} of execution saved")
    session.say(f"others were given your outputs {found.taken} times: {others} of execution saved")


def _line(entry: Entry) -> str:
    name = pictures.safe(entry.name or entry.task or "a re-execution")
    times = f"given {entry.copies} times" if entry.copies else "never given"
    return f"{entry.token}  {name}  ran {pictures.seconds(entry.took)}, {times}"


def _size(store: CollectionStore, pdh: str) -> int:
    """Bytes of a collection's files; 0 for one that is not there any more."""
    try:
        return sum(entry.size for entry in store.files(pdh))
    except StoreError:
        return 0
