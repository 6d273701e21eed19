"""How fast the claims machine decides, from bytes to bytes, on one core: `./run bench rules [--fingerprints N]`.

One story per fingerprint: granted, one waits, started, exited (and the waiter gets the copy), one reuses. A step is
decode, digest, step, encode of every output. Beside it the same without the rules: decoding, digesting and encoding the
same bytes, which no machine in this language and format can beat. Medians of several runs, each in this process.
"""

import argparse
import platform
from collections.abc import Callable
from hashlib import sha256
from statistics import median
from time import perf_counter

from msgspec import Raw

from coordinator.claims import Claims
from coordinator.machine import Seen
from schemas.claims import Exited, Requested, Started
from schemas.codec import cause_head, decode, encode, encode_output
from schemas.fields import Record
from schemas.log import Cause
from schemas.topics import Topic

RUNS = 5
LOG = "0" * 32
SPEC = Raw(b'{"script":"crunch_scripts/count.py","repository":"examples","components":{"commit":"%b"}}' % (b"a" * 64))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="./run bench rules", description=__doc__.splitlines()[0])
    parser.add_argument("--fingerprints", type=int, default=20_000)
    records = _records(parser.parse_args().fingerprints)
    outputs = _outputs(records)
    count = sum(map(len, outputs))
    whole = _median(lambda: _decide(records))
    bare = _median(lambda: _without_rules(records, outputs))
    print(f"machine             {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"steps               {len(records):,}, {count / len(records):.1f} outputs each")
    print(f"decode to encode    {len(records) / whole:,.0f} steps/s (median of {RUNS})")
    print(f"without the rules   {len(records) / bare:,.0f} steps/s")
    print(f"ratio               {bare / whole:.2f}")


def _median(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        begin = perf_counter()
        run()
        times.append(perf_counter() - begin)
    return median(times)


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
    envelope = decode(Topic.CLAIMS, value)
    return Seen(LOG, offset, 0, value, envelope.body)  # type: ignore[union-attr]


def _decide(records: list[bytes]) -> None:
    machine = Claims()
    for offset, value in enumerate(records, 1):
        head = cause_head(LOG, offset)
        for index, output in enumerate(machine.step(_seen(offset, value))):
            encode_output(head, index, output.body)


def _outputs(records: list[bytes]) -> list[list[Record]]:
    machine = Claims()
    return [[o.body for o in machine.step(_seen(offset, value))] for offset, value in enumerate(records, 1)]


def _without_rules(records: list[bytes], outputs: list[list[Record]]) -> None:
    for offset, (value, bodies) in enumerate(zip(records, outputs, strict=True), 1):
        _seen(offset, value)
        head = cause_head(LOG, offset)
        for index, body in enumerate(bodies):
            encode_output(head, index, body)


if __name__ == "__main__":
    main()
