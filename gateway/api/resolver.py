"""What a job sent to the API names, looked up: repositories by name, content by hash, no path of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.canonical import BadTask
from coordinator.locators import split_reference
from coordinator.resolver import ResolvedCode
from gateway import git
from gateway.api.collections import may_read_content
from gateway.api.service import Caller
from gateway.problems import Refused
from gateway.resolve import FileResolver, ImageResolver
from readmodel import registry

MOST_COMMITS = 100_000  # of a range, all of which a query names


class ApiResolver(FileResolver):
    """A Resolver for what this caller asks. What they may not see does not exist for them."""

    def __init__(self, caller: Caller, cache: Path, images: ImageResolver) -> None:
        super().__init__(caller.service.store, Path("job"), cache, images, lambda _, __: None)
        self._caller = caller

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """A commit, branch or tag of a repository that was made known under this name."""
        with self._opened(repository, commit) as found:
            full = found.resolve(commit or "HEAD")
            return ResolvedCode(commit=full, code=self._tree_of(found, full), component={"commit": full})

    def commits(self, repository: str, minimum: str, maximum: str, excluded: list[str]) -> list[str]:
        """Full commits from `minimum` (empty: from `maximum`) to `maximum`, both included, less the excluded. BadTask.

        An excluded commit in full need not be there; a branch or tag must.
        """
        moving = [one for one in (minimum, maximum, *excluded) if one and not git.is_full_commit(one)]
        with self._opened(repository, moving[0] if moving else maximum) as found:
            last = _resolved(found, "script_version", maximum)
            first = _resolved(found, "minimum_script_version", minimum) if minimum else last
            left_out = {
                one if git.is_full_commit(one) else _resolved(found, "exclude_script_versions", one) for one in excluded
            }
            commits = [*found.between(first, last, MOST_COMMITS), first]
        if len(commits) > MOST_COMMITS:
            raise BadTask("minimum_script_version", f"there are {MOST_COMMITS} commits from there on, or more")
        return [commit for commit in commits if commit not in left_out]

    def input(self, field: str, reference: str) -> str:
        """Content by its hash."""
        self._require(field, reference)
        return super().input(field, reference)

    def path(self, field: str, reference: str) -> str:
        """A collection with what is at `PDH/path` alone, which who may read the whole may read by its own hash."""
        whole = self._require(field, reference)
        narrowed = super().path(field, reference)
        with self._caller.service.rows() as connection:
            registry.execute(connection, "add_proof", {"pdh": narrowed, "owner_uuid": self._caller.uuid})
            registry.execute(connection, "add_part", {"pdh": narrowed, "whole": whole})
        return narrowed

    def _require(self, field: str, reference: str) -> str:
        known = split_reference(reference)
        if known is None or not may_read_content(self._caller, known[0]):
            raise BadTask(field, f"{reference[:80]!r} is no content that you may read")
        return known[0]

    @contextmanager
    def _opened(self, repository: str, revision: str) -> Iterator[git.Repository]:
        """The repository, as far as `revision` needs it. What git says may name the place, so it is left unsaid."""
        seen = self._caller.sight
        with self._caller.service.rows() as connection:
            location = registry.repository(connection, seen, repository)
        if location is None:
            raise BadTask("repository", f"there is no repository {repository[:80]!r} that you may read")
        try:
            with git.open_repository(location, self._cache / "repositories", revision or "HEAD") as found:
                yield found
        except Refused as error:
            named = f"{revision[:80]!r} is no commit, branch or tag of {repository[:80]!r}, or can't be read"
            raise BadTask("script_version", named) from error


def resolver_of(caller: Caller) -> ApiResolver:
    """Looks up what this caller names."""
    return ApiResolver(caller, caller.service.cache, caller.service.images)


def _resolved(repository: git.Repository, field: str, revision: str) -> str:
    try:
        return repository.resolve(revision)
    except Refused as error:
        raise BadTask(field, f"{revision[:80]!r} is no commit, branch or tag of the repository") from error
