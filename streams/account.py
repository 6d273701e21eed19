"""Postgres refuses to run as root. So for root it gets a name that is not root, in the way that changes least.

First choice: a user namespace in which root's own processes are called `nobody`. Nothing changes hands. Where the
kernel does not allow one (many containers): an account that is there anyway, which then owns the folder and may pass
through, not read, the folders above it and above Postgres's programs.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
ACCOUNTS = ("postgres", "nobody")


class Account(NamedTuple):
    """How Postgres's programs are run: words before their own, and the ids that they run as and that own their files.

    `switch`: whether those ids are others than our own.
    """

    prefix: tuple[str, ...]
    user: int
    group: int
    switch: bool = False

    def run(self, command: Sequence[str | Path], folder: Path, timeout: float) -> tuple[int, str]:
        """Run a program in a folder, to its end, out of reach of our terminal; its exit code and all that it printed.

        What it leaves running may keep its output open, so that goes to a file: a pipe would never end.
        """
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [*self.prefix, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
                timeout=timeout,
                check=False,
                user=self.user if self.switch else None,
                group=self.group if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
            output.seek(0)
            return done.returncode, output.read().decode(errors="replace")

    def own(self, folder: Path) -> None:
        """Make everything in a folder ours to run on. Nothing to do unless another account used it before."""
        if folder.stat().st_uid == self.user:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.user, self.group, follow_symlinks=False)

    def may_pass(self, path: Path) -> None:
        """Let the account pass through the folders above a path, if it is not ours."""
        if self.switch:
            for folder in path.parents:
                mode = folder.stat().st_mode
                if not mode & 0o001:
                    folder.chmod(mode | 0o001)


def choose_account(as_root: bool | None = None, namespaces: bool = True) -> Account:
    """The account to run Postgres as. Raises LookupError for root where there is neither a namespace nor an account."""
    if not (os.geteuid() == 0 if as_root is None else as_root):
        return Account((), os.geteuid(), os.getegid())
    if (
        namespaces
        and shutil.which(NAMESPACE[0])
        and Account(NAMESPACE, 0, 0).run(["true"], Path("/"), timeout=10)[0] == 0
    ):
        return Account(NAMESPACE, 0, 0)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account((), entry.pw_uid, entry.pw_gid, switch=True)
    raise LookupError(f"Postgres can't run as root, and there is no account {' or '.join(ACCOUNTS)}: run as a user")
