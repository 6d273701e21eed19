"""Text that was written by others, as text alone: nothing in it moves a cursor, colours, or turns letters around."""

import re

_STEERING = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text with nothing in it that is no text: colours and moves are left out, other such characters marked."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _STEERING.sub("", text.replace("\r\n", "\n")))
