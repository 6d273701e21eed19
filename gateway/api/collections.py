"""Collections: by uuid, a name whose content may change; by portable data hash, content."""

import time
from typing import Any

import msgspec

from gateway.api import filters, render
from gateway.api.dispatch import Handler, Object, asked_page, row_of
from gateway.api.errors import forbidden, invalid, not_found
from gateway.api.proving import may_read_now
from gateway.api.request import Call
from gateway.api.schema import COLLECTIONS
from gateway.api.service import Caller
from readmodel import listing, registry
from store.errors import BlockMissing
from store.locator import EMPTY_BLOCK, is_collection_uuid, is_locator, portable_data_hash_of, strip_hints
from store.manifest import parse_manifest

MAX_LISTED_BYTES = 16 * 2**20  # of manifests in one page: what is more is on the next
_TEXTS = frozenset({"manifest_text", "unsigned_manifest_text"})
_COUNTS = ("file_count", "file_size_total")
_SHOWN = frozenset(one.name for one in COLLECTIONS.attributes) | {"href", "etag"}
Row = dict[str, Any]
Select = frozenset[str] | None


def create(caller: Caller, call: Call, _: str) -> Object:
    """Save a collection under a new uuid."""
    given = call.attributes(COLLECTIONS, "create")
    owner = given.get("owner_uuid") or caller.uuid
    if not caller.may_write(owner):
        raise forbidden("owner_uuid: this is not yours to give things to")
    now = registry.now_ms()
    row = {
        "uuid": caller.new_uuid(call, COLLECTIONS.infix),
        "owner_uuid": owner,
        "created_at": now,
        "modified_at": now,
        "modified_by_user_uuid": caller.uuid,
        **_described(given, {"name": None, "description": None, "properties": "{}"}),
        **_content(caller, given),
    }
    _save(caller, call, "add_collection", row)
    return get(caller, call, row["uuid"])


