"""Code from git: a revision resolved to its full commit, and the commit's files as git stores them.

The `git` binary is used where there is one, dulwich where there is none; both give the same bytes: blobs are written
as they are, without the working tree's line-ending rules, filters or export attributes, so that a commit is the same
code on every machine. The working tree itself is never read.
"""

import errno
import fcntl
import hashlib
import os
import posixpath
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from gateway.problems import Refused, one_line

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[^/@:]+@[^/:]+:|file:")
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}")
_REMOTE_HEAD = "refs/crunch-reuse/HEAD"
_REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", f"+HEAD:{_REMOTE_HEAD}")
_TIMEOUT = 600  # seconds for one git command, a clone over the network included
_MAX_REVISION = 1024  # characters: no command's argument, and no file's name, is of any length
_NO_SUCH_NAME = (errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EINVAL)
_MAX_LINKS = 40  # as many as Linux follows


class Entry(NamedTuple):
    """A file of a commit: path, git's mode, id of its blob."""

    path: str
    mode: int
    blob: str


class Repository(Protocol):
    """A repository on this machine."""

    def resolve(self, revision: str) -> str:
        """The full commit, 40 hex digits, of a branch, tag or commit. Raises Refused."""
        ...

    def between(self, lowest: str, highest: str, most: int) -> list[str]:
        """Full commits that lead to `highest` and not to `lowest` (both full commits), newest first; at most `most`."""
        ...

    def entries(self, commit: str) -> list[Entry]:
        """All files, links and submodules of the commit."""
        ...

    def blob(self, blob: str) -> bytes:
        """The content of a blob."""
        ...

    def close(self) -> None:
        """End what was started to read it."""
        ...


def is_full_commit(revision: str) -> bool:
    """Whether `revision` is a commit's name in full, which never means another one."""
    return _FULL_COMMIT.fullmatch(revision) is not None


def is_url(repository: str) -> bool:
    """Whether `repository` is elsewhere: a URL, or `user@host:path`."""
    return _URL.match(repository) is not None


def commits_of(repository: Repository, wanted: str, most: int) -> list[str]:
    """The full commits that `A..B` names, as git counts them (not A itself), or the one that `A` names.

    Raises Refused where there are none, or more than `most`.
    """
    lowest, dots, highest = wanted.partition("..")
    if not dots:
        return [repository.resolve(wanted)]
    ends = repository.resolve(lowest or "HEAD"), repository.resolve(highest or "HEAD")
    found = repository.between(*ends, most + 1)
    if not found or len(found) > most:
        raise Refused(f"commits: {wanted[:80]!r} names {'none' if not found else f'more than {most} of them'}")
    return found


@contextmanager
def open_repository(repository: str, cache: Path, revision: str) -> Iterator[Repository]:
    """The repository at a path, or a copy below `cache` of the one at a URL, up to date as far as `revision` needs."""
    kind = _Git if shutil.which("git") else _Dulwich
    if not is_url(repository):
        if not Path(repository).is_dir():
            raise Refused(f"repository: {repository} is not a directory: give the path or URL of a git repository")
        with closing(kind(Path(repository), repository)) as found:
            yield found
        return
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = cache / f"{hashlib.sha256(repository.encode()).hexdigest()[:24]}.git"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(kind.bare(place, repository)) as copy:
            if not (is_full_commit(revision) and copy.has(revision)):
                copy.fetch(repository)
            yield copy


def export(repository: Repository, commit: str, target: Path) -> None:
    """Write the commit's files below `target`. Refused names a link that leads out of the tree."""
    entries = {entry.path: entry for entry in repository.entries(commit)}
    for entry in entries.values():
        path = target / entry.path
        if stat.S_IFMT(entry.mode) == 0o160000:  # a submodule: git archive, too, leaves an empty directory
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(repository.blob(_follow(repository, entries, entry).blob))


def _follow(repository: Repository, entries: dict[str, Entry], entry: Entry) -> Entry:
    """The file that `entry` is, or, if it is a link, leads to: a collection holds no links."""
    found = entry
    for _ in range(_MAX_LINKS):
        if not stat.S_ISLNK(found.mode):
            return found
        link = os.fsdecode(repository.blob(found.blob))
        path = posixpath.normpath(posixpath.join(posixpath.dirname(found.path), link))
        if path not in entries:
            raise Refused(f"repository: {entry.path} is a link to {link}, which is no file of the commit")
        found = entries[path]
    raise Refused(f"repository: {entry.path} is a link that leads to itself")


# --- with the git binary ------------------------------------------------------------------------------------------


