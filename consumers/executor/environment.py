"""What a task finds in its environment: Crunch v1's variables, its parameters, and nothing of the host's.

What tells one attempt or node from another has no place here, nor have the job's parameters that the task does not
name. `JOB_UUID`, `TASK_UUID` and the two sequence numbers are there all the same, for pure tasks too: a script of
Crunch v1 finds its own record by them. Who promises purity promises not to let them into the output; a share of
reuses is executed again to see who does (`verify_rate`).

Two names that differ only in case or punctuation are one variable; the JSON has both. A value too long for the
system is left out of the environment and stands in `parameters.json` only.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.runners.port import Places
from consumers.runners.sandbox import HOSTNAME
from schemas.spec import SCRIPTS, TaskSpec
from schemas.work import Ready
from store.environment import TASK_PATH

MAX_VALUE_BYTES = 120_000  # Linux takes 131,072 with name and NUL
_UNFIT = re.compile(r"[^A-Z0-9_]")

# The same for every task everywhere, so that no output depends on a locale, a time zone, a hash seed or the date.
_FIXED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first date that a zip archive can hold
    "GZIP": "-n",  # as Crunch v1
    # A task is alone in what it sees, whichever of the node's slots it is in.
    "CRUNCH_NODE_SLOTS": "1",
    "TASK_SLOT_NODE": HOSTNAME,
    "TASK_SLOT_NUMBER": "1",
}


def task_environment(ready: Ready, spec: TaskSpec, places: Places) -> dict[str, str]:
    """The whole environment of a task's process."""
    values = _FIXED | _of_places(places) | _of_task(ready, spec)
    for prefix, parameters in (("TASK_PARAMETER_", _scalars(spec)), ("JOB_PARAMETER_", _object(ready.bound))):
        for name in sorted(parameters):
            values[prefix + _UNFIT.sub("_", name.upper())] = as_text(parameters[name])
    return {name: value for name, value in values.items() if _fits(value)}


def parameters_file(ready: Ready, spec: TaskSpec) -> bytes:
    """The content of `parameters.json`: all parameters, whatever their size and names."""
    return msgspec.json.encode({"parameters": spec.parameters, "job_parameters": ready.bound})


def as_text(value: Any) -> str:
    """A value as an environment variable: text as it is, null as nothing, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _of_places(places: Places) -> dict[str, str]:
    return {
        "PATH": f"{places.bin}:{TASK_PATH}",
        "HOME": places.work,
        "TMPDIR": places.tmp,
        "TASK_WORK": places.work,
        "TASK_TMPDIR": places.work,
        "JOB_WORK": places.work,
        "CRUNCH_WORK": places.work,
        "CRUNCH_TMP": places.tmp,
        "CRUNCH_INSTALL": f"{places.tmp}/opt",
        "TASK_KEEPMOUNT": places.keep,
        "TASK_INPUTS": places.inputs,
        "TASK_OUTPUT": places.output,
        "TASK_KEEPMOUNT_TMP": places.output,
        "TASK_PARAMETERS_FILE": f"{places.run}/parameters.json",
        "CRUNCH_SRC": places.code,
        "CRUNCH_BIN": places.bin,
        "CRUNCH_TASK_SOCKET": f"{places.run}/socket",
    }


def _of_task(ready: Ready, spec: TaskSpec) -> dict[str, str]:
    values = {
        "JOB_UUID": ready.root,
        "CRUNCH_JOB_UUID": ready.root,
        "TASK_UUID": ready.task,
        "JOB_SCRIPT": spec.script.removeprefix(SCRIPTS),  # as v1's jobs name it
        "CRUNCH_SRC_COMMIT": spec.commit,
        "CRUNCH_SRC_URL": "" if spec.is_pure else spec.repository,  # no part of the fingerprint
        "TASK_SEQUENCE": str(spec.sequence),
        "TASK_QSEQUENCE": str(ready.qsequence),
        "TASK_PARAMETERS": bytes(spec.parameters).decode(),
        "JOB_PARAMETERS": bytes(ready.bound).decode(),
    }
    return {name: value for name, value in values.items() if value}


def _scalars(spec: TaskSpec) -> dict[str, Any]:
    return {name: value for name, value in _object(spec.parameters).items() if not isinstance(value, dict | list)}


def _object(raw: msgspec.Raw) -> Mapping[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(raw)
    return value


def _fits(value: str) -> bool:
    return len(value.encode()) <= MAX_VALUE_BYTES and "\0" not in value
