"""What is told to people when something can't be done: one line, and the exit code that goes with it.

Exit codes of the command line: 0 done; 1 it failed; 2 nothing is running, or the command line itself is wrong;
3 refused: what was asked for can't be done as asked; 130 interrupted.
"""

FAILED = 1
USAGE = 2
REFUSED = 3
INTERRUPTED = 130


class Problem(Exception):
    """Something went wrong; the text is one line that names the cause and what to do."""

    code = FAILED


class NotRunning(Problem):
    """No `up` runs on the data folder."""

    code = USAGE


class Refused(Problem):
    """What was asked for can't be done as asked; the text names the field."""

    code = REFUSED


# Errors of other parts, translated at their own edge. By name: nothing is imported that the error did not come from.
_KNOWN = {
    "coordinator.canonical.BadTask": REFUSED,
    "coordinator.machine.NewerRules": FAILED,
    "schemas.codec.NewerSchema": FAILED,
    "store.errors.StoreError": FAILED,
    "streams.log.LogError": FAILED,
    "streams.lockfile.FolderInUse": FAILED,
    "streams.broker.BrokerError": FAILED,
    "streams.embedded.EmbeddedError": FAILED,
    "streams.answers.NoAnswer": FAILED,
    "streams.loop.MachineStopped": FAILED,
    "readmodel.connection.ReadModelError": FAILED,
    "consumers.assembler.ReadModelDrifted": FAILED,
    "consumers.projector.ProjectionStopped": FAILED,
    "consumers.executor.service.Replaced": FAILED,
    "consumers.executor.site.FolderNotOurs": FAILED,
}


def problem_of(error: BaseException) -> tuple[str, int] | None:
    """The one line and exit code of an error that people can act on; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return one_line(str(error)), error.code
    for kind in type(error).__mro__:
        code = _KNOWN.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return one_line(str(error)), code
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror), FAILED
    return None


def one_line(text: str, limit: int = 1000) -> str:
    """The text without line breaks and control characters, at most `limit` characters."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
