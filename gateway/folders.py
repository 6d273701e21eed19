"""Where things are kept on this machine, and how a folder is known to be ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import PlatformDirs

from gateway.problems import Refused

if TYPE_CHECKING:
    from store.keep import Cluster

APP = "crunch-reuse"
MARKER = "crunch-reuse-data"


def default_data_folder() -> Path:
    """The folder of this user's data: `~/.local/share/crunch-reuse`, or what XDG_DATA_HOME says."""
    return Path(PlatformDirs(APP, appauthor=False).user_data_dir)


def default_config_file() -> Path:
    """This user's configuration file: `~/.config/crunch-reuse/config.toml`, or where XDG_CONFIG_HOME says."""
    return Path(PlatformDirs(APP, appauthor=False).user_config_dir) / "config.toml"


@dataclass(frozen=True)
class RemoteStore:
    """A store that is reached over HTTP: the address of an API, and files with what opens it."""

    url: str
    token: Path | None
    certificate: str
    signing_key: Path | None
    signing_ttl: int
    replicas: int

    def cluster(self) -> "Cluster":
        """It, with what stands in the files. Raises Refused."""
        from store.keep import Cluster

        if not self.url.startswith("https://") or self.token is None:
            raise Refused("store.url: give https://HOST:PORT, and in store.token the file with a token")
        return Cluster(
            api=self.url.rstrip("/"),
            token=_text("store.token", self.token),
            certificate=self.certificate,
            signing_key=_text("store.signing_key", self.signing_key).encode() if self.signing_key else b"",
            signing_ttl=self.signing_ttl,
            replicas=self.replicas,
        )


def _text(key: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise Refused(f"{key}: {file}: {error.strerror}") from error


@dataclass(frozen=True)
class Folders:
    """The places below one data folder, the two that machines may share instead, and a store that is elsewhere."""

    data: Path
    shared_store: Path | None = None
    shared_snapshots: Path | None = None
    remote_store: RemoteStore | None = None

    @property
    def store(self) -> Path:
        """Content: blocks of inputs, code, outputs and logs."""
        return self.shared_store or self.data / "store"

    @property
    def work(self) -> Path:
        """Where tasks run; empty between tasks."""
        return self.data / "work"

    @property
    def checkpoints(self) -> Path:
        """States of the machines: a cache of the log."""
        return self.shared_snapshots or self.data / "checkpoints"

    def state(self, process: str) -> Path:
        """The machines' state that a coordinator of this name has at hand: its own, and a cache too."""
        return self.data / "state" / process

    @property
    def executors(self) -> Path:
        """Where tasks run that executors of this machine were given, a folder for each node's name."""
        return self.data / "executors"

    @property
    def processes(self) -> Path:
        """What each process of this machine says of itself."""
        return self.data / "processes"

    @property
    def cache(self) -> Path:
        """Copies of git repositories, and which collection a commit became."""
        return self.data / "cache"

    @property
    def api(self) -> Path:
        """The API's certificate and key, and the token of who runs `up`."""
        return self.data / "api"

    @property
    def runtime(self) -> Path:
        """What the running `up` says of itself."""
        return self.data / "up.json"

    @property
    def marker(self) -> Path:
        """Says that the folder is ours."""
        return self.data / MARKER

    @property
    def unfinished(self) -> Path:
        """Says that a backup is being restored into the folder, or that this was interrupted."""
        return self.data / "restore-unfinished"

    def create(self) -> None:
        """Make the data folder, private to this user. Refused where the folder is somebody else's or not writable."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.marker.exists():
                self._claim()
            if self.unfinished.exists():
                raise Refused(f"data folder {self.data}: a restore into it was interrupted: remove it, restore anew")
        except OSError as error:
            raise Refused(f"data folder {self.data}: {error.strerror}: name another with --data-dir") from error

    def _claim(self) -> None:
        is_empty = not any(self.data.iterdir())
        if not is_empty and not self.marker.exists():  # who begins beside us makes it before anything else
            raise Refused(
                f"data folder {self.data} is not empty and was not made by {APP}: name another with --data-dir"
            )
        self.marker.write_text(f"This folder was made by {APP}; `{APP} uninstall` removes it.\n")
