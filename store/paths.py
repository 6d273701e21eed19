"""Which paths may be in a collection: relative, no way to climb out, names that any reader can write again."""

from store.errors import PathRefused

MAX_DEPTH = 128
MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255


def split_path(path: str) -> list[str]:
    """The names of a relative path, at least one. PathRefused names the path and what is wrong."""
    names = path.split("/")
    for name in names:
        _check_name(path, name)
    if len(names) > MAX_DEPTH:
        raise PathRefused(path[:200], f"more than {MAX_DEPTH} levels deep")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise PathRefused(path[:200], f"longer than {MAX_PATH_BYTES} bytes")
    return names


def _check_name(path: str, name: str) -> None:
    if name in ("", ".", ".."):
        raise PathRefused(path[:200], "a path goes down only: no leading or double slash, no '.' and no '..'")
    if "\0" in name:
        raise PathRefused(path[:200], "a name can't hold a NUL character")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise PathRefused(path[:200], "its name is not UTF-8") from error
    if size > MAX_NAME_BYTES:
        raise PathRefused(path[:200], f"a name is longer than {MAX_NAME_BYTES} bytes")
