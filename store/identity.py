"""Whose store a directory is: the marker file in it holds the name of the log whose content it keeps.

An empty mount point has no marker, and the store of another system has another name in it. Both are told from a store
that has lost its blocks, of which alone "not found" is true.
"""

import secrets
from pathlib import Path

from store.blocks import BlockStore
from store.errors import StoreUnreachable, cause
from store.folder import MARKER


def claim(root: Path, identity: str, *, anew: bool = False) -> BlockStore:
    """The store at `root`, made if need be, with the name `identity`.

    Raises StoreUnreachable where the directory is another's, unless it is claimed `anew`: its blocks stay.
    """
    store = BlockStore.create(root)
    present = read(root)
    if present and present != identity and not anew:
        raise StoreUnreachable(str(root), "it is the store of another log: name another directory")
    if present != identity:
        _write(root / MARKER, identity)
    return store


def read(root: Path) -> str:
    """The name in the marker; empty where it has none yet. Raises StoreUnreachable where there is no marker."""
    try:
        return (root / MARKER).read_text("ascii", errors="replace").strip()
    except FileNotFoundError as error:
        raise StoreUnreachable(str(root), "nothing is there that is a store: is it mounted?") from error
    except OSError as error:
        raise StoreUnreachable(str(root), cause(error)) from error


def trouble(root: Path, identity: str) -> str | None:
    """Why the directory can't be used as this log's store, in one line; None if it can."""
    try:
        present = read(root)
    except StoreUnreachable as error:
        return str(error)
    if present != identity:
        return f"the store at {root} is not the one of this log: is another file system mounted there?"
    return None


def _write(marker: Path, identity: str) -> None:
    """As a whole: others look at it meanwhile."""
    draft = marker.with_name(f"{MARKER}-{secrets.token_hex(4)}")
    try:
        draft.write_text(identity + "\n", "ascii")
        draft.replace(marker)
    except OSError as error:
        raise StoreUnreachable(str(marker.parent), cause(error)) from error
