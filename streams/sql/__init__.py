"""The SQL of the log in Postgres: a line `-- name: x` in log.sql starts statement `x`."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements() -> dict[str, bytes]:
    """The statements by name."""
    _, *parts = _NAME.split(files(__name__).joinpath("log.sql").read_text("utf-8"))
    return {name: text.strip().encode() for name, text in zip(parts[::2], parts[1::2], strict=True)}
