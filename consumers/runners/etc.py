"""What a sandbox shows as /etc: the few settings of the host that its programs need to start, and accounts of its own.

It is a copy in one folder. Shown one by one they were a dozen mounts, each of which takes a part of a millisecond, for
every task. An executor begins with none: one that was made before a power cut may not be whole.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from consumers.runners.sandbox import HOSTNAME, USER

HOST = Path("/etc")
LOOK = 10.0  # seconds between two looks at whether the host's have changed
_SETTINGS = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "perl",
    "python3*",
    "R",
    "java-*",
    "mime.types",
)
_OTHERS_TOO = (PermissionError, FileNotFoundError)
_ACCOUNTS = {
    "passwd": f"crunch:x:{USER}:{USER}::/scratch/work:/bin/sh\n",
    "group": f"crunch:x:{USER}:\n",
    "hosts": f"127.0.0.1 localhost {HOSTNAME}\n",
}


class Etc:
    """Copies below `parent`, each named after what it is a copy of; from any thread, for any number of processes."""

    def __init__(self, parent: Path, host: Path = HOST) -> None:
        self._parent = parent
        self._host = host
        self._lock = threading.Lock()
        self._looked = 0.0
        self._current = Path()

    def folder(self) -> Path:
        """The host's settings as they were at most LOOK seconds ago. Raises OSError."""
        with self._lock:
            if not self._looked or time.monotonic() > self._looked + LOOK:
                self._current = self._made()
                self._looked = time.monotonic()
            return self._current

    def _made(self) -> Path:
        made = self._parent / _state(self._host)
        if not made.is_dir():
            self._parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=self._parent))
            try:
                _copy(self._host, draft)
                draft.chmod(0o755)
                draft.rename(made)
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)
                if not made.is_dir():  # else somebody else was faster
                    raise
        return made


def _settings(host: Path) -> list[Path]:
    return [path for pattern in _SETTINGS for path in sorted(host.glob(pattern))]


def _state(host: Path) -> str:
    """Changes with whatever changes in them."""
    seen = sha256(repr(_ACCOUNTS).encode())
    for path in _settings(host):
        for each in (path.resolve(), *_below(path)):
            with suppress(*_OTHERS_TOO):
                info = each.lstat()
                seen.update(f"{each} {info.st_mode} {info.st_size} {info.st_mtime_ns} {info.st_ino}\n".encode())
    return seen.hexdigest()[:32]


def _below(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*sorted(folders), *sorted(files)))


def _copy(host: Path, into: Path) -> None:
    for path in _settings(host):
        with suppress(*_OTHERS_TOO):
            _copy_tree(path.resolve(), into / path.name)
    for name, text in _ACCOUNTS.items():
        (into / name).write_text(text)


def _copy_tree(source: Path, target: Path) -> None:
    """Links stay links. What we may not read, or what has gone meanwhile, no task could read either."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        for each in source.iterdir():
            with suppress(*_OTHERS_TOO):
                _copy_tree(each, target / each.name)
    elif source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
