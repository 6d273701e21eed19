"""Where things are kept on this machine, and how a folder is known to be ours."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from gateway.problems import Refused

APP = "crunch-reuse"
MARKER = "crunch-reuse-data"
_SOCKET_PATH_LIMIT = 103  # bytes without the final NUL: macOS has 104, Linux 108
_LONGEST_SOCKET_NAME = len("/sockets/0123456789abcdef.sock")


def default_data_folder() -> Path:
    """The folder of this user's data: `~/.local/share/crunch-reuse`, or what XDG_DATA_HOME says."""
    return Path(PlatformDirs(APP, appauthor=False).user_data_dir)


def default_config_file() -> Path:
    """This user's configuration file: `~/.config/crunch-reuse/config.toml`, or where XDG_CONFIG_HOME says."""
    return Path(PlatformDirs(APP, appauthor=False).user_config_dir) / "config.toml"


@dataclass(frozen=True)
class Folders:
    """The places below one data folder."""

    data: Path

    @property
    def store(self) -> Path:
        """Content: blocks of inputs, code, outputs and logs."""
        return self.data / "store"

    @property
    def work(self) -> Path:
        """Where tasks run; empty between tasks."""
        return self.data / "work"

    @property
    def checkpoints(self) -> Path:
        """States of the machines: a cache of the log."""
        return self.data / "checkpoints"

    @property
    def cache(self) -> Path:
        """Copies of git repositories, and which collection a commit became."""
        return self.data / "cache"

    @property
    def lock(self) -> Path:
        """Locked by the running `up`, and by nobody else."""
        return self.data / "up.lock"

    @property
    def runtime(self) -> Path:
        """What the running `up` says of itself."""
        return self.data / "up.json"

    @property
    def marker(self) -> Path:
        """Says that the folder is ours."""
        return self.data / MARKER

    def create(self) -> None:
        """Make the data folder, private to this user. Refused where the folder is somebody else's or not writable."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.marker.exists():
                self._claim()
        except OSError as error:
            raise Refused(f"data folder {self.data}: {error.strerror}: name another with --data-dir") from error

    def _claim(self) -> None:
        if any(self.data.iterdir()):
            raise Refused(
                f"data folder {self.data} is not empty and was not made by {APP}: name another with --data-dir"
            )
        self.marker.write_text(f"This folder was made by {APP}; `{APP} uninstall` removes it.\n")

    def sockets(self) -> Path:
        """A private folder for Unix sockets: in the data folder, or, where that path is too long for one, in /tmp.

        The fallback's name is derived from the data folder, so that every process finds the same one.
        """
        beside = self.data / "run"
        if len(os.fsencode(beside)) + _LONGEST_SOCKET_NAME <= _SOCKET_PATH_LIMIT:
            beside.mkdir(mode=0o700, exist_ok=True)
            return beside
        short = self.short_socket_folder()
        short.mkdir(mode=0o700, exist_ok=True)
        _check_private(short)
        return short

    def short_socket_folder(self) -> Path:
        """The folder for sockets where the data folder's path is too long."""
        name = hashlib.sha256(os.fsencode(self.data.absolute())).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}-{name}"


def _check_private(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise Refused(
            f"{folder} is not a private folder of this user: remove it, or use a --data-dir with a shorter path"
        )
