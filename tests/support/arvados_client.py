"""The Arvados Python client that the store is compared with, at work in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.arvados_sdks import sdk_folder

PROBE = Path(__file__).with_name("arvados_probe.py")


class ArvadosClient:
    """The client at work: each method is what it makes of something, None where it refuses."""

    def __init__(self) -> None:
        folder = sdk_folder()
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
