"""`crunch-job`: drives one job against an API that may be anywhere, as the program of that name did in Crunch v1.

The job's tasks are decided on, and run, by the system behind the API. What is done here becomes events there: the job
is submitted (`--job JSON`) or locked (`--job UUID`), watched until it ends, its log written to standard error, and
cancelled on SIGINT or SIGTERM. Exit codes as there: 0 the job is complete, 1 it is not, 75 (try again) somebody else
has locked it, or the API gives no answer.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.apiclient import ApiClient, NotDone, Unanswered
from gateway.problems import FAILED, Problem, Refused, one_line

TRY_AGAIN = 75  # sysexits' EX_TEMPFAIL
LOOK_SECONDS = 1.0
ENDED = ("Complete", "Failed", "Cancelled")
PAGE = 1000
Job = dict[str, Any]


def main() -> None:
    """Entry point of `crunch-job`."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do it; the exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        api = ApiClient(environment)
        job = _taken(api, options)
        return 0 if _followed(api, job["uuid"], stop)["state"] == "Complete" else FAILED
    except (Unanswered, _Locked) as error:
        return _fail(error, TRY_AGAIN)
    except Problem as error:
        return _fail(error, error.code)


class _Locked(Problem):
    """Somebody else drives the job."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("crunch-job", description="Drive one job to its end.", allow_abbrev=False)
    parser.add_argument("--job", required=True, metavar="UUID|JSON", help="a job there is, or one to submit")
    parser.add_argument("--git-dir", metavar="DIR", help="repository in which a new job's script_version is looked up")
    parser.add_argument("--force-unlock", action="store_true", help="drive it although somebody else has locked it")
    parser.add_argument("--no-clear-tmp", action="store_true", help="nothing: each task has a place of its own")
    return parser


def _taken(api: ApiClient, options: argparse.Namespace) -> Job:
    """The job, which is ours to drive."""
    if options.job.lstrip().startswith("{"):
        return _submitted(api, _described(options))
    job: Job = api.get(f"jobs/{options.job}")
    if job["state"] == "Queued":
        try:
            job = api.post(f"jobs/{options.job}/lock")
        except NotDone as error:
            job = api.get(f"jobs/{options.job}")
            if job["is_locked_by_uuid"] is None and job["state"] == "Queued":
                raise error
    mine = api.get("users/current")["uuid"]
    if job["is_locked_by_uuid"] not in (None, mine) and not options.force_unlock:
        raise _Locked(
            f"job {job['uuid']} is locked by {job['is_locked_by_uuid']}: --force-unlock drives it all the same"
        )
    return job


def _described(options: argparse.Namespace) -> Job:
    try:
        job = orjson.loads(options.job)
    except orjson.JSONDecodeError as error:
        raise Refused(f"--job: neither a uuid nor JSON: {error}") from error
    if options.git_dir and job.get("script_version"):
        job["script_version"] = _commit(options.git_dir, str(job["script_version"]))
    return dict(job)


def _commit(folder: str, revision: str) -> str:
    command = ["git", "-C", folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"--git-dir: {folder}: {one_line(done.stderr.removeprefix('fatal: '), 200)}")
    return done.stdout.strip()


def _submitted(api: ApiClient, described: Job) -> Job:
    job: Job = api.post("jobs", described)
    _say(job["uuid"], "submitted")
    return job


def _followed(api: ApiClient, uuid: str, stop: threading.Event) -> Job:
    """The job when it has ended, its log told until then."""
    newest, is_told = 0, False
    while True:
        job: Job = api.get(f"jobs/{uuid}")
        for line in _news(api, uuid, newest):
            newest = max(newest, line["id"])
            _say(uuid, line["properties"].get("text") or line["summary"])
        if job["state"] in ENDED:
            _say(uuid, f"{job['state']}, output {job['output'] or 'none'}, log {job['log'] or 'none'}")
            return job
        if is_told:
            time.sleep(LOOK_SECONDS)
        elif stop.wait(LOOK_SECONDS):
            is_told = _cancelled(api, uuid)


def _cancelled(api: ApiClient, uuid: str) -> bool:
    _say(uuid, "told to stop: it is cancelled")
    try:
        api.post(f"jobs/{uuid}/cancel")
    except NotDone as error:  # it has ended meanwhile
        _say(uuid, str(error))
    return True


def _news(api: ApiClient, uuid: str, newest: int) -> Iterator[Any]:
    """All lines of the job's log after `newest`."""
    asked = {"filters": [["object_uuid", "=", uuid], ["id", ">", newest]], "order": ["id asc"], "count": "none"}
    for page in itertools.count():
        items = api.get("logs", limit=PAGE, offset=page * PAGE, **asked)["items"]
        yield from items
        if len(items) < PAGE:
            return


def _say(uuid: str, text: str) -> None:
    print(f"{uuid} {one_line(text)}", file=sys.stderr, flush=True)


def _fail(error: Problem, code: int) -> int:
    print(f"crunch-job: {one_line(str(error))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
