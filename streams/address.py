"""How a process that was handed a log opens it again in another process."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from streams.log import Log


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`opener`: `module:callable`. `arguments`: for it, by name; may hold a password, so not for a command line.

    One of them is `patience`, seconds in which a server that went away may come back.
    """

    opener: str
    arguments: dict[str, Any]

    def with_patience(self, seconds: float) -> "Address":
        """The same log, for who has something to say that is soon out of date."""
        return msgspec.structs.replace(self, arguments=self.arguments | {"patience": seconds})

    def open(self) -> "Log":
        """The log. Raises LogError."""
        module, _, name = self.opener.partition(":")
        log: Log = getattr(import_module(module), name)(**self.arguments)
        return log
