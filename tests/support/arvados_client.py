"""The Arvados Python client that the store is compared with: the last one but a few that speaks the jobs API.

It is installed once into a cache folder, apart from everything else, and runs in a process of its own that sees only
that folder and the standard library. Its wish for old versions of its dependencies is therefore nobody else's concern.
"""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import platformdirs

CLIENT = "arvados-python-client==2.2.2"
# It imports pkg_resources, which later ones no longer have.
WITH_IT = "setuptools<70"
PROBE = Path(__file__).with_name("arvados_probe.py")


@functools.cache
def why_missing() -> str | None:
    """Why the client can't be had here, in one line; None if it is installed, which is tried now."""
    try:
        client_folder()
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        return f"{CLIENT} could not be installed: {lines[-1] if lines else error}"
    return None


def client_folder() -> Path:
    """The folder with the client and what it needs, for this interpreter."""
    cache = platformdirs.user_cache_path("crunch-reuse-tests")
    folder = cache / f"arvados-2.2.2-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            new = Path(made) / "client"
            command = [*_installer(), "--quiet", "--target", str(new), CLIENT, WITH_IT]
            subprocess.run(command, check=True, capture_output=True, text=True)
            _move(new, folder)
    return folder


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]


def _move(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # another test run may have been faster
            raise


class ArvadosClient:
    """The client at work: each method is what it makes of something, None where it refuses."""

    def __init__(self) -> None:
        folder = client_folder()
        # -S: no site-packages, so that nothing of ours is mixed up with it. No settings of the user's either.
        environment = {"PYTHONPATH": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"]}
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-W", "ignore", PROBE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def normalise(self, text: str) -> str | None:
        """The normalised manifest, without hints."""
        return self._ask("normalise", text=text)

    def portable_data_hash(self, text: str) -> str | None:
        """The portable data hash it computes of the normalised manifest."""
        return self._ask("portable_data_hash", text=text)

    def files(self, text: str) -> dict[str, int] | None:
        """Path to size."""
        return self._ask("files", text=text)

    def read(self, keep: str, text: str) -> dict[str, bytes] | None:
        """Path to content, the blocks fetched from the Keep server at this address."""
        contents = self._ask("read", keep=keep, text=text)
        return contents and {path: bytes.fromhex(content) for path, content in contents.items()}

    def write(self, keep: str, files: dict[str, bytes], *, packed: bool) -> str:
        """Write a collection to that Keep server, with the files in blocks of their own or packed; the manifest."""
        return self._ask("write", keep=keep, files={path: data.hex() for path, data in files.items()}, packed=packed)

    def _ask(self, question: str, **about: object) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"question": question, **about}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        return answer.get("answer")
