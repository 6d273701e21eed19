"""What a long-running process says: short lines of `key=value` on standard error; with --json, on standard output.

Each line has one `action`, the name of what happened, and beside it what there is to know of it.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable

import orjson

from gateway.problems import one_line
from streams.actions import INFO, moment, words


class Journal:
    """The actions of the process `name`. Used by any thread."""

    def __init__(self, name: str, *, as_json: bool) -> None:
        self._name = name
        self._as_json = as_json
        self._lock = threading.Lock()

    def say(self, action: str, *, level: str = INFO, **fields: object) -> None:
        """One action, and what there is to know of it; a list of things is written as one word."""
        values = {key: _text(value) for key, value in fields.items()}
        with self._lock:
            now = moment()
            sys.stderr.write(words(now, self._name, action, level, values))  # one write: others write there too
            sys.stderr.flush()
            if self._as_json:
                line = {"time": now, "level": level, "process": self._name, "action": action} | values
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                sys.stdout.buffer.flush()


class JournalHandler(logging.Handler):
    """What the parts say by `logging`, as actions `warned` and `failed`. `heard`: hears of each line's level."""

    def __init__(self, journal: Journal, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        level = record.levelname.lower()
        self._heard(level)
        action = "warned" if record.levelno < logging.ERROR else "failed"
        self._journal.say(action, level=level, part=record.name, message=record.getMessage())


def _text(value: object) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return one_line(str(value))
    return ",".join(sorted(str(one) for one in value))
