"""In a container of our own image: a Postgres server in the place of the public image. `serve_postgres.py DATA`"""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from streams.embedded import _programs


def main(data: Path) -> None:
    programs = _programs()
    _become("nobody", data)
    if not (data / "PG_VERSION").exists():
        subprocess.run([programs / "initdb", "-D", data, "-U", "crunch", "--auth=trust"], check=True)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")
        single = [programs / "postgres", "--single", "-D", data, "postgres"]
        subprocess.run(single, input=b"create database crunch\n", check=True)
    os.execv(programs / "postgres", [str(programs / "postgres"), "-D", str(data), "-c", "listen_addresses=*"])


def _become(name: str, data: Path) -> None:
    """Postgres refuses to run as root, who alone can be sure to have the volume."""
    account = pwd.getpwnam(name)
    os.chown(data, account.pw_uid, account.pw_gid)
    data.chmod(0o700)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
