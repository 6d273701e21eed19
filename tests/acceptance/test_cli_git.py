"""Code from git: with the git binary and with dulwich, from a path and from a URL, one commit and the same bytes."""

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway import git
from gateway.problems import Refused

pytestmark = pytest.mark.needs("git")
AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")


def run_git(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["git", *AUTHOR, *arguments], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Source(NamedTuple):
    """A repository with two commits; `v1` is the first, `main` the second."""

    path: Path
    first: str
    second: str


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Source:
    root = tmp_path_factory.mktemp("git") / "a repository"
    (root / "sub").mkdir(parents=True)
    run_git("init", "-q", "-b", "main", cwd=root)
    (root / "text.txt").write_bytes(b"line\n$Id$\n")
    (root / "sub" / "b").write_text("x")
    (root / "link").symlink_to("sub/b")
    (root / "sub" / "link").symlink_to("../link")
    (root / ".gitattributes").write_text("*.txt text eol=crlf ident export-subst\nsub export-ignore\n")
    run_git("add", ".", cwd=root)
    run_git("commit", "-qm", "one", cwd=root)
    run_git("tag", "-a", "v1", "-m", "x", cwd=root)
    run_git("commit", "-q", "--allow-empty", "-m", "two", cwd=root)
    (root / "text.txt").write_text("not committed")
    return Source(root, run_git("rev-parse", "HEAD~1", cwd=root), run_git("rev-parse", "HEAD", cwd=root))


@pytest.fixture(params=["git", "dulwich"])
def with_or_without_git(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "dulwich":
        monkeypatch.setenv("PATH", str(tmp_path / "nothing here"))
    return str(request.param)


def exported(repository: str, revision: str, tmp_path: Path) -> tuple[str, dict[str, bytes]]:
    target = tmp_path / "tree"
    shutil.rmtree(target, ignore_errors=True)
    with git.open_repository(repository, tmp_path / "cache", revision) as found:
        commit = found.resolve(revision)
        git.export(found, commit, target)
    files = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    return commit, files


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("revision", ["main", "v1", "HEAD", "full"])
def test_a_revision_is_one_commit_and_its_bytes(
    repository: Source, scheme: str, revision: str, with_or_without_git: str, tmp_path: Path
) -> None:
    asked = repository.first if revision == "full" else revision
    place = repository.path.as_uri() if scheme else str(repository.path)
    commit, files = exported(place, asked, tmp_path)
    assert commit == (repository.first if revision in ("v1", "full") else repository.second)
    assert files == {
        ".gitattributes": (repository.path / ".gitattributes").read_bytes(),
        "text.txt": b"line\n$Id$\n",
        "sub/b": b"x",
        "link": b"x",
        "sub/link": b"x",
    }


@pytest.mark.parametrize("revision", ["nope", "--help", "deadbeef", "v1:text.txt", ""])
def test_an_unknown_commit_is_refused_by_name(
    repository: Source, revision: str, with_or_without_git: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="commit: ") as refused:
        exported(str(repository.path), revision, tmp_path)
    assert repr(revision) in str(refused.value)


def test_a_range_names_its_commits_as_git_counts_them(
    repository: Source, with_or_without_git: str, tmp_path: Path
) -> None:
    with git.open_repository(str(repository.path), tmp_path, "main") as found:
        assert git.commits_of(found, "main", 9) == [repository.second]
        assert git.commits_of(found, "v1..main", 9) == [repository.second]
        assert git.commits_of(found, "v1..", 1) == [repository.second]
        with pytest.raises(Refused, match="names none"):
            git.commits_of(found, "main..v1", 9)
        with pytest.raises(Refused, match="names more than 0"):
            git.commits_of(found, "v1..main", 0)


@pytest.mark.parametrize("place", ["/nothing/here", "ext::sh -c true", "-x", "http://127.0.0.1:1/x"])
def test_what_is_no_repository_is_refused(place: str, with_or_without_git: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^repository: "):
        exported(place, "main", tmp_path)


def test_a_folder_that_is_no_repository(with_or_without_git: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a git repository"):
        exported(str(tmp_path), "main", tmp_path)


@pytest.mark.parametrize("leads_to", ["/etc/passwd", "../outside", "nothing", "itself"])
def test_a_link_out_of_the_tree_is_refused(leads_to: str, with_or_without_git: str, tmp_path: Path) -> None:
    root = tmp_path / "linked"
    root.mkdir()
    environment = os.environ | {"PATH": os.defpath}
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"]):
        if command[0] == "add":
            (root / "itself").symlink_to(leads_to)
        subprocess.run(["git", *AUTHOR, *command], cwd=root, check=True, env=environment)
    with pytest.raises(Refused, match="itself is a link"):
        exported(str(root), "main", tmp_path)


def test_a_copy_that_has_the_commit_needs_no_network(
    repository: Path, with_or_without_git: str, tmp_path: Path
) -> None:
    moving = tmp_path / "moving"
    shutil.copytree(repository.path, moving, symlinks=True)
    commit, _ = exported(f"file://{moving}", "v1", tmp_path)
    shutil.rmtree(moving)
    assert exported(f"file://{moving}", commit, tmp_path)[0] == commit
    with pytest.raises(Refused, match="repository: "):
        exported(f"file://{moving}", "v1", tmp_path)


SECRET = "hunter2"


class Private(SimpleHTTPRequestHandler):
    """Files below a folder, for who says who they are."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(f'ada:{SECRET}'.encode()).decode()}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def private(repository: Source, tmp_path: Path) -> Iterator[str]:
    """URL of a repository that wants a login."""
    bare = tmp_path / "served" / "private.git"
    run_git("clone", "-q", "--bare", str(repository.path), str(bare), cwd=tmp_path)
    run_git("update-server-info", cwd=bare)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Private, directory=str(bare.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/private.git"
        server.shutdown()
        thread.join()


def test_a_private_repository_is_fetched_by_a_login_that_git_alone_knows(
    private: str, repository: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(Refused, match=rf"repository: {private}: git says: .*(Username|Authentication)"):
        exported(private, "v1", tmp_path)
    helper = f"!f() {{ echo username=ada; echo password={SECRET}; }}; f"
    run_git("config", "--global", "credential.helper", helper, cwd=tmp_path)
    commit, files = exported(private, "v1", tmp_path)
    assert (commit, files["text.txt"]) == (repository.first, b"line\n$Id$\n")
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if SECRET.encode() in file.read_bytes()]
