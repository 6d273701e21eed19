"""Our own Postgres on a data folder: first and later starts, what a kill leaves behind, and folders that are odd."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from streams.account import choose_account
from streams.embedded import EmbeddedError, EmbeddedPostgres, data_folder, end_left_over, running
from streams.lockfile import FolderInUse, FolderLock
from tests.support.log_server import end_server, pid_of_server, processes_in

TIMEOUT = 60


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A data folder of Postgres that was made and never used."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-log-") as name:
        with EmbeddedPostgres(Path(name)):
            pass
        yield Path(name) / "postgres"


@pytest.fixture
def folder(made_once: Path, tmp_path: Path) -> Path:
    """A data folder whose Postgres is made, and has not run."""
    shutil.copytree(made_once, tmp_path / "data" / "postgres")
    return tmp_path / "data"


def execute(dsn: str, statement: str) -> list[tuple]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def socket_folder(dsn: str) -> Path:
    return Path(str(conninfo_to_dict(dsn)["host"]))


def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as dsn:
        execute(dsn, "create table t as select 42 as answer")
    with EmbeddedPostgres(tmp_path) as dsn:
        assert execute(dsn, "select answer from t") == [(42,)]


def test_a_stop_leaves_no_process_and_may_be_repeated(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with server as dsn:
        assert running(folder) == dsn
        assert len(processes_in(server.data)) > 1
    assert processes_in(server.data) == []
    assert running(folder) is None
    server.stop()


def test_a_stop_does_not_wait_for_clients(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with closing(psycopg.connect(server.start())) as idle:
        idle.execute("select 1")
        server.stop()
        assert processes_in(server.data) == []


def test_its_settings_make_what_is_acknowledged_durable_and_the_network_out_of_reach(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn:
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
        }.items():
            assert execute(dsn, f"show {name}") == [(value,)]
        assert socket_folder(dsn).stat().st_mode & 0o077 == 0


# --- What a kill leaves behind ----------------------------------------------------------------------------------------

STARTS_AND_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from streams.embedded import EmbeddedPostgres
from streams.lockfile import FolderLock
folder = Path(sys.argv[1])
lock = FolderLock(folder)
server = EmbeddedPostgres(folder)
print(server.start(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_left_by_a_killed_process_is_used_as_it_is(folder: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", STARTS_AND_IS_KILLED, str(folder)], capture_output=True, text=True, timeout=TIMEOUT
    )
    assert killed.returncode == -signal.SIGKILL
    server = EmbeddedPostgres(folder)
    left = pid_of_server(server.data)
    with FolderLock(folder), server as dsn:
        assert dsn == killed.stdout.strip()
        assert pid_of_server(server.data) == left
        assert execute(dsn, "select 1") == [(1,)]
    assert processes_in(server.data) == []


def test_a_server_that_is_left_over_is_ended_unless_somebody_owns_it_now(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    dsn = server.start()
    left = pid_of_server(server.data)
    end_left_over(folder, left + 1)
    with FolderLock(folder):
        end_left_over(folder, left)
    assert execute(dsn, "select 1") == [(1,)]
    ended = os.pidfd_open(left)
    end_left_over(folder, left)
    assert select.select([ended], [], [], TIMEOUT)[0]
    os.close(ended)
    assert "fast shutdown" in (server.data / "server.log").read_text()
    end_left_over(folder, left)
    server.stop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_server_that_was_killed_starts_again(folder: Path, how: signal.Signals) -> None:
    server = EmbeddedPostgres(folder)
    execute(server.start(), "create table t as select 42 as answer")
    end_server(server.data, how)
    with server as dsn:
        assert execute(dsn, "select answer from t") == [(42,)]


def test_a_server_that_is_frozen_is_ended_and_started_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.embedded.ANSWER_SECONDS", 2)
    monkeypatch.setattr("streams.embedded.ENDS", (("fast", "30"), ("immediate", "1")))
    server = EmbeddedPostgres(folder)
    server.start()
    frozen = pid_of_server(server.data)
    os.kill(frozen, signal.SIGSTOP)
    with EmbeddedPostgres(folder) as dsn:
        assert execute(dsn, "select 1") == [(1,)]
        assert pid_of_server(server.data) != frozen


def test_a_process_with_the_servers_old_number_is_left_alone(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with server:
        said = (server.data / "postmaster.pid").read_text()
    lines = said.splitlines()
    (server.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert running(folder) is None
    with server as dsn:
        assert execute(dsn, "select 1") == [(1,)]


def test_a_folder_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as dsn:
        assert execute(dsn, "select 1") == [(1,)]
    assert not half.exists()


# --- Odd folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 120, "with 'single', \"double\" and $(touch escaped) quotes", "käse und brot"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    server = EmbeddedPostgres(tmp_path / name)
    with server as dsn:
        assert execute(dsn, "select 1") == [(1,)]
        sockets = socket_folder(dsn)
        assert sockets.stat().st_mode & 0o077 == 0
        assert running(tmp_path / name) == dsn
    assert sockets == server.data or not sockets.exists()
    assert not list(tmp_path.rglob("escaped"))


def test_a_folder_for_sockets_that_is_open_to_others_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = EmbeddedPostgres(deep)
    with server as dsn:
        sockets = socket_folder(dsn)
    sockets.mkdir(mode=0o755)
    sockets.chmod(0o755)
    with pytest.raises(EmbeddedError, match="is open to others"), server:
        pass


def test_a_folder_of_another_version_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with server:
        pass
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="was made by Postgres 16, ours is 18"):
        server.start()


def test_a_server_that_does_not_start_says_why_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.embedded.PAUSES", (0.0,))
    server = EmbeddedPostgres(folder)
    with server:
        pass
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match=r"does not start: .*no_such_setting|does not start: .*FATAL") as error:
        server.start()
    assert "\n" not in str(error.value)


def test_a_folder_that_can_not_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="can't make"):
        EmbeddedPostgres(tmp_path / "file").start()


@pytest.mark.needs("root")
def test_root_without_namespaces_runs_it_under_an_account() -> None:
    account = choose_account(namespaces=False)
    assert account.switch
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-log-") as name:  # closed to others, as root's own folders are
        folder = Path(name) / "data"
        with EmbeddedPostgres(folder, account) as dsn:
            assert execute(dsn, "create table t as select 42 as answer") == []
            assert data_folder(folder).stat().st_uid == account.user != 0
        with EmbeddedPostgres(folder, choose_account()) as dsn:
            assert execute(dsn, "select answer from t") == [(42,)]
            assert data_folder(folder).stat().st_uid == choose_account().user


# --- One process at a time --------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_refused_by_name_and_process(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUse) as error:
        FolderLock(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert f"process {os.getpid()}" in str(error.value)
    FolderLock(tmp_path).release()


def test_a_killed_process_holds_no_folder_nor_does_the_server_it_left(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", STARTS_AND_IS_KILLED, str(folder)], capture_output=True, timeout=TIMEOUT)
    assert running(folder)
    with FolderLock(folder):
        EmbeddedPostgres(folder).stop()
