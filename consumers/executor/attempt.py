"""One execution, from the grant to its report: prepare, run, capture, store and verify.

The steps before (take, announce) and after (report the exit, free) are records, and so the core's. Whatever goes wrong
here ends in a report that says whose fault it was: the task's, the node's or the store's; the machine decides what
follows from that.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from consumers.executor.boundedlog import BoundedLog
from consumers.executor.capture import BadOutput, StoreTrouble, capture, save_log
from consumers.executor.environment import parameters_file, task_environment
from consumers.executor.inputs import extract, remove_tree
from consumers.executor.requests import TaskRequests
from consumers.executor.site import Site
from consumers.executor.tasksocket import TaskSocket
from consumers.executor.way import TaskWay
from consumers.runners.port import MIB, CannotRun, Command, Folders, Limits, Outcome, Places, Runner
from consumers.runners.space import Space
from consumers.runners.supervise import TEMPORARY_EXIT, Supervision
from coordinator.canonical import digest
from schemas.claims import Exited
from schemas.reasons import Failure
from schemas.spec import TaskSpec
from schemas.work import Ready
from store.environment import host_identity, host_summary
from store.errors import ExtractFailed, PathRefused, StoreError
from store.locator import portable_data_hash_of
from store.paths import split_path

MAX_REASON = 4000
_CAPTURED = (Failure.NONE, Failure.EXIT)  # a task may report success and still exit with something else than 0


class Attempt:
    """One grant on this node. `run` once, in a thread of its own; `stop` from any other."""

    def __init__(self, ready: Ready, site: Site) -> None:
        self.ready = ready
        self._site = site
        self._spec = msgspec.json.decode(ready.spec, type=TaskSpec)
        self._name = hashlib.sha256(ready.token.encode()).hexdigest()[:16]
        self._root = site.attempts / self._name
        limits = self._limits()
        space = Space(limits, self._root / "out", self._root / "scratch")
        self._supervision = Supervision(limits, space, site.grace_seconds)
        self._handed_over = False

    def stop(self, grace: bool) -> None:
        """End it; `run` returns soon."""
        self._supervision.stop(grace)

    def hand_over(self) -> None:
        """End it at once because the executor stops: another node, or a later executor, shall do it anew."""
        self._handed_over = True
        self.stop(grace=False)

    def run(self) -> Exited:
        """Do it all; the report. Nothing of it is left on the node then."""
        started_at = _wall_clock()
        try:
            self._root.mkdir()
            log = BoundedLog(self._root / "log")
            outcome, output = self._steps(log)
            outcome, saved = self._closed(log, outcome)
        except OSError as error:
            outcome, output, saved = self._trouble_with_files(error), "", ""
        finally:
            with suppress(OSError):  # what can't be removed now is when the executor starts again
                remove_tree(self._root)
        if self._handed_over:
            outcome = Outcome(exit_code=-1, failure=Failure.HANDED_OVER, reason="the executor was stopped")
        return self._exited(outcome, output if outcome.failure in _CAPTURED else "", saved, started_at)

    def _steps(self, log: BoundedLog) -> tuple[Outcome, str]:
        try:
            with self._prepared() as (runner, folders):
                outcome = self._run(runner, folders, log)
                return self._captured(outcome, folders) if outcome.failure in _CAPTURED else (outcome, "")
        except CannotRun as error:
            return Outcome(exit_code=error.exit_code, failure=error.failure, reason=str(error)), ""
        except ExtractFailed as error:
            return Outcome(exit_code=-1, failure=Failure.NODE, reason=f"prepare: {error}"), ""
        except (StoreError, StoreTrouble) as error:
            return Outcome(exit_code=-1, failure=Failure.STORE, reason=str(error)), ""

    # --- Prepare --------------------------------------------------------------------------------------------------

    @contextmanager
    def _prepared(self) -> Iterator[tuple[Runner, Folders]]:
        _check_names(self._spec)
        runner = self._runner()
        with ExitStack() as stack:
            folders = self._folders(runner, stack)
            parameters = folders.run / "parameters.json"
            parameters.write_bytes(parameters_file(self.ready, self._spec))
            parameters.chmod(0o444)
            places = runner.places(folders)
            for name, pdh in self._spec.inputs.items():
                (folders.links / name).symlink_to(f"{places.keep}/{pdh}")
            requests = TaskRequests(self.ready, self._spec, self._site.collections, self._site.answers)
            stack.enter_context(TaskSocket(folders.run / "socket", requests))
            yield runner, folders

    def _runner(self) -> Runner:
        spec = self._spec
        if not spec.image and spec.is_pure and spec.components.image != digest({"host": host_identity()}):
            reason = f"the task was made for another environment than this node's ({host_summary()}): submit it anew"
            raise CannotRun(Failure.NODE, reason)
        choice = self._site.runners.choose(bool(spec.image))
        if choice.name == "docker":
            self._site.runners.will_make_container()
        return self._site.runners.get(choice.name)

    def _folders(self, runner: Runner, stack: ExitStack) -> Folders:
        root = self._root
        run = self._site.sockets / self._name
        stack.callback(remove_tree, run)
        own = () if runner.isolates else (root / "keep", root / "scratch/work", root / "scratch/tmp")
        for folder in (run, root / "links", root / "out", *own):
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # whatever our umask is: the task may run as another user
        code = self._spec.code
        return Folders(
            root=root,
            code=self._shown(runner, stack, code, root / "code", executable=True) if code else None,
            collections={
                pdh: self._shown(runner, stack, pdh, root / "keep" / pdh, executable=False)
                for pdh in dict.fromkeys(self._spec.inputs.values())
            },
            links=root / "links",
            output=root / "out",
            scratch=root / "scratch",
            run=run,
            bin=self._site.bin,
        )

    def _shown(self, runner: Runner, stack: ExitStack, pdh: str, own: Path, executable: bool) -> Path:
        if runner.isolates:
            return stack.enter_context(self._site.inputs.shown(pdh, executable))
        extract(self._site.collections, pdh, own, executable)
        return own

    # --- Run ------------------------------------------------------------------------------------------------------

    def _run(self, runner: Runner, folders: Folders, log: BoundedLog) -> Outcome:
        places = runner.places(folders)
        way = TaskWay(self._site.way, self.ready, self._spec, folders, places, isolated=runner.isolates)
        command = Command(
            argv=way.wrapped(self._argv(places, folders)),
            environment=task_environment(self.ready, self._spec, places) | way.environment(),
            folders=folders,
            limits=self._limits(),
            node=self._site.key,
            mark=f"{self._site.key}.{self._name}",
            image=self._spec.image,
            image_name=self._spec.image_name,
        )
        with way.serving(log.write) as on_output:
            running = runner.start(command, on_output)
            self._site.guard.hold(command.mark, running.hold)
            try:
                return self._supervision.run(running)
            finally:
                self._site.guard.drop(command.mark)

    def _argv(self, places: Places, folders: Folders) -> tuple[str, ...]:
        spec = self._spec
        if not spec.script:
            return spec.command
        if folders.code is None:
            raise CannotRun(Failure.EXIT, f"script {spec.script}: the task has no code to find it in", 127)
        file = folders.code / spec.script
        if not file.is_file():
            raise CannotRun(Failure.EXIT, f"script {spec.script} is not in the code", 127)
        if not file.stat().st_mode & 0o111:
            reason = f"script {spec.script} is no program: begin it with a line such as #!/usr/bin/env python3"
            raise CannotRun(Failure.EXIT, reason, 126)
        return (f"{places.code}/{spec.script}", *spec.command)

    def _limits(self) -> Limits:
        resources = self._spec.resources
        return Limits(
            cores=resources.cores,
            memory=resources.memory * MIB,
            scratch=resources.scratch * MIB,
            output=resources.scratch * MIB,
            processes=self._site.processes,
            time=self._spec.timeout,
        )

    # --- Capture, store and verify --------------------------------------------------------------------------------

    def _captured(self, outcome: Outcome, folders: Folders) -> tuple[Outcome, str]:
        limits = self._limits()
        try:
            return outcome, capture(self._site.collections, folders.output, self._spec.outputs, limits.output)
        except BadOutput as error:  # whatever it exits with, it may have reported success: without an output it is none
            reason = f"{outcome.reason}; {error}" if outcome.reason else str(error)
            failure = Failure.TEMPORARY if outcome.exit_code == TEMPORARY_EXIT else Failure.OUTPUT
            return Outcome(exit_code=outcome.exit_code, failure=failure, reason=reason), ""

    def _closed(self, log: BoundedLog, outcome: Outcome) -> tuple[Outcome, str]:
        """The outcome when the log is saved too, and the log's hash."""
        if outcome.reason:
            log.note(outcome.reason)
        log.close()
        try:
            return outcome, save_log(self._site.collections, log.path)
        except StoreError as error:
            if outcome.failure not in _CAPTURED:
                return outcome, ""
            return Outcome(exit_code=outcome.exit_code, failure=Failure.STORE, reason=f"log: {error}"), ""

    def _trouble_with_files(self, error: OSError) -> Outcome:
        reason = f"the node has trouble with its files: {error.strerror or error}: {error.filename or self._root}"
        return Outcome(exit_code=-1, failure=Failure.NODE, reason=reason)

    def _exited(self, outcome: Outcome, output: str, log: str, started_at: int) -> Exited:
        return Exited(
            fingerprint=self.ready.fingerprint,
            token=self.ready.token,
            node=self._site.node,
            exit_code=outcome.exit_code,
            failure=outcome.failure,
            reason=outcome.reason[:MAX_REASON],
            output=output,
            log=log,
            started_at=started_at,
            finished_at=_wall_clock(),
        )


def not_understood(ready: Ready, node: str, error: msgspec.MsgspecError) -> Exited:
    """The report about work whose specification this code can't read: another node's may."""
    reason = f"this node's crunch-reuse does not understand the task ({error}): upgrade it"
    return Exited(
        fingerprint=ready.fingerprint,
        token=ready.token,
        node=node,
        exit_code=-1,
        failure=Failure.NODE,
        reason=reason[:MAX_REASON],
    )


def _check_names(spec: TaskSpec) -> None:
    """What becomes a path here must not lead anywhere else, whoever wrote the record."""
    try:
        for name in spec.inputs:
            if len(split_path(name)) != 1:
                raise PathRefused(name, "an input's name is that of one folder")
        if spec.script:
            split_path(spec.script)
    except PathRefused as error:
        raise CannotRun(Failure.EXIT, str(error)) from error
    for pdh in filter(None, (spec.code, *spec.inputs.values())):
        if portable_data_hash_of(pdh) != pdh:
            raise CannotRun(Failure.EXIT, f"{pdh} is not a portable data hash alone")


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
