"""How soon a decision comes where much is known: `./run bench recovery [--fingerprints N] [--kills N]`.

Coordinators as people start them, on a log in Postgres, each with a local store in which so many fingerprints lie that
are done (as in `bench state --laid`). What is timed ends when the answer stands in the facts:

- start: `coordinator` is launched, with its interpreter and imports; a command waits for it
- kill: a coordinator is killed (-9) at work, and its standby answers what is asked next
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from bench.common.figures import machine
from bench.common.processes import BenchFailed
from bench.common.stories import fingerprint_of, rows
from coordinator.claims import Claims
from coordinator.machine import RULES_VERSION
from gateway.folders import Folders
from schemas.claims import Quarantined, Released
from schemas.codec import Undecodable, decode, encode
from schemas.facts import Answered
from schemas.partition import partition_of
from schemas.topics import Topic
from streams.admin import create_topics
from streams.embedded import EmbeddedPostgres
from streams.localstore import LocalStore
from streams.log import Append, Floor, Log, Place
from streams.postgres import PostgresLog
from streams.replaying import places_of
from streams.resume import digest_at
from streams.routes import Routes
from streams.state import Header

AIMS = {"start": 1.0, "kill": 5.0}  # seconds
PATIENCE = 60.0  # seconds
READER = "claims-machine"


def main() -> int:
    """Measure and print; exit code 1 if an aim is missed."""
    parser = argparse.ArgumentParser(prog="./run bench recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--fingerprints", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crunch-reuse-recovery-")))
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        log = stack.enter_context(closing(PostgresLog(dsn)))
        create_topics(log)
        for name in ("one", "two"):
            _lay(log, folder / name, name, options.fingerprints)
        office = stack.enter_context(closing(_Office(log, folder, dsn)))
        taken = {"start": [office.start_timed("one")], "kill": []}
        office.start("two", "--standby")
        for _ in range(options.kills):
            taken["kill"].append(office.kill_timed("one"))
            office.start("one")
    for what, times in taken.items():
        told = ", ".join(f"{seconds:.2f}" for seconds in times)
        print(f"{what}: {median(times):.2f} s ({told}); aim {AIMS[what]:g} s; {options.fingerprints:,} fingerprints")
    return int(any(max(times) > AIMS[what] for what, times in taken.items()))


def _lay(log: Log, data: Path, name: str, fingerprints: int) -> None:
    """The local store that a coordinator of this name finds, as of the log's beginning."""
    folders = Folders(data)
    folders.create()
    places = places_of(log, Topic.CLAIMS)
    with closing(LocalStore(folders.state(name))) as local:
        for place in places:
            floor = Floor(1, digest_at(log, place, 0), log.genesis(place).log_id)
            header = Header(
                topic=place.topic,
                partition=place.partition,
                log_id=floor.log_id,
                targets=Routes(log).log_ids,
                offset=floor.offset,
                digest=floor.digest,
                rules=RULES_VERSION,
                marks={},
            )
            state = local.open(place)
            state.commit(header, state.fill(Claims(), rows(place.partition, fingerprints // len(places))))
            log.move_floor(READER, place, floor)


class _Office:
    """The coordinators of a log, and who asks them. The commands are for what the stores know."""

    def __init__(self, log: Log, folder: Path, dsn: str) -> None:
        self._log = log
        self._folder = folder
        self._environment = os.environ | {
            "CRUNCH_REUSE_POSTGRES_DSN": dsn,
            "CRUNCH_REUSE_SNAPSHOTS_DIRECTORY": str(folder / "snapshots"),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._known = [next(self._belonging(place)) for place in places_of(log, Topic.CLAIMS)]
        self._facts = {place: log.end(place) for place in places_of(log, Topic.FACTS)}
        self._asked = 0
        self._last = (0, "")  # offset of the last command, log id of its partition

    def start(self, name: str, *more: str) -> None:
        """Start one, and wait until all that it has to say is said, and some more is answered."""
        self._launch(name, *more)
        self._wait_until_ready(name)
        self._ask()

    def start_timed(self, name: str) -> float:
        """Seconds from the launch of one to the first answer of any."""
        self._say()
        began = time.perf_counter()
        self._launch(name)
        self._wait_for_answer()
        took = time.perf_counter() - began
        self._wait_until_ready(name)
        return took

    def kill_timed(self, name: str) -> float:
        """Seconds from the kill of one to the answer to what is asked then."""
        self._ask()
        process = self._running.pop(name)
        process.kill()
        began = time.perf_counter()
        self._ask()
        took = time.perf_counter() - began
        process.wait()
        return took

    def close(self) -> None:
        """End all of them."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait()

    def _launch(self, name: str, *more: str) -> None:
        words = ["coordinator", "--name", name, *more, "--data-dir", str(self._folder / name)]
        self._running[name] = subprocess.Popen([sys.executable, "-m", "gateway.cli", *words], env=self._environment)

    def _wait_until_ready(self, name: str) -> None:
        words = ["doctor", "--ready", name, "--data-dir", str(self._folder / name)]
        end = time.monotonic() + PATIENCE
        while subprocess.run([sys.executable, "-m", "gateway.cli", *words], capture_output=True).returncode:
            if time.monotonic() > end or self._running[name].poll() is not None:
                raise BenchFailed(f"{name} is not ready within {PATIENCE:g} s")

    def _ask(self) -> None:
        self._say()
        self._wait_for_answer()

    def _say(self) -> None:
        place, fingerprint = self._known[0]
        kind = Released if self._asked % 2 else Quarantined
        self._facts = {facts: self._log.end(facts) for facts in self._facts}
        [offset] = self._log.append([Append(place, fingerprint, encode(kind(fingerprint=fingerprint)))])
        self._last = offset, self._log.genesis(place).log_id
        self._asked += 1

    def _wait_for_answer(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self._log.wait(self._facts, 1.0)
            if self._last in list(self._answered()):
                return
        raise BenchFailed(f"no answer within {PATIENCE:g} s")

    def _answered(self) -> Iterator[tuple[int, str]]:
        for place, offset in self._facts.items():
            records = self._log.read(place, offset, 1_000)
            self._facts[place] = offset + len(records)
            for record in records:
                envelope = decode(place.topic, record.value)
                if not isinstance(envelope, Undecodable) and isinstance(envelope.body, Answered) and envelope.cause:
                    yield envelope.cause.offset, envelope.cause.log_id

    def _belonging(self, place: Place) -> Iterator[tuple[Place, str]]:
        """What the store of a partition knows and the log has there."""
        for number in range(1_000):
            fingerprint = fingerprint_of(place.partition, number)
            if partition_of(fingerprint, self._log.partitions(place.topic)) == place.partition:
                yield place, fingerprint


if __name__ == "__main__":
    sys.exit(main())
