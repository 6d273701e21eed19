"""Recognising content addresses in text: block locators, manifests, portable data hashes, collection UUIDs.

Pure text, no store: the rules need to know which parameters are content-addressed, and hints must go before anything is
hashed or compared. The grammar is https://doc.arvados.org/architecture/manifest-format.html; sizes are decimal without
leading zeros, so that a block has one spelling.
"""

import re

SIZE = r"(?:0|[1-9][0-9]{0,18})"
SIZED_DIGEST = rf"[0-9a-f]{{32}}\+{SIZE}"
HINTS = r"(?:\+[A-Z][A-Za-z0-9@_-]*+)*+"
WORD = r"[^\x00-\x20]"

_LOCATOR = re.compile(rf"({SIZED_DIGEST}){HINTS}")
_PORTABLE_DATA_HASH = re.compile(SIZED_DIGEST)
_COLLECTION_UUID = re.compile(r"[a-z0-9]{5}-4zz18-[a-z0-9]{15}")
_STREAM = re.compile(rf"\.(?:/{WORD}*+)?(?: {SIZED_DIGEST}{HINTS})++(?: [0-9]{{1,19}}:[0-9]{{1,19}}:{WORD}++)++")
# Inside a manifest only a locator token can match: a stream name starts with a dot, a file token has a colon.
_LOCATOR_TOKEN = re.compile(rf"(?<= )({SIZED_DIGEST}){HINTS}(?= )")


def is_locator(text: str) -> bool:
    """Whether `text` is wholly a block locator: `md5+size`, with or without hints (`+A…@…`, `+K…`, `+R…`)."""
    return _LOCATOR.fullmatch(text) is not None


def is_portable_data_hash(text: str) -> bool:
    """Whether `text` is wholly `md5+size` without hints: what names a collection, or a block, by content alone."""
    return _PORTABLE_DATA_HASH.fullmatch(text) is not None


def is_collection_uuid(text: str) -> bool:
    """Whether `text` is wholly a collection's UUID (`xxxxx-4zz18-…`): a name whose content may change."""
    return _COLLECTION_UUID.fullmatch(text) is not None


def is_manifest(text: str) -> bool:
    """Whether `text` is wholly a Keep manifest of at least one stream, by its grammar; the last newline may be missing.

    The empty text, which is a valid manifest to a store, is not recognised as one: as a parameter it is just empty.
    """
    if not text.startswith("."):
        return False
    lines = text.removesuffix("\n").split("\n")
    return all(_STREAM.fullmatch(line) for line in lines)


def strip_hints(text: str) -> str:
    """`text` without hints, if it parses wholly as a locator or a manifest; otherwise `text` as it is.

    `HLA+Apos` and `HLA+Bneg` are names, not signed locators, and stay two different strings.
    """
    locator = _LOCATOR.fullmatch(text)
    if locator:
        return locator[1]
    return _LOCATOR_TOKEN.sub(r"\1", text) if is_manifest(text) else text


def split_reference(text: str) -> tuple[str, str] | None:
    """Split `PDH` or `PDH/path` into (portable data hash, path); None if `text` is neither.

    Hints of the hash are dropped. The path is written one way: `./a//b/` (the SDK writes the first dot) is `a/b`; it is
    empty where only the hash is given.
    """
    head, _, path = text.partition("/")
    if not is_locator(head):
        return None
    return strip_hints(head), "/".join(name for name in path.split("/") if name not in ("", "."))
