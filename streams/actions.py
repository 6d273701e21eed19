"""How a process says what happened: a line with the moment, the process, the action, and what is known of it."""

import time
from collections.abc import Mapping

INFO = "info"


def moment() -> str:
    """Now, as lines have it: UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def words(now: str, process: str, action: str, level: str, values: Mapping[str, str]) -> str:
    """The line, with its end. Values that are empty are left out, and `level` where it is INFO."""
    known = [f"{key}={value if ' ' not in value else repr(value)}" for key, value in values.items() if value]
    return " ".join([now, process, action, *([] if level == INFO else [f"level={level}"]), *known]) + "\n"
