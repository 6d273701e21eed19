"""Kafka Streams with exactly-once v2: the same protocol as an application of its own (java/ClaimStreams.java)."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from bench.common.processes import BenchFailed
from bench.common.programs import program
from bench.contenders.topics import Broker
from streams.broker import find_java

SETTINGS = {
    "processing.guarantee": "exactly_once_v2",
    "num.stream.threads": "2",
    "commit.interval.ms": "100",  # its default
    "statestore.cache.max.bytes": str(64 * 1024 * 1024),
    "replication.factor": "1",
    "consumer.auto.offset.reset": "earliest",
}
JAVA = Path(__file__).parent / "java"
HEAP = "1g"
START_SECONDS = 120.0


def compiled() -> Path:
    """Folder with the application and the jars it needs, made by Maven and javac where it is not there yet."""
    sources = sorted(JAVA.iterdir())
    key = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = platformdirs.user_cache_path("crunch-reuse") / "bench-streams" / key
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        target = Path(fresh) / "made"
        copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
        _make("mvn", "--batch-mode", "--quiet", "-f", str(JAVA / "pom.xml"), *copy)
        _make("javac", "-cp", f"{target}/*", "-d", str(target), *map(str, JAVA.glob("*.java")))
        target.rename(folder)
    return folder


def _make(name: str, *arguments: str) -> None:
    found = shutil.which(name)
    if found is None:
        raise BenchFailed(f"Kafka Streams needs {name} (on Debian: apt-get install maven openjdk-17-jdk-headless)")
    done = subprocess.run([found, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"{name} failed: {(done.stdout + done.stderr).strip()[:500]}")


@contextmanager
def streams_app(broker: Broker, commands: str, answers: str, store: str) -> Iterator[Sequence[int]]:
    """The application between two topics, from when it runs to its orderly end; its process id."""
    folder = compiled()
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as state:
        told = SETTINGS | {"application.id": answers, "bootstrap.servers": broker.servers, "state.dir": state}
        settings = [f"{name}={value}" for name, value in told.items()]
        java = [find_java(), f"-Xmx{HEAP}", "-cp", f"{folder}:{folder}/*", "ClaimStreams"]
        with program("Kafka Streams", [*java, commands, answers, store, *settings], "ready", START_SECONDS) as pids:
            yield pids
