"""The bytes that stand in the log for ever: for each record one file with a full and a minimal example, one a line.

`python -m tests.support.golden --write` writes what is missing or changed, the JSON Schemas too, and removes what
belongs to no record. A changed line means that old logs would be read differently: see schemas/codec.py on versions.
"""

import sys
from pathlib import Path

from schemas import asyncapi
from schemas.codec import encode
from schemas.jsonschema import text_of
from schemas.topics import Topic
from tests.support.examples import CAUSE, every_record, full, minimal

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path("tests/golden")
SCHEMAS = Path("schemas/json")
ASYNCAPI = Path("docs/asyncapi.json")


def wanted() -> dict[Path, bytes]:
    """Every generated file, relative to the root, with its content."""
    files = {
        GOLDEN / topic / f"{tag}.jsonl": encode(full(record), CAUSE) + b"\n" + encode(minimal(record)) + b"\n"
        for topic, tag, record in every_record()
    }
    files |= {SCHEMAS / f"{topic}.json": text_of(topic).encode() for topic in Topic}
    return files | {ASYNCAPI: asyncapi.text().encode()}


def found() -> dict[Path, bytes]:
    """Every generated file that is there, relative to the root, with its content."""
    folders = (*((ROOT / GOLDEN / topic) for topic in Topic), ROOT / SCHEMAS)
    paths = [path for folder in folders for path in sorted(folder.glob("*"))]
    return {path.relative_to(ROOT): path.read_bytes() for path in (*paths, ROOT / ASYNCAPI) if path.exists()}


def write() -> list[str]:
    """Make the files what they have to be; what was done, one line each."""
    want, have = wanted(), found()
    changed = {path: content for path, content in want.items() if have.get(path) != content}
    for path, content in changed.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(content)
    extra = sorted(have.keys() - want.keys())
    for path in extra:
        (ROOT / path).unlink()
    return [*(f"wrote {path}" for path in changed), *(f"removed {path}" for path in extra)]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.support.golden --write")
    print("\n".join(write()) or "nothing to do")
