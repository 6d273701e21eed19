"""`store gc` and `store check`: content that nothing refers to, and content that is rotten."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import msgspec

from gateway.api.signing import SIGNED_FOR
from gateway.client import PATIENCE, Client
from gateway.content import blocks_of
from gateway.problems import FAILED, Problem
from gateway.session import Session
from readmodel.connection import connect
from readmodel.references import oldest_grant, projected, referenced, undisturbed
from readmodel.watch import Watch
from schemas.topics import Topic
from store import collecting
from store.blocks import BlockStore, StoredBlock
from store.collecting import Collected, Marked
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

    1, and nothing is done, if the manifest of a collection that was here can not be read, and not `force`: nobody can
    say which blocks it has. One that is only named, and never was here, has none. No backup is made meanwhile.
    """
    days = SIGNED_FOR / DAY if grace is None else grace
    with Client(session) as client, _alone(session, client, dry_run=dry_run):
        before = _not_after_grants(client, time.time_ns() - int(days * DAY * NS))
        collecting_now = _Collecting(blocks_of(session.folders), client, before, force=force)
        done = collecting_now.look() if dry_run else collecting_now.collect()
    if done.missing and not force:
        return _refuse(session, done)
    _tell(session, done, days, dry_run=dry_run)
    return 0


def _alone(session: Session, client: Client, *, dry_run: bool) -> AbstractContextManager[None]:
    """While blocks come and go, nobody copies the store."""
    if dry_run:
        return nullcontext()
    return undisturbed(client.dsn, "collect", lambda: session.note("a backup is being made: waiting for its end"))


class _Collecting:
    """One run. `before`: ns since 1970; what was touched later stays."""

    def __init__(self, blocks: BlockStore, client: Client, before: int, *, force: bool) -> None:
        self._blocks = blocks
        self._client = client
        self._before = before
        self._force = force

    def look(self) -> Collected:
        """What would be done."""
        collections = _referenced(self._client)
        marked = collecting.mark(self._blocks, collections)
        found = list(collecting.unreferenced(self._blocks, marked, self._before))
        return self._told(marked, collections, found)

    def collect(self) -> Collected:
        """Do it. Nothing is done where something is missing, unless it is insisted on."""
        collections = _referenced(self._client)
        marked, restored = collecting.recover(self._blocks, collections)
        if self._stops(marked, collections):
            return self._told(marked, collections, [])
        found = collecting.unreferenced(self._blocks, marked, self._before)
        aside = collecting.set_aside(self._blocks, found, self._before)
        collections = _referenced(self._client)  # what was asked for while we looked
        marked, late = collecting.recover(self._blocks, collections)
        if self._stops(marked, collections):
            for block in aside:
                self._blocks.put_back(block.locator)
            return self._told(marked, collections, [])
        forgotten = self._blocks.forget(self._before)
        aside = [block for block in aside if not self._blocks.exists(block.locator)]
        self._blocks.sweep(min(self._before, time.time_ns() - UPLOAD * NS))
        self._blocks.words.sweep(self._before)
        told = self._told(marked, collections, aside)
        return replace(told, forgotten=forgotten, restored=restored + late)

    def _stops(self, marked: Marked, collections: Mapping[str, bool]) -> bool:
        return not self._force and any(collections[pdh] for pdh in marked.missing)

    def _told(self, marked: Marked, collections: Mapping[str, bool], aside: Sequence[StoredBlock]) -> Collected:
        return Collected(
            blocks=len(marked.kept),
            aside=len(aside),
            aside_bytes=sum(block.size for block in aside),
            missing=tuple(pdh for pdh in marked.missing if collections[pdh]),
            unknown=tuple(pdh for pdh in marked.missing if not collections[pdh]),
        )


def _not_after_grants(client: Client, moment: int) -> int:
    """This time (ns), or the oldest running execution's grant if that is earlier: no table names yet what it writes."""
    oldest = oldest_grant(client.rows)
    return moment if oldest is None else min(moment, oldest * MS)


def _refuse(session: Session, found: Collected) -> int:
    """Say what is missing."""
    if session.as_json:
        session.result(Collected(missing=found.missing, unknown=found.unknown))
    for pdh in found.missing:
        session.say(f"[red]missing[/red]  {pdh}")
    session.say(
        f"{len(found.missing)} collections are referred to whose manifests are missing or damaged, so nobody can say "
        "which blocks they have: nothing is set aside or forgotten. Bring them back from a backup, or delete the jobs "
        "and collections that name them; or give up with --force what only they name"
    )
    return FAILED


def _tell(session: Session, done: Collected, days: float, *, dry_run: bool) -> None:
    if session.as_json:
        session.result(done)
    for pdh in done.unknown:
        session.say(f"[dim]not here, and never was: {pdh}, which a job names[/dim]")
    would = "would be" if dry_run else "are"
    session.say(f"{done.blocks} blocks are referred to; {done.aside} ({done.aside_bytes} bytes) {would} set aside")
    session.say(f"{done.forgotten} that were set aside {days:g} days ago or earlier are forgotten")


def _referenced(client: Client) -> dict[str, bool]:
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
