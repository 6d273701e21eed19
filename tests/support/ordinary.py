"""A node of somebody who is not root: `python -m tests.support.ordinary FOLDER POSTGRES ENGINE`, and what starts it so.

Prints one JSON object: why there are no control groups, which runner was chosen and why, what a plain task said and
left, how one ended that held more memory than its own, and the escapes that got away.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

from consumers.executor.way import Way
from consumers.runners.cgroups import find
from consumers.runners.relay import Target
from coordinator.signedtoken import KEY_BYTES
from tests.conftest import CHECKOUT
from tests.support.attempts import bench
from tests.support.escapes import ESCAPES, attempt, host

NOBODY = 65534
# Four processes that each keep to the limit and together do not, until they are ended.
HOLD = """
import os, signal
for number in range(3):
    if os.fork() == 0:
        break
held = bytearray(os.urandom(4096)) * (25 * 2 ** 20 // 1024)
signal.pause()
"""
# In a namespace of its own, all that is needed is shown where anybody may look for it, whoever's folders it lies in.
_SHOW = f"""
mount -t tmpfs -o mode=755 tmpfs /mnt
for name in python packages checkout folder; do mkdir /mnt/$name; mount --bind "$1" /mnt/$name; shift; done
cd /mnt/checkout
exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs "$@"
"""


def command(folder: Path, postgres: str, engine: str) -> list[str]:
    """What runs this module as an ordinary user; `folder`: an empty one, for it to use."""
    arguments = ["-m", "tests.support.ordinary"]
    if os.geteuid() != 0:
        return [sys.executable, *arguments, str(folder), postgres, engine]
    os.chown(folder, NOBODY, NOBODY)
    base = Path(sys.base_prefix)
    python = Path("/mnt/python", Path(sys.executable).resolve().relative_to(base.resolve()))
    shown = [str(base), sysconfig.get_paths()["purelib"], str(CHECKOUT), str(folder)]
    clean = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/mnt/folder", "LD_LIBRARY_PATH=/mnt/python/lib"]
    paths = ["PYTHONPATH=/mnt/checkout:/mnt/packages", "PYTHONDONTWRITEBYTECODE=1"]
    run = [*clean, *paths, str(python), *arguments, "/mnt/folder", postgres, engine]
    return ["unshare", "--mount", "sh", "-ec", _SHOW, "sh", *shown, *run]


def main(folder: str, postgres: str, engine: str) -> None:
    """Try it all."""
    with bench(Path(folder, "bench"), "auto") as node:
        choice = node.site.runners.choose(image_named=False)
        plain = node.run("echo said; echo made > $TASK_OUTPUT/file")
        told = {"groups": find() if isinstance(find(), str) else "", "choice": choice, "said": node.log(plain)}
        greedy = node.run("python3", "-c", HOLD, memory=128, timeout=60_000)
        node.site.way = Way(api=Target("127.0.0.1", 1), key=bytes(KEY_BYTES))
        with host(node, Path(folder, "host"), postgres, engine) as others:
            away = [escape.name for escape in ESCAPES if escape.got_away(others, attempt(others, escape))]
    told |= {"greedy": [greedy.failure, greedy.reason]}
    print(json.dumps(told | {"user": os.geteuid(), "output": node.output(plain), "away": away}))


if __name__ == "__main__":
    main(*sys.argv[1:])
