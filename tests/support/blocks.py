"""Blocks for tests of the store, and where they are found."""

from pathlib import Path

from store.blocks import BlockStore

FOO = "acbd18db4cc2f85cedef654fccc4a4d8+3"
# Two blocks with one md5: Wang and Yu, "How to Break MD5 and Other Hash Functions", 2005.
WANG = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
YU = bytearray(WANG)
for position in (19, 45, 59, 83, 109, 123):
    YU[position] ^= 0x80


def block_file(store: BlockStore, locator: str) -> Path:
    return store.root / locator[:3] / locator[:32]


def files_under(store: BlockStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file() and not path.name.startswith("."))
