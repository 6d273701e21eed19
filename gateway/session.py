"""What every command starts from: the configuration in effect, the folders, and how results are printed."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import config
from gateway.folders import Folders
from gateway.problems import one_line

if TYPE_CHECKING:
    from rich.console import Console


WIDE = 240  # characters in a line that no terminal bounds


@dataclass(frozen=True)
class Session:
    """One run of a command. `options`: dotted configuration key to what the command line says; None: nothing."""

    config_file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    as_json: bool = False

    @cached_property
    def loaded(self) -> config.Loaded:
        """The configuration with its origins. Raises Refused."""
        return config.load(self.config_file, options=self.options)

    @property
    def config(self) -> config.Config:
        """The configuration."""
        return self.loaded.config

    @cached_property
    def folders(self) -> Folders:
        """The places below the data folder."""
        return self.config.folders

    @cached_property
    def console(self) -> "Console":
        """Where results for people go: standard output."""
        from rich.console import Console

        return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else WIDE)

    def result(self, value: Any) -> None:
        """Print a result as one line of JSON. Structs and dataclasses are objects."""
        import msgspec
        import orjson

        sys.stdout.buffer.write(orjson.dumps(value, default=msgspec.to_builtins) + b"\n")
        sys.stdout.buffer.flush()

    def say(self, line: str = "") -> None:
        """Print a line of a result for people, which may hold rich's markup; nothing with --json."""
        if not self.as_json:
            self.console.print(line)

    def note(self, line: str) -> None:
        """Tell what is going on, on standard error, so that it never mixes with a result."""
        print(one_line(line), file=sys.stderr, flush=True)
