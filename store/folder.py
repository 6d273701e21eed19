"""What a store's folder is known by, and how the operating system's errors become the store's."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import StoreFull, StoreUnreachable, cause

MARKER = ".crunch-reuse-store"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def faults(root: Path) -> Iterator[None]:
    """The one place where the operating system's errors become those of the store at `root`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(str(root), cause(error)) from error
        raise StoreUnreachable(str(root), cause(error)) from error


def require_marker(root: Path) -> None:
    """StoreUnreachable where there is no store: what is not in an empty mount point is not known to be gone."""
    try:
        (root / MARKER).stat()
    except FileNotFoundError as error:
        raise StoreUnreachable(str(root), f"it is gone or not mounted ({MARKER} is not there)") from error
