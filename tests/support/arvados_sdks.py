"""Arvados' Python SDKs, each installed once into a cache folder, apart from everything else.

Scripts and probes run in processes of their own that see only that folder and the standard library. An SDK's wish for
old versions of what it needs is therefore nobody else's concern.
"""

import functools
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

JOBS = "2.2.2"  # installs as it is, and speaks the jobs API
LAST_WITH_JOBS = "2.7.4"
NEWEST = "3.2.1"  # its helpers for scripts are gone, and collections and the tools are there
# What each is installed from, step by step.
_STEPS = {
    # It imports pkg_resources, which later setuptools no longer have.
    JOBS: ((f"arvados-python-client=={JOBS}", "setuptools<70"),),
    # It asks for a pycurl that has no wheels, so what it needs is named by hand.
    LAST_WITH_JOBS: (
        ("--no-deps", f"arvados-python-client=={LAST_WITH_JOBS}"),
        (
            *("ciso8601", "future", "pycurl", "ws4py", "setuptools<70", "protobuf<4", "pyparsing<3"),
            *("google-api-core<2.11", "google-api-python-client>=2.1,<2.90", "google-auth<2", "httplib2<0.20.2"),
            "ruamel.yaml<0.17.22",
        ),
    ),
    NEWEST: ((f"arvados-python-client=={NEWEST}",),),
}
VERSIONS = tuple(_STEPS)
# Descriptions of Google's own services, four fifths of all that is installed.
_NOT_NEEDED = "googleapiclient/discovery_cache/documents"


@functools.cache
def why_missing(*versions: str) -> str | None:
    """Why one of these can't be had here, in one line; None if they are installed, which is tried now."""
    for version in versions:
        try:
            sdk_folder(version)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines()
            return f"arvados-python-client {version} could not be installed: {lines[-1] if lines else error}"
    return None


def sdk_folder(version: str = JOBS, python: tuple[int, int] = sys.version_info[:2]) -> Path:
    """The folder with the SDK and what it needs, for this minor version of CPython."""
    cache = platformdirs.user_cache_path("crunch-reuse-tests")
    folder = cache / f"arvados-{version}-cpython-{python[0]}{python[1]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            new = Path(made) / "sdk"
            for step in _STEPS[version]:
                command = [*_installer(python), "--quiet", "--target", str(new), *step]
                subprocess.run(command, check=True, capture_output=True, text=True)
            shutil.rmtree(new / _NOT_NEEDED, ignore_errors=True)
            _move(new, folder)
    return folder


def _installer(python: tuple[int, int]) -> list[str]:
    if python != sys.version_info[:2]:
        return [sys.executable, "-m", "uv", "pip", "install", "--python-version", f"{python[0]}.{python[1]}"]
    if importlib.util.find_spec("pip") is None:
        return [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]


def _move(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # another test run may have been faster
            raise
