"""What a job file names, looked up: code, image and inputs become content in the store, named by hash.

Paths are relative to the job file. Code without a commit is taken as it stands: the folder's files, without what
version control and Python leave there, and without the job file itself, which is no part of what it asks for.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedCode, ResolvedImage
from gateway import git
from store.collections import CollectionStore
from store.environment import host_identity
from store.errors import BlockMissing, StoreError, StoreFull, StoreUnreachable
from store.locator import split_reference
from store.source import Limits

NOT_CODE = frozenset({".git", ".hg", ".svn", "__pycache__"})
MOST_CODE = Limits(max_bytes=256 * 2**20, max_entries=20_000)

ImageResolver = Callable[[str], ResolvedImage]  # raises BadTask; made by the wiring
Progress = Callable[[str, int], None]  # what is being put into the store, and bytes of it that are there


class FileResolver:
    """A Resolver for the job file `file`. `images` resolves names of images; `cache` is a folder for git's copies.

    `progress` is told of each block that is in the store. What does not exist is a BadTask naming the field.
    """

    def __init__(
        self, store: CollectionStore, file: Path, cache: Path, images: ImageResolver, progress: Progress
    ) -> None:
        self._store = store
        self._file = file.absolute()
        self._cache = cache
        self._images = images
        self._progress = progress

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """A commit of a git repository, or, where no commit is named, the files of a folder as they are."""
        if not commit and not git.is_url(repository):
            return self._plain(self._place(repository))
        place = repository if git.is_url(repository) else str(self._place(repository))
        with git.open_repository(place, self._cache / "repositories", commit or "HEAD") as found:
            full = found.resolve(commit or "HEAD")
            return ResolvedCode(commit=full, code=self._tree_of(found, full), component={"commit": full})

    def image(self, name: str) -> ResolvedImage:
        """An image's content digest; without a name, this machine's own environment."""
        return self._images(name) if name else ResolvedImage(digest="", component={"host": host_identity()})

    def input(self, field: str, reference: str) -> str:
        """A folder's content or one file under its name, from this machine or, as `PDH[/path]`, from the store."""
        known = split_reference(reference)
        with _refusing(field):
            return self._known(*known) if known else self._saved(field, self._place(reference))

    def path(self, field: str, reference: str) -> str:
        """The PDH of a collection with what is at `PDH/path` alone."""
        known = split_reference(reference)
        assert known is not None, f"{reference} is no PDH with a path"
        with _refusing(field):
            return self._store.pruned(*known)

    def _known(self, pdh: str, path: str) -> str:
        found = self._store.subset(pdh, path)
        look = self._store.verify(found)
        if look.verdict == "missing":
            raise BlockMissing((*look.missing, *look.damaged)[0])
        return found

    def _place(self, path: str) -> Path:
        return Path(os.path.normpath(self._file.parent / Path(path).expanduser()))

    def _saved(self, field: str, place: Path) -> str:
        if not place.exists():
            raise BadTask(field, f"there is no file or folder {place}")
        done = 0

        def progress(size: int) -> None:
            nonlocal done
            done += size
            self._progress(field, done)

        if place.is_dir():
            return self._store.save_directory(place.resolve(), progress=progress).portable_data_hash
        return self._store.save_files({place.name: place.resolve()}, progress=progress).portable_data_hash

    def _plain(self, folder: Path) -> ResolvedCode:
        with _refusing("repository"):
            if not folder.is_dir():
                raise BadTask("repository", f"there is no folder {folder}")
            files = {str(path.relative_to(folder)): path for path in self._code_files(folder)}
            pdh = self._store.save_files(files, MOST_CODE).portable_data_hash
        return ResolvedCode(commit="", code=pdh, component={"tree": pdh})

    def _code_files(self, folder: Path) -> Iterator[Path]:
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name not in NOT_CODE]
            names += [name for name in folders if Path(parent, name).is_symlink()]  # the store refuses it by name
            yield from (path for name in names if (path := Path(parent, name)) != self._file)

    def _tree_of(self, repository: git.Repository, commit: str) -> str:
        """The commit's files in the store. Which collection a commit became is remembered, and looked at again."""
        note = self._cache / "commits" / commit
        if note.exists() and self._is_whole(note.read_text()):
            return note.read_text()
        with _refusing("repository"), tempfile.TemporaryDirectory(prefix="crunch-reuse-code-") as folder:
            git.export(repository, commit, Path(folder))
            pdh = self._store.save_directory(Path(folder)).portable_data_hash
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as draft:
            draft.write(pdh)
        Path(draft.name).replace(note)
        return pdh

    def _is_whole(self, pdh: str) -> bool:
        return self._store.verify(pdh).verdict == "whole"


@contextmanager
def _refusing(field: str) -> Iterator[None]:
    """What is wrong with what a field names is a BadTask; trouble of the store itself stays what it is."""
    try:
        yield
    except (StoreFull, StoreUnreachable):
        raise
    except StoreError as error:
        raise BadTask(field, str(error)) from error
