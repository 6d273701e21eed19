"""`store gc` and `store check`: content that nothing refers to, and content that is rotten."""

import time

import msgspec

from gateway.client import PATIENCE, Client
from gateway.content import blocks_of
from gateway.problems import FAILED, Problem
from gateway.session import Session
from readmodel.connection import connect
from readmodel.references import projected, referenced
from readmodel.watch import Watch
from schemas.topics import Topic
from store import collecting
from store.collections import CollectionStore
from store.errors import BlockCorrupt, BlockMissing
from streams.log import Place

DAY = 86_400
NS = 1_000_000_000


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What `store check` found. `damaged`: blocks whose content is not what their name says; `missing`: collections
    that jobs or entries name and that are not all there."""

    blocks: int
    bytes: int
    damaged: list[str]
    missing: list[str]


def gc(session: Session, *, grace: float, dry_run: bool) -> None:
    """Set aside what nothing refers to and nobody touched for `grace` days; forget what was set aside so long ago."""
    blocks = blocks_of(session.folders)
    before = time.time_ns() - int(grace * DAY * NS)
    with Client(session) as client:
        marked = collecting.mark(blocks, _referenced(client))
        found = list(collecting.unreferenced(blocks, marked, before))
        if dry_run:
            aside, forgotten, restored = found, 0, 0
        else:
            forgotten = blocks.forget(before)
            aside = collecting.set_aside(blocks, found, before)
            marked = collecting.mark(blocks, _referenced(client))  # what was asked for while we looked
            restored = collecting.restore(blocks, aside, marked)
            blocks.sweep(before)
    done = collecting.Collected(
        blocks=len(marked.kept),
        aside=len(aside) - restored,
        aside_bytes=sum(block.size for block in aside),
        forgotten=forgotten,
        restored=restored,
        missing=marked.missing,
    )
    if session.as_json:
        session.result(done)
    would = "would be" if dry_run else "are"
    session.say(f"{done.blocks} blocks are referred to; {done.aside} ({done.aside_bytes} bytes) {would} set aside")
    session.say(f"{done.forgotten} that were set aside {grace:g} days ago or earlier are forgotten")


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
