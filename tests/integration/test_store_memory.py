"""A large file passes through the store in the memory of one block, whatever its size.

CRUNCH_REUSE_TEST_FILE_MIB sets the size of the file (512 by default), of which the disk must hold three times as much.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FILE_MIB = int(os.environ.get("CRUNCH_REUSE_TEST_FILE_MIB", "512"))
BLOCK_MIB = 64
# Python with the store's modules takes 20 to 30 MiB; a second block in memory would be over it.
BOUND_MIB = BLOCK_MIB + 48

SCRIPT = """
import json, os, resource, sys
from pathlib import Path
from store.blocks import BlockStore
from store.collections import CollectionStore

def peak_mib():
    # Not getrusage on Linux: its figure starts at that of the process we were forked from.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

root, mib = Path(sys.argv[1]), int(sys.argv[2])
(root / "tree").mkdir()
with (root / "tree" / "large").open("wb") as file:
    for start in range(0, mib * 2**20, 64 * 2**20):
        file.seek(start)
        file.write(start.to_bytes(8, "big"))
    file.truncate(mib * 2**20)

peaks = {}
store = CollectionStore(BlockStore.create(root / "store"))
saved = store.save_directory(root / "tree")
peaks["save"] = peak_mib()
assert store.save_directory(root / "tree") == saved
peaks["save again"] = peak_mib()
assert store.verify(saved.portable_data_hash, deep=True).verdict == "whole"
peaks["verify"] = peak_mib()
with store.open(saved.portable_data_hash, "large") as stream:
    while stream.read(2**20):
        pass
peaks["read"] = peak_mib()
store.extract(saved.portable_data_hash, root / "target")
peaks["extract"] = peak_mib()
assert (root / "target" / "large").stat().st_size == saved.bytes == mib * 2**20
blocks = sum(block.size > 2**20 for block in store.blocks.blocks())
print(json.dumps({"peaks": peaks, "blocks": blocks}))
"""


def test_a_large_file_takes_the_memory_of_one_block(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(FILE_MIB)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["blocks"] == -(-FILE_MIB // BLOCK_MIB), "each block is to be another one"
    assert max(measured["peaks"].values()) < BOUND_MIB, measured["peaks"]


def test_many_small_files_take_little(tmp_path: Path) -> None:
    """Nothing is kept of a file but its name and where its data is: under 2 KiB each."""
    script = SCRIPT.split("root, mib")[0] + (
        "root = Path(sys.argv[1])\n"
        "store = CollectionStore(BlockStore.create(root / 'store'))\n"
        "before = peak_mib()\n"
        "saved = store.save_directory(root / 'tree')\n"
        "print(json.dumps({'files': saved.files, 'mib': peak_mib() - before}))\n"
    )
    for number in range(5000):
        path = tmp_path / "tree" / f"{number % 50}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"the same")
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["files"] == 5000
    assert measured["mib"] < 10, measured
