"""`./run kafka [COMMAND]`: a broker and a Postgres for as long as one command takes, and then an audit of what it did.

Both are new and in a temporary folder. `demo` is the command where none is given; one that needs something running
finds an `up` beside it. Everything is handed on in the environment, as somebody would who has servers of his own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.cli import explain_error
from gateway.problems import INTERRUPTED, Problem
from streams.broker import LocalBroker
from streams.embedded import EmbeddedPostgres

ALONE = ("demo", "up", "topics", "config", "doctor", "coordinator", "executor", "projector")  # need no `up` beside them


def main(words: Sequence[str]) -> int:
    """Run the command; its exit code, or that of the audit after it."""
    try:
        with tempfile.TemporaryDirectory(prefix="crunch-reuse-kafka-") as name:
            return _run(Path(name), list(words) or ["demo"])
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 # the last handler: nobody sees a stack trace who did not ask for one
        return explain_error(error, words)


def _run(folder: Path, words: list[str]) -> int:
    with LocalBroker(folder / "kafka") as broker, EmbeddedPostgres(folder / "postgres") as dsn:
        print(f"Kafka is at {broker.servers}, Postgres at {dsn}", file=sys.stderr, flush=True)
        environment = os.environ | {
            "CRUNCH_REUSE_KAFKA_SERVERS": broker.servers,
            "CRUNCH_REUSE_POSTGRES_DSN": dsn,
            "CRUNCH_REUSE_DATA_DIR": str(folder / "data"),
        }
        code = _beside_up(words, environment) if words[0] not in ALONE else _call(words, environment)
        return _call(["audit", "verify"], environment) or code


def _call(words: list[str], environment: Mapping[str, str]) -> int:
    return subprocess.run(_command(words), env=environment, check=False).returncode


def _beside_up(words: list[str], environment: Mapping[str, str]) -> int:
    with _up(environment):
        return _call(words, environment)


@contextmanager
def _up(environment: Mapping[str, str]) -> Iterator[None]:
    """It is ready inside, and ends with its standard input: with us, however we end."""
    with subprocess.Popen(
        _command(["up", "--until-eof", "--json"]),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        if not process.stdout.readline():
            raise Problem("`up` did not start, for the reason above")
        yield


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "gateway.cli", *words]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
