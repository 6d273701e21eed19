"""What the workers of the live views show together."""

import json
import urllib.request
from collections.abc import Iterable
from typing import Any

from streams.windows import merged

FIELDS = ("window", "kind", "label", "count", "amount")


def shown(addresses: Iterable[str], patience: float) -> tuple[list[int], list[dict[str, Any]]]:
    """Partitions, and rows of all windows. OSError where one does not answer within so many seconds."""
    answers = [_answer(address, patience) for address in addresses]
    partitions = sorted(number for answer in answers for number in answer["partitions"])
    return partitions, merged(tuple(row[name] for name in FIELDS) for answer in answers for row in answer["rows"])


def _answer(address: str, patience: float) -> Any:
    with urllib.request.urlopen(f"http://{address}/views", timeout=patience) as said:
        return json.loads(said.read())