def update(caller: Caller, call: Call, uuid: str) -> Object:
    """Change a collection that is the caller's to change."""
    row = row_of(COLLECTIONS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may change it")
    given = call.attributes(COLLECTIONS, "update")
    kept = {name: row[name] for name in ("owner_uuid", "portable_data_hash", *_COUNTS)}
    changed = kept | _described(given, row) | (_content(caller, given) if "manifest_text" in given else {})
    changed |= {"uuid": uuid, "modified_at": registry.now_ms(), "modified_by_user_uuid": caller.uuid}
    _save(caller, call, "change_collection", changed)
    return get(caller, call, uuid)


def delete(caller: Caller, _: Call, uuid: str) -> Object:
    """Forget a collection's uuid and name. Its content stays."""
    row = row_of(COLLECTIONS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may remove it")
    with caller.service.rows() as connection:
        registry.execute(connection, "drop_collection", {"uuid": uuid})
    return render.shown(COLLECTIONS, row)


def get(caller: Caller, call: Call, uuid: str) -> Object:
    """A collection by uuid, or by portable data hash where the caller may read anything that has this content."""
    if caller.only_proves:
        return _proved(caller, uuid)
    select = filters.select(COLLECTIONS, call.option("select"))
    if is_locator(uuid):
        return _by_hash(caller, portable_data_hash_of(uuid), select)
    if not is_collection_uuid(uuid):
        raise not_found()
    row = row_of(COLLECTIONS, caller, uuid)
    return render.shown(COLLECTIONS, row | _texts(caller, row["portable_data_hash"], select), select)


def index(caller: Caller, call: Call, _: str) -> Object:
    """A page. Manifests are in it where they are selected, signed, as many as fit."""
    select = filters.select(COLLECTIONS, call.option("select"))
    asked, seen = asked_page(COLLECTIONS, call), caller.sight
    with caller.service.rows() as connection:
        rows, total = listing.page(connection, COLLECTIONS.name, seen, caller.uuid, asked)
    if select is None or not select & _TEXTS:
        items = [render.shown(COLLECTIONS, row, select or _SHOWN - _TEXTS) for row in rows]
    else:
        items = _with_texts(caller, rows, select)
    return render.listed(COLLECTIONS, items, asked.offset, asked.limit, total)


def may_read_content(caller: Caller, pdh: str) -> bool:
    """Whether anything that the caller may read has this content: a collection, a job's or task's output or log, or a
    parameter that is a part of one of these."""
    seen = caller.sight
    with caller.service.rows() as connection:
        if listing.is_content_seen(connection, seen, [pdh]):
            return True
        proved = registry.fetch(connection, "proved", {**seen._asdict(), "hashes": [pdh]})
    return bool(proved) and caller.service.store.blocks.exists(pdh)


def text_to_hash(caller: Caller, text: str) -> str:
    """The portable data hash of a manifest, or of the block that holds one: what tasks call their output.

    A block as Arvados' writer makes it holds signatures, so what it holds is stored again without.
    """
    if not is_locator(text):
        return _stored(caller, text)
    pdh = portable_data_hash_of(text)
    if pdh == EMPTY_BLOCK or may_read_content(caller, pdh):
        return pdh
    caller.signer.check(pdh, text.removeprefix(pdh), int(time.time()))
    return _stored(caller, caller.service.store.manifest_text(pdh))


def _with_texts(caller: Caller, rows: list[Row], select: frozenset[str]) -> list[Object]:
    items: list[Object] = []
    size = 0
    for row in rows:
        texts = _texts(caller, row["portable_data_hash"], select)
        size += sum(len(text or "") for text in texts.values())
        if items and size > MAX_LISTED_BYTES:
            break
        items.append(render.shown(COLLECTIONS, row | texts, select))
    return items


def _by_hash(caller: Caller, pdh: str, select: Select) -> Object:
    if not may_read_content(caller, pdh):
        raise not_found()
    whole = {"uuid": pdh, "portable_data_hash": pdh, "kind": COLLECTIONS.kind, **_texts(caller, pdh, select)}
    return {name: value for name, value in whole.items() if select is None or name in select or name == "kind"}


def _proved(caller: Caller, pdh: str) -> Object:
    """That its owner may read it now, and no word of what is in it. ApiError 404."""
    with caller.service.rows() as connection:
        if not may_read_now(connection, caller.sight, pdh):
            raise not_found()
    return {"portable_data_hash": pdh}


def _texts(caller: Caller, pdh: str, select: Select) -> dict[str, str | None]:
    """The manifest with and without signatures, each where it is wanted."""
    wanted = frozenset({"manifest_text"}) if select is None else select & _TEXTS
    text = caller.service.store.manifest_text(pdh) if wanted else ""
    return {
        "manifest_text": caller.signer.manifest(text) if "manifest_text" in wanted else None,
        "unsigned_manifest_text": text if "unsigned_manifest_text" in wanted else None,
    }


def _content(caller: Caller, given: Row) -> Row:
    """Hash and counts of what a collection is to hold; the manifest is in the store then."""
    text, named = given.get("manifest_text"), strip_hints(given.get("portable_data_hash") or "")
    if text is None and named:
        if not is_locator(named) or not may_read_content(caller, named):
            raise invalid("portable_data_hash: you see no such content")
        return _counted(caller, named)
    pdh = _stored(caller, text or "")
    if named not in ("", pdh):
        raise invalid(f"portable_data_hash: does not match the manifest, which has {pdh}")
    return _counted(caller, pdh)


def _stored(caller: Caller, text: str) -> str:
    parse_manifest(text)
    caller.signer.check_manifest(text, int(time.time()))
    return caller.service.store.save_manifest(text)


def _counted(caller: Caller, pdh: str) -> Row:
    try:
        files = caller.service.store.files(pdh)
    except BlockMissing:
        raise invalid("portable_data_hash: its content is not in the store") from None
    size = sum(file.size for file in files)
    return {"portable_data_hash": pdh, "file_count": len(files), "file_size_total": size}


def _described(given: Row, before: Row) -> Row:
    name = given.get("name", before["name"]) or None
    properties = before["properties"]
    if "properties" in given:
        properties = msgspec.json.encode(given["properties"] or {}).decode()
    return {"name": name, "description": given.get("description", before["description"]), "properties": properties}


def _save(caller: Caller, call: Call, statement: str, row: Row) -> None:
    """Write the row; a name that is taken gets the time behind it if that is asked for, else it is refused."""
    name = f"collection {row['owner_uuid']} {row['name'] or row['uuid']}"
    with caller.service.rows() as connection, registry.alone(connection, name):
        if row["name"] is not None and registry.fetch(connection, "collection_named", row):
            if not call.flag("ensure_unique_name"):
                raise invalid("name: you have a collection of this name: choose another, or ensure_unique_name")
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            row["name"] = f"{row['name'][:220]} ({moment} {row['uuid'][-5:]})"
        if not registry.fetch(connection, statement, row):
            raise invalid("name: somebody took it just now")


HANDLERS: dict[tuple[str, str], Handler] = {
    ("collections", "create"): create,
    ("collections", "update"): update,
    ("collections", "delete"): delete,
    ("collections", "get"): get,
    ("collections", "list"): index,
    ("collections", "index"): index,
}