class _Git:
    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._head = "HEAD"
        self._reader: subprocess.Popen[bytes] | None = None

    @classmethod
    def bare(cls, place: Path, name: str) -> "_Git":
        place.mkdir(mode=0o700, exist_ok=True)
        copy = cls(place, name)
        copy._head = _REMOTE_HEAD
        copy._run("init", "--quiet", "--bare", str(place))
        return copy

    def has(self, commit: str) -> bool:
        return self._answers("cat-file", "-e", f"{commit}^{{commit}}")

    def fetch(self, url: str) -> None:
        self._run("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--", url, *_REFSPECS)

    def resolve(self, revision: str) -> str:
        _check_length(revision, self._name)
        if not self._answers("rev-parse", "--git-dir"):
            self._run("rev-parse", "--git-dir")
        name = self._head if revision == "HEAD" else revision
        for candidate in (name, f"refs/remotes/origin/{name}"):
            if self._answers("rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{commit}}"):
                found = self._run("rev-parse", "--verify", "--end-of-options", f"{candidate}^{{commit}}")
                return found.decode().strip()
        raise _unknown(revision, self._name)

    def between(self, lowest: str, highest: str, most: int) -> list[str]:
        return self._run("rev-list", f"--max-count={most}", highest, f"^{lowest}", "--").decode().split()

    def entries(self, commit: str) -> list[Entry]:
        listing = self._run("ls-tree", "-r", "-z", "--full-tree", commit)
        return [_entry(line) for line in listing.split(b"\0") if line]

    def blob(self, blob: str) -> bytes:
        if self._reader is None:
            command = self._command("cat-file", "--batch")
            self._reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment())
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        self._reader.stdin.write(blob.encode() + b"\n")
        self._reader.stdin.flush()
        head = self._reader.stdout.readline().split()
        if len(head) != 3:
            raise Refused(f"repository: {self._name}: blob {blob} is missing: the repository is damaged or partial")
        return self._reader.stdout.read(int(head[2]) + 1)[:-1]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.communicate()

    def _answers(self, *command: str) -> bool:
        return self._call(command).returncode == 0

    def _run(self, *command: str) -> bytes:
        done = self._call(command)
        if done.returncode:
            reason = one_line(done.stderr.decode(errors="replace").removeprefix("fatal: "), 300)
            raise Refused(f"repository: {self._name}: git says: {reason}")
        return done.stdout

    def _call(self, command: tuple[str, ...]) -> "subprocess.CompletedProcess[bytes]":
        try:
            return subprocess.run(
                self._command(*command),
                capture_output=True, stdin=subprocess.DEVNULL, env=_environment(), timeout=_TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Refused(f"repository: {self._name}: git gave no answer in {_TIMEOUT} s") from error

    def _command(self, *command: str) -> list[str]:
        return ["git", "-C", str(self._path), *command]


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**clean, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1"}


def _entry(line: bytes) -> Entry:
    head, _, path = line.partition(b"\t")
    mode, _, blob = head.split(b" ")
    return Entry(os.fsdecode(path), int(mode, 8), blob.decode())


def _unknown(revision: str, name: str) -> Refused:
    return Refused(f"commit: {revision[:_MAX_REVISION]!r} is no branch, tag or commit of {name}")


def _check_length(revision: str, name: str) -> None:
    if len(revision) > _MAX_REVISION:
        raise _unknown(revision, name)


# --- with dulwich -------------------------------------------------------------------------------------------------


class _Dulwich:
    def __init__(self, path: Path, name: str) -> None:
        from dulwich.errors import NotGitRepository
        from dulwich.repo import Repo

        self._name = name
        self._head = "HEAD"
        try:
            self._repo = Repo.discover(str(path))
        except NotGitRepository as error:
            raise Refused(f"repository: {name} is not a git repository") from error

    @classmethod
    def bare(cls, place: Path, name: str) -> "_Dulwich":
        from dulwich.repo import Repo

        if not (place / "HEAD").exists():
            Repo.init_bare(str(place), mkdir=not place.exists())
        copy = cls(place, name)
        copy._head = _REMOTE_HEAD
        return copy

    def has(self, commit: str) -> bool:
        return commit.encode() in self._repo

    def fetch(self, url: str) -> None:
        from dulwich.client import get_transport_and_path

        try:
            client, path = get_transport_and_path(_local_path(url) or url, quiet=True)
            refs = client.fetch(path, self._repo).refs
        except Exception as error:  # dulwich lets through what its transports raise, from urllib3's to ssh's
            raise Refused(f"repository: {url} can't be fetched: {one_line(str(error) or repr(error), 300)}") from error
        for name, commit in refs.items():
            local = _REMOTE_HEAD.encode() if name == b"HEAD" else name
            if commit is not None and local.startswith(b"refs/") and not local.endswith(b"^{}"):
                self._repo[local] = commit

    def resolve(self, revision: str) -> str:
        from dulwich.objectspec import parse_commit

        _check_length(revision, self._name)
        if not revision:
            raise _unknown(revision, self._name)
        try:
            return parse_commit(self._repo, self._head if revision == "HEAD" else revision).id.decode()
        except (KeyError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_SUCH_NAME:
                raise
            raise _unknown(revision, self._name) from error

    def between(self, lowest: str, highest: str, most: int) -> list[str]:
        from dulwich.objects import ObjectID

        ends = [ObjectID(commit.encode()) for commit in (highest, lowest)]
        walked = self._repo.get_walker(ends[:1], exclude=ends[1:], max_entries=most)
        return [entry.commit.id.decode() for entry in walked]

    def entries(self, commit: str) -> list[Entry]:
        from dulwich.object_store import iter_tree_contents
        from dulwich.objects import Commit

        found = self._repo[commit.encode()]
        assert isinstance(found, Commit)
        return [
            Entry(os.fsdecode(entry.path), entry.mode, entry.sha.decode())
            for entry in iter_tree_contents(self._repo.object_store, found.tree)
        ]

    def blob(self, blob: str) -> bytes:
        return self._repo[blob.encode()].as_raw_string()

    def close(self) -> None:
        self._repo.close()


def _local_path(url: str) -> str:
    """The path of a file: URL, without its percent signs, which dulwich takes as they are; empty for any other."""
    parts = urlsplit(url)
    return url2pathname(parts.path) if parts.scheme == "file" else ""
