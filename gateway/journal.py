"""What a long-running process says: short lines of `key=value` on standard error; with --json, on standard output."""

import sys
import threading
import time
from collections.abc import Iterable

import orjson

from gateway.problems import one_line


class Journal:
    """The events of the process `name`. Used by any thread."""

    def __init__(self, name: str, *, as_json: bool) -> None:
        self._name = name
        self._as_json = as_json
        self._lock = threading.Lock()

    def say(self, event: str, **fields: object) -> None:
        """One event, and what there is to know of it; a list of things is written as one word."""
        values = {key: _text(value) for key, value in fields.items()}
        words = [f"{key}={value if ' ' not in value else repr(value)}" for key, value in values.items() if value]
        with self._lock:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            sys.stderr.write(" ".join([now, self._name, event, *words]) + "\n")  # one write: others write there too
            sys.stderr.flush()
            if self._as_json:
                line = {"process": self._name, "event": event} | values
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                sys.stdout.buffer.flush()


def _text(value: object) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return one_line(str(value))
    return ",".join(sorted(str(one) for one in value))
