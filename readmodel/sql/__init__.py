"""Every SQL statement of the read model, by file and name.

In `projection.sql` and `queries.sql` a line `-- name: x` starts statement `x`, which goes on to the next such line.
In a folder of migrations each file `NNNN_what.sql` is one step from version NNNN - 1 to version NNNN.
"""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements(file: str) -> dict[str, bytes]:
    """The named statements of one file beside this one."""
    _, *parts = _NAME.split(files(__name__).joinpath(file).read_text("utf-8"))
    return {name: text.strip().encode() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def steps_in(folder_name: str = "migrations") -> list[tuple[int, bytes]]:
    """Version and text of each migration, lowest version first. (A name of its own: the folder is a package too.)"""
    folder = files(__name__).joinpath(folder_name)
    found = [path for path in folder.iterdir() if path.name.endswith(".sql")]
    return sorted((int(path.name[:4]), path.read_bytes()) for path in found)
