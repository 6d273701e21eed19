"""The key that running tasks' tokens are signed with: the executor's and the API's, in a file that both can read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from coordinator.signedtoken import KEY_BYTES
from gateway.config import Config
from gateway.problems import Refused


def task_key(config: Config) -> bytes:
    """The key, from its file; made there if it is not. Refused names the file."""
    named = config.executor.token_key
    file = Path(named).expanduser() if named else config.folders.data / "task-token.key"
    try:
        if not file.exists():
            _make(file)
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        reason = f"{file} can't be read as a key ({error}): remove it to have one made"
        raise Refused(f"executor.token_key: {reason}") from error
    if len(key) < KEY_BYTES:
        raise Refused(f"executor.token_key: {file} holds less than {KEY_BYTES} bytes in hexadecimal digits")
    return key


def _make(file: Path) -> None:
    """Whole or not at all, and the first one stays."""
    with NamedTemporaryFile("w", dir=file.parent, prefix=f"{file.name}.") as draft:  # for its owner alone
        draft.write(secrets.token_hex(KEY_BYTES) + "\n")
        draft.flush()
        with suppress(FileExistsError):  # somebody else was faster
            os.link(draft.name, file)
