"""What is known here of what a past task needed: its code, its image, the paths it named, its output."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Self

from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedCode, ResolvedImage
from gateway import git
from gateway.problems import Refused
from gateway.resolve import FileResolver
from store.blocks import BlockStore
from store.collections import CollectionStore
from store.errors import StoreError, StoreFull, StoreUnreachable
from store.locator import EMPTY_BLOCK, is_locator, locator_of, portable_data_hash_of, strip_hints
from store.manifest import parse_manifest
from store.port import Data

NOWHERE = EMPTY_BLOCK  # in the place of code that nobody needs to run what has run; taken out again
CONTENT_ID = "sha256:"
NO_IMAGE = "it ran without an image, in an environment of which nothing is known"
FIRST_FORMAT = "it was saved in Docker's first format, whose id says nothing of its content"


class Unwritten(BlockStore):
    """A store to which nothing is written: what would be is in memory, for who only wants to know what it came to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._kept: dict[str, bytes] = {}

    def put(self, data: Data, *, md5: str = "") -> str:
        """The locator that the block would have."""
        locator = str(locator_of(data))
        self._kept[locator] = bytes(data)
        return locator

    def together(self) -> AbstractContextManager[Self]:  # type: ignore[override] # it takes blocks, too
        """Itself, which has nothing to sync."""
        return nullcontext(self)

    def get(self, locator: str) -> bytes:
        """A block's content, as if all had been written."""
        kept = self._kept.get(locator)
        return super().get(locator) if kept is None else kept

    def exists(self, locator: str) -> bool:
        """Whether it would be there."""
        return locator in self._kept or super().exists(locator)


class Known(FileResolver):
    """A Resolver for what has run already. Nothing is an error: what is not known is a line in `reasons`.

    `manifest`: of a collection, as the source has it. `place`: of a repository by its name; None: it is not known here.
    """

    def __init__(
        self,
        store: CollectionStore,
        cache: Path,
        manifest: Callable[[str], str],
        place: Callable[[str], str | None],
        *,
        writes: bool,
    ) -> None:
        super().__init__(store, Path("job"), cache, _no_images, lambda _, __: None)
        self._manifest = manifest
        self._repository = place
        self._writes = writes
        self.reasons: list[str] = []
        self.tree = lru_cache(1_000)(self._tree)
        self._image_of = lru_cache(1_000)(self._image)

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """The commit as it is written; the fingerprint needs no more."""
        if git.is_full_commit(commit):
            return ResolvedCode(commit, NOWHERE, {"commit": commit})
        return ResolvedCode("", NOWHERE, None, f"{commit[:80]!r} of {repository[:80]!r} is no full commit")

    def image(self, name: str) -> ResolvedImage:
        """The content digest of the image that is in the collection `name`."""
        return self._image_of(name)

    def path(self, field: str, reference: str) -> str:
        """`PDH/path` narrowed, where the content is here."""
        try:
            return super().path(field, reference)
        except BadTask as error:
            self.reasons.append(f"{field}: {error.message}")
            return reference.partition("/")[0]

    def output(self, text: str) -> tuple[str, str]:
        """What a task called its output, as a portable data hash, and why it can't be given to others; empty: it can.

        It called so a manifest, or the block that holds one, which as Arvados wrote it has signatures in it.
        """
        try:
            pdh = self._hint_free(text)
            look = self._store.verify(pdh)
        except (StoreFull, StoreUnreachable):
            raise
        except StoreError as error:
            pdh = portable_data_hash_of(text) if is_locator(text) else ""
            return pdh, f"output: {error}"
        lacking = [*look.missing, *look.damaged]
        return pdh, f"output: block {lacking[0]} is not in the store" if lacking else ""

    def _hint_free(self, text: str) -> str:
        if not is_locator(text):
            return self._store.save_manifest(text)
        pdh = portable_data_hash_of(text)
        content = self._store.manifest_text(pdh)
        return pdh if strip_hints(content) == content else self._store.save_manifest(content)

    def _tree(self, repository: str, commit: str) -> tuple[str, str]:
        """The commit's files in the store, and why they can't be had."""
        place = self._repository(repository)
        if place is None:
            return "", f"repository {repository[:80]!r} is not known here, so the tasks it queued could not run again"
        if not self._writes:
            return NOWHERE, ""
        try:
            with git.open_repository(place, self._cache / "repositories", commit) as found:
                return self._tree_of(found, found.resolve(commit)), ""
        except (Refused, BadTask):  # their text may name the place
            return "", f"commit {commit} is not in repository {repository[:80]!r}, so its tasks could not run again"

    def _image(self, name: str) -> ResolvedImage:
        if not name:
            return ResolvedImage("", None, NO_IMAGE)
        text = self._manifest(name) or self._stored_manifest(name)
        if not text:
            return ResolvedImage("", None, f"no manifest of {name[:80]} is known, so neither which image it is")
        archives = [path for path, _ in parse_manifest(text).files() if path.endswith(".tar")]
        ids = [path.removesuffix(".tar") for path in archives if path.startswith(CONTENT_ID)]
        if len(ids) != 1:
            return ResolvedImage("", None, FIRST_FORMAT if archives else f"{name[:80]} holds no image")
        return ResolvedImage(ids[0], {"image": ids[0]})

    def _stored_manifest(self, name: str) -> str:
        try:
            return self._store.manifest_text(name)
        except (StoreFull, StoreUnreachable):
            raise
        except StoreError:
            return ""


def _no_images(name: str) -> ResolvedImage:
    raise BadTask("image", name)
