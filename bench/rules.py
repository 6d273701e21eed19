"""How fast the claims machine decides, from bytes to bytes, on one core: `./run bench rules [--fingerprints N]`.

One story per fingerprint: granted, one waits, started, exited (and the waiter gets the copy), one reuses. A step is
decode, step, encode of every output. Beside it the same without the rules (decoding and encoding the same bytes, which
no machine in this language and format can beat), and the same through the loop, to and from a log in memory. Medians of
several runs and the best of them, in processor time, so that others on the machine count as little as can be.
"""

import argparse
import platform
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import chain, count
from statistics import median
from time import process_time

from msgspec import Raw

from coordinator.claims import Claims
from coordinator.machine import Seen
from schemas.claims import Exited, Requested, Started
from schemas.codec import cause_head, decode, encode, encode_output, log_head
from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Place
from streams.loop import Runner
from streams.memory import MemoryLog

RUNS = 5
PARTITIONS = 8
LOG = "0" * 32
LOG_HEAD = log_head(LOG)
CLAIMS = Topic.CLAIMS
SPEC = Raw(b'{"script":"crunch_scripts/count.py","repository":"examples","components":{"commit":"%b"}}' % (b"a" * 64))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="./run bench rules", description=__doc__.splitlines()[0])
    parser.add_argument("--fingerprints", type=int, default=20_000)
    records = _records(parser.parse_args().fingerprints)
    outputs = _outputs(records)
    print(f"machine             {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"steps               {len(records):,}, {sum(map(len, outputs)) / len(records):.1f} outputs each")
    print(f"                    median of {RUNS} and best, steps/s")
    _report("decode to encode", len(records), lambda: partial(_decide, records))
    _report("without the rules", len(records), lambda: partial(_without_rules, records, outputs))
    _report("through the loop", len(records), lambda: partial(_drain, _runner(records)))


def _report(name: str, steps: int, prepare: Callable[[], Callable[[], object]]) -> None:
    """Time what `prepare` makes anew for each run, and print how many steps that is a second."""
    times = []
    for _ in range(RUNS):
        run = prepare()
        begin = process_time()
        kept = run()  # a coordinator lets go of nothing: taking all state apart is no part of a step
        times.append(process_time() - begin)
        del kept
    print(f"{name:<20}{steps / median(times):>9,.0f}{steps / min(times):>10,.0f}")


def _records(fingerprints: int) -> list[bytes]:
    """The story of each fingerprint, interleaved as steps of one partition."""
    machine, records = Claims(), []

    def tell(body: Record, cause: Cause | None) -> str:
        value = encode(body, cause)
        records.append(value)
        first = next(iter(machine.step(_seen(len(records), value))))
        return getattr(first.body, "token", "")

    for number in range(fingerprints):
        fingerprint = sha256(str(number).encode()).hexdigest()
        token = tell(_request(fingerprint, f"a{number:014d}"), Cause("1" * 32, 2 * number, 0))
        tell(_request(fingerprint, f"b{number:014d}"), Cause("1" * 32, 2 * number + 1, 0))
        tell(Started(fingerprint=fingerprint, token=token, node="n1", incarnation="i1", runner="docker"), None)
        output = "d41d8cd98f00b204e9800998ecf8427e+0"
        tell(Exited(fingerprint=fingerprint, token=token, node="n1", exit_code=0, output=output), None)
        tell(_request(fingerprint, f"c{number:014d}"), Cause("2" * 32, number, 0))
    return records


def _request(fingerprint: str, name: str) -> Requested:
    task, root = f"zzzzz-8i9sb-{name}", f"zzzzz-8i9sb-{name[::-1]}"
    return Requested(fingerprint=fingerprint, task=task, root=root, owner="zzzzz-tpzed-000000000000000", spec=SPEC)


def _seen(offset: int, value: bytes) -> Seen:
    envelope = decode(CLAIMS, value)
    return Seen(LOG, offset, 0, value, envelope.body)  # type: ignore[union-attr]


def _decide(records: list[bytes]) -> Claims:
    machine = Claims()
    for offset, value in enumerate(records, 1):
        head = cause_head(LOG_HEAD, offset)
        for index, output in enumerate(machine.step(_seen(offset, value))):
            encode_output(head, index, output.body)
    return machine


def _outputs(records: list[bytes]) -> list[list[Record]]:
    machine = Claims()
    return [[o.body for o in machine.step(_seen(offset, value))] for offset, value in enumerate(records, 1)]


def _without_rules(records: list[bytes], outputs: list[list[Record]]) -> None:
    for offset, (value, bodies) in enumerate(zip(records, outputs, strict=True), 1):
        _seen(offset, value)
        head = cause_head(LOG_HEAD, offset)
        for index, body in enumerate(bodies):
            encode_output(head, index, body)


def _runner(records: list[bytes]) -> Runner:
    """A runner at the beginning of a log in memory that holds the records."""
    ids = chain((LOG,), map(str, count()))
    log, place = MemoryLog(new_id=lambda: next(ids)), Place(Topic.CLAIMS, 0)
    log.create({Topic.CLAIMS: 1})
    log.create(dict.fromkeys(Topic, PARTITIONS) | {Topic.CLAIMS: 1})
    log.append([Append(place, decode(Topic.CLAIMS, value).body.fingerprint, value) for value in records])  # type: ignore[union-attr]
    return Runner(log, Claims, 0, MemoryCheckpoints(), every=len(records) * 2)


def _drain(runner: Runner) -> None:
    while runner.poll():
        pass


if __name__ == "__main__":
    main()
