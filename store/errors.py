"""What can go wrong with content, each as a type of its own: callers decide by type, people read one line.

"Not found" and "can't be reached" are never mixed up: the first is authoritative and invalidates a reusable output, the
second says nothing about it.
"""

import os


class StoreError(Exception):
    """Any failure of the store; its text is one line that names the cause."""


class LocatorInvalid(StoreError):
    """A text is not a block locator or portable data hash."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!r} is not a locator: expected 32 hexadecimal digits of an md5, '+' and a size")


class ManifestInvalid(StoreError):
    """A manifest is malformed or beyond the limits. `line` counts from 1; 0: the text as a whole."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"manifest, line {line}: {reason}" if line else f"manifest: {reason}")


class BlockMissing(StoreError):
    """Authoritative: the store was reached and does not have this block."""

    def __init__(self, locator: str) -> None:
        self.locator = locator
        super().__init__(f"block {locator} is not in the store")


class BlockCorrupt(StoreError):
    """Data does not have the md5 or size it is named by, in the store or on its way in."""

    def __init__(self, locator: str, found: str) -> None:
        self.locator = locator
        super().__init__(f"block {locator} is damaged: its data is {found}")


class BlockCollision(StoreError):
    """Two different blocks have one md5 and size; the one stored first is kept, the other refused."""

    def __init__(self, locator: str) -> None:
        self.locator = locator
        super().__init__(f"block {locator} is refused: other data with the same md5 is already stored")


class BlockTooLarge(StoreError):
    """More data than a block may hold."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a block of {size} bytes is refused: at most {limit} bytes fit in one")


class StoreUnreachable(StoreError):
    """The store's directory is gone, is not a store, or can't be read or written: nothing is known of its blocks."""

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(f"the store at {root} can't be reached: {reason}")


class StoreFull(StoreError):
    """No room, quota or file size left for a block; nothing partial stays behind."""

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(f"the store at {root} is full ({reason}): free some space and try again")


class PathRefused(StoreError):
    """A path can't be part of a collection: a link, a device, a name that climbs out, too deep, not UTF-8."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{printable(path)} is refused: {reason}")


class PathMissing(StoreError):
    """A collection has no file or directory of this name."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{printable(path)} is not in the collection")


class SourceUnreadable(StoreError):
    """A file or directory that is to be saved can't be read."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{printable(path)} can't be read: {reason}")


class LimitExceeded(StoreError):
    """A tree or a collection is larger than the caller allows; `path` is where the limit was passed."""

    def __init__(self, path: str, limit: str) -> None:
        self.path = path
        super().__init__(f"{printable(path)} goes beyond the limit of {limit}")


class ExtractFailed(StoreError):
    """A file or directory of a collection can't be written where it was to be extracted."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{printable(path)} can't be extracted: {reason}")


def cause(error: OSError) -> str:
    """The operating system's own words for an error, without paths."""
    return os.strerror(error.errno) if error.errno else str(error)


def printable(path: str) -> str:
    """A path on one line, also with newlines or bytes that are not UTF-8 in it."""
    return path if path.isprintable() and path else repr(path)
