"""What a job sent to the API names, looked up: repositories by name, content by hash, no path of this machine."""

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


class ApiResolver(FileResolver):
    """A Resolver for what this caller asks. What they may not see does not exist for them."""

    def __init__(self, caller: Caller, cache: Path, images: ImageResolver) -> None:
        super().__init__(caller.service.store, Path("job"), cache, images, lambda _, __: None)
        self._caller = caller

    def code(self, repository: str, commit: str) -> ResolvedCode:
        """A commit, branch or tag of a repository that was made known under this name."""
        seen = self._caller.sight
        with self._caller.service.rows() as connection:
            location = registry.repository(connection, seen, repository)
        if location is None:
            raise BadTask("repository", f"there is no repository {repository[:80]!r} that you may read")
        try:
            with git.open_repository(location, self._cache / "repositories", commit or "HEAD") as found:
                full = found.resolve(commit or "HEAD")
                return ResolvedCode(commit=full, code=self._tree_of(found, full), component={"commit": full})
        except Refused as error:  # its text may name the place
            named = f"{commit[:80]!r} is no commit, branch or tag of {repository[:80]!r}, or can't be read"
            raise BadTask("script_version", named) from error

    def input(self, field: str, reference: str) -> str:
        """Content by its hash."""
        self._require(field, reference)
        return super().input(field, reference)

    def path(self, field: str, reference: str) -> str:
        """`PDH/path` narrowed to what it leads to."""
        self._require(field, reference)
        return super().path(field, reference)

    def _require(self, field: str, reference: str) -> None:
        known = split_reference(reference)
        if known is None or not may_read_content(self._caller, known[0]):
            raise BadTask(field, f"{reference[:80]!r} is no content that you may read")
