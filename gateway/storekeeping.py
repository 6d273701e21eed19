"""`store gc` and `store check`: content that nothing refers to, and content that is rotten."""

import time
from collections.abc import Sequence

import msgspec

from gateway.api.signing import SIGNED_FOR
from gateway.client import PATIENCE, Client
from gateway.content import blocks_of
from gateway.problems import FAILED, Problem
from gateway.session import Session
from readmodel.connection import connect
from readmodel.references import oldest_grant, projected, referenced
from readmodel.watch import Watch
from schemas.topics import Topic
from store import collecting
from store.blocks import StoredBlock
from store.collections import CollectionStore
from store.errors import BlockCorrupt, BlockMissing
from streams.log import Place

DAY = 86_400
NS = 1_000_000_000
MS = 1_000_000  # ns
UPLOAD = 3_600  # seconds within which a block that is being written was touched


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What `store check` found. `damaged`: blocks whose content is not what their name says; `missing`: collections
    that jobs or entries name and that are not all there."""

    blocks: int
    bytes: int
    damaged: list[str]
    missing: list[str]


def gc(session: Session, *, grace: float | None, dry_run: bool, force: bool) -> int:
    """Set aside what nothing refers to and nobody touched for `grace` days; forget what was set aside so long ago.

    1, and nothing is done, if the manifest of a collection that is referred to can not be read, and not `force`: nobody
    can say which blocks it has.
    """
    blocks = blocks_of(session.folders)
    days = SIGNED_FOR / DAY if grace is None else grace
    now = time.time_ns()
    with Client(session) as client:
        before = _not_after_grants(client, now - int(days * DAY * NS))
        collections = _referenced(client)
        marked, restored = (
            (collecting.mark(blocks, collections), 0) if dry_run else collecting.recover(blocks, collections)
        )
        if marked.missing and not force:
            return _refuse(session, marked)
        forgotten, aside = 0, list(collecting.unreferenced(blocks, marked, before))
        if not dry_run:
            aside = collecting.set_aside(blocks, aside, before)
            marked, late = collecting.recover(blocks, _referenced(client))  # what was asked for while we looked
            if marked.missing and not force:
                return _refuse(session, marked, aside=aside)
            restored, forgotten = restored + late, blocks.forget(before)
            aside = [block for block in aside if not blocks.exists(block.locator)]
            blocks.sweep(min(before, now - UPLOAD * NS))
    done = collecting.Collected(
        blocks=len(marked.kept),
        aside=len(aside),
        aside_bytes=sum(block.size for block in aside),
        forgotten=forgotten,
        restored=restored,
        missing=marked.missing,
    )
    _tell(session, done, days, dry_run=dry_run)
    return 0


def _not_after_grants(client: Client, moment: int) -> int:
    """This time (ns), or the oldest running execution's grant if that is earlier: no table names yet what it writes."""
    oldest = oldest_grant(client.rows)
    return moment if oldest is None else min(moment, oldest * MS)


def _refuse(session: Session, marked: collecting.Marked, aside: Sequence[StoredBlock] = ()) -> int:
    """Say what is missing, with what this run set aside put back."""
    blocks = blocks_of(session.folders)
    for block in aside:
        blocks.put_back(block.locator)
    if session.as_json:
        session.result(collecting.Collected(missing=marked.missing))
    for pdh in marked.missing:
        session.say(f"[red]missing[/red]  {pdh}")
    session.say(
        f"{len(marked.missing)} collections are referred to whose manifests are missing or damaged, so nobody can say "
        "which blocks they have: nothing is set aside or forgotten. Bring them back from a backup, or delete the jobs "
        "and collections that name them; or give up with --force what only they name"
    )
    return FAILED


def _tell(session: Session, done: collecting.Collected, days: float, *, dry_run: bool) -> None:
    if session.as_json:
        session.result(done)
    would = "would be" if dry_run else "are"
    session.say(f"{done.blocks} blocks are referred to; {done.aside} ({done.aside_bytes} bytes) {would} set aside")
    session.say(f"{done.forgotten} that were set aside {days:g} days ago or earlier are forgotten")


def _referenced(client: Client) -> list[str]:
    """All that is referred to, once the read model knows all that the log has said so far. Problem if it does not."""
    log, place = client.log, Place
    ends = {n: log.end(place(Topic.FACTS, n)) for n in range(log.partitions(Topic.FACTS))}

    def is_caught_up() -> bool | None:
        known = projected(client.rows)
        return all(known.get(number, 0) >= end for number, end in ends.items()) or None

    with connect(client.dsn) as listener:
        if not Watch(listener).until(is_caught_up, PATIENCE):
            raise Problem("the read model is behind the log: nothing is collected before it has caught up")
    return referenced(client.rows)


def check(session: Session) -> int:
    """Read every block and compare it with its name; look whether all that is referred to is there. 1: it is not."""
    blocks = blocks_of(session.folders)
    store = CollectionStore(blocks)
    damaged, size, count = [], 0, 0
    for block in blocks.blocks():
        count, size = count + 1, size + block.size
        try:
            blocks.check(block.locator)
        except BlockCorrupt:
            damaged.append(block.locator)
        except BlockMissing:  # collected meanwhile
            continue
    with Client(session) as client:
        missing = [pdh for pdh in _referenced(client) if store.verify(pdh).missing]
    found = Checked(blocks=count, bytes=size, damaged=damaged, missing=missing)
    if session.as_json:
        session.result(found)
    for locator in damaged:
        session.say(f"[red]damaged[/red]  {locator}")
    for pdh in missing:
        session.say(f"[red]missing[/red]  {pdh}")
    session.say(f"{count} blocks, {size} bytes: {len(damaged)} damaged; {len(missing)} collections are not all there")
    return FAILED if damaged or missing else 0
