"""The host's own identity: what a task without an image depends on, besides its code and inputs.

Not its name, its kernel or its load: what is installed. Two nodes with the same identity are one environment, and what
one computed the other may be given. So it says the system's release, the architecture, the C library, and the versions
of the interpreters that a script may start with, as found on the path that every task gets.
"""

import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

TASK_PATH = "/usr/local/bin:/usr/bin:/bin"
INTERPRETERS = ("sh", "bash", "perl", "python3", "python2", "Rscript", "ruby", "node", "java", "julia")

_ASK_SECONDS = 20
_VERSION_ARGUMENT = {"perl": "-v"}
_VERSION = re.compile(r"\d+\.\d+[\w.+~-]*")


def host_identity() -> dict[str, str | dict[str, str]]:
    """What the environment is, as a JSON value: `system`, `architecture`, `libc`, `interpreters` (name to version).

    The first look takes as long as the slowest interpreter needs to say its version; it is taken again when one of
    their files has changed, so that a process that runs for weeks does not speak of last week's system.
    """
    return _identity(_stamp())


@lru_cache(maxsize=1)
def _identity(_stamp: tuple[tuple[int, ...], ...]) -> dict[str, str | dict[str, str]]:
    with ThreadPoolExecutor(len(INTERPRETERS)) as pool:
        versions = dict(zip(INTERPRETERS, pool.map(_version, INTERPRETERS), strict=True))
    return {
        "system": _system(),
        "architecture": platform.machine(),
        "libc": _libc(),
        "interpreters": {name: version for name, version in versions.items() if version},
    }


def host_summary() -> str:
    """The identity in one line for people: `debian 12, x86_64, python3 3.11.7`."""
    identity = host_identity()
    interpreters = identity["interpreters"]
    python = interpreters.get("python3") if isinstance(interpreters, dict) else None
    return ", ".join(filter(None, (str(identity["system"]), platform.machine(), python and f"python3 {python}")))


def _stamp() -> tuple[tuple[int, ...], ...]:
    """Changes when a program or the system's release does."""
    found = (shutil.which(name, path=TASK_PATH) for name in INTERPRETERS)
    files = [*filter(None, found), "/etc/os-release"]
    stamps = []
    for file in files:
        with suppress(FileNotFoundError):
            info = Path(file).stat()
            stamps.append((info.st_ino, info.st_size, info.st_mtime_ns))
    return tuple(stamps)


def _system() -> str:
    if platform.system() == "Darwin":
        return f"macos {platform.mac_ver()[0]}"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return f"{release.get('ID', 'linux')} {release.get('VERSION_ID', '')}".strip()


def _libc() -> str:
    # Of the running system; platform.libc_ver() would say what our own interpreter was built against.
    return (os.confstr("CS_GNU_LIBC_VERSION") or "") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""


def _version(interpreter: str) -> str | None:
    """Its version; where it says none (dash), which program it is; None if there is no such interpreter."""
    path = shutil.which(interpreter, path=TASK_PATH)
    if path is None:
        return None
    return _java_release(Path(path)) if interpreter == "java" else _says(path, interpreter)


def _java_release(path: Path) -> str:
    """From the file that every Java has beside it: starting one takes ten times as long as any other interpreter."""
    with suppress(OSError):
        release = (path.resolve().parent.parent / "release").read_text(errors="replace")
        if found := re.search(r'^JAVA_VERSION="([^"]+)"', release, re.MULTILINE):
            return found.group(1)
    return "unknown"


def _says(path: str, interpreter: str) -> str:
    command = [path, _VERSION_ARGUMENT.get(interpreter, "--version")]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            env={"PATH": TASK_PATH, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = _VERSION.search(result.stdout)
    return found.group() if found and not result.returncode else Path(path).resolve().name
