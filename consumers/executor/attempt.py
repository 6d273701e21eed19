"""One execution, from the grant to its report: prepare, run, capture, store and verify.

The steps before (take, announce) and after (report the exit, free) are records, and so the core's. Whatever goes wrong
here ends in a report that says whose fault it was: the task's, the node's or the store's; the machine decides what
follows from that.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from consumers.executor.boundedlog import BoundedLog
from consumers.executor.capture import captured, save_log, stored
from consumers.executor.environment import parameters_file, task_environment
from consumers.executor.inputs import extract
from consumers.executor.keeperrors import KeepErrors
from consumers.executor.keepmount import Sight
from consumers.executor.left import Left, boot, remember
from consumers.executor.pulse import milliseconds
from consumers.executor.requests import TaskRequests
from consumers.executor.site import Site, mark_of
from consumers.executor.steps import Step, outcome_of_trouble
from consumers.executor.tasksocket import TaskSocket
from consumers.executor.way import TaskWay, speaks_to_api, token_of
from consumers.runners.port import MIB, CannotRun, Command, Folders, Limits, Outcome, Places, Runner, Running
from consumers.runners.space import Space, is_full
from consumers.runners.supervise import Supervision
from coordinator import purity
from coordinator.canonical import digest
from schemas.claims import Exited
from schemas.reasons import Failure
from schemas.spec import TaskSpec
from schemas.work import Ready
from store.environment import host_identity, host_summary
from store.errors import ExtractFailed, PathRefused, StoreError
from store.locator import portable_data_hash_of
from store.paths import split_path
from store.words import name_of

MAX_REASON = 4000
_CAPTURED = (Failure.NONE, Failure.EXIT)  # a task may report success and still exit with something else than 0
_UNJUDGED = (128 + signal.SIGKILL, 255)  # 255: what an engine says of a container that ended when it was gone itself


class Attempt:
    """One grant on this node. `run` once, in a thread of its own; `stop` from any other.

    `left`: what a former executor left of it, to be gone on with; None: nothing has begun.
    """

    def __init__(self, ready: Ready, site: Site, left: Left | None = None) -> None:
        self.ready = ready
        self._site = site
        self._left = left
        self._spec = msgspec.json.decode(ready.spec, type=TaskSpec)
        self._name = name_of(ready.token)
        self._root = site.attempts / self._name
        self._step = Step.PREPARE
        limits = self._limits()
        if left and limits.time:  # what is left of it
            limits = msgspec.structs.replace(limits, time=max(limits.time - (milliseconds() - left.began), 1))
        space = Space(limits, self._root / "out", self._root / "scratch")
        self._supervision = Supervision(limits, space, site.grace_seconds)
        self._handed_over = False
        self._sight = left.sight if left else Sight()
        self._mark = mark_of(site.key, self._name)
        self._is_loose = left is not None  # there may be a container that nothing here follows

    def stop(self, grace: bool) -> None:
        """End it; `run` returns soon."""
        self._supervision.stop(grace)

    def hand_over(self) -> None:
        """End it at once because the executor stops: another node, or a later executor, shall do it anew."""
        self._handed_over = True
        self.stop(grace=False)

    def run(self) -> Exited:
        """Do it all; the report. Nothing of it runs then, and what it left on the disk is being removed."""
        started_at = self._left.started_at if self._left else _wall_clock()
        try:
            self._root.mkdir(exist_ok=self._left is not None)
            log = BoundedLog(self._root / "log")
            with self._site.speaker.heard(self._name, log, is_left=self._left is not None):
                outcome, output = self._steps(log, started_at)
            outcome, saved = self._closed(log, outcome)
        except OSError as error:
            outcome, output, saved = self._meaning_of(error), "", ""
        finally:
            if self._is_loose:
                self._site.owed.remove(self._mark)
            self._site.broom.remove(self._root)
        if self._handed_over:
            outcome = Outcome(exit_code=-1, failure=Failure.HANDED_OVER, reason="the executor was stopped")
        return self._exited(outcome, output if outcome.failure in _CAPTURED else "", saved, started_at)

    def _steps(self, log: BoundedLog, started_at: int) -> tuple[Outcome, str]:
        """Prepare, run, capture, store: the outcome, and the output's hash if there is one."""
        outcome = None
        try:
            with self._prepared() as (runner, folders):
                self._step = Step.RUN
                outcome = self._with_unseen(self._on_full_disk(self._run(runner, folders, log, started_at)))
                if outcome.failure not in _CAPTURED:
                    return outcome, ""
                self._step = Step.CAPTURE
                kept = captured(folders.output, self._spec.outputs)
                self._step = Step.STORE
                return outcome, stored(self._site.collections, kept, self._limits().output)
        except Exception as error:  # noqa: BLE001 - what the table of steps does not know is raised again
            return self._meaning_of(error, outcome), ""

    def _meaning_of(self, error: Exception, ended: Outcome | None = None) -> Outcome:
        outcome = outcome_of_trouble(self._step, error, ended)
        if outcome is None:
            raise error
        return outcome

    # --- Prepare --------------------------------------------------------------------------------------------------

    @contextmanager
    def _prepared(self) -> Iterator[tuple[Runner, Folders]]:
        _check_names(self._spec)
        runner = self._runner()
        if self._left is None:
            self._sight = self._named_sight()
        with ExitStack() as stack:
            folders = self._folders(runner, stack)
            if self._left is None:
                self._fill(folders, runner.places(folders))
            requests = TaskRequests(self.ready, self._spec, self._site.collections, self._site.answers)
            stack.enter_context(TaskSocket(folders.run / "socket", requests))
            yield runner, folders

    def _named_sight(self) -> Sight:
        """What it is to see of what its parameters name: where it speaks to the API, which says what it may."""
        way, named = self._site.way, purity.collections_of(self._spec, self.ready.bound)
        for declared in self._spec.inputs.values():
            named.pop(declared, None)
        if way is None or not named or not speaks_to_api(self._spec):
            return Sight()
        token = token_of(way, self.ready, self._spec, self._root)
        return self._site.keep_mount.sight(way, token, named, lambda: self._supervision.was_stopped)

    def _on_full_disk(self, outcome: Outcome) -> Outcome:
        """Where nothing can be written any more, that a task failed is the node's trouble and not its own."""
        if outcome.failure is not Failure.EXIT or not is_full(self._root):
            return outcome
        reason = f"the node's disk was full when the task ended with exit code {outcome.exit_code}"
        return Outcome(exit_code=-1, failure=Failure.NODE, reason=reason)

    def _with_unseen(self, outcome: Outcome) -> Outcome:
        """It may have failed for what it could not see."""
        if outcome.failure is not Failure.EXIT or not self._sight.unseen:
            return outcome
        reason = "; ".join((outcome.reason, *self._sight.unseen))
        return msgspec.structs.replace(outcome, reason=reason)

    def _fill(self, folders: Folders, places: Places) -> None:
        parameters = folders.run / "parameters.json"
        parameters.write_bytes(parameters_file(self.ready, self._spec))
        parameters.chmod(0o444)
        for name, pdh in self._spec.inputs.items():
            (folders.links / name).symlink_to(f"{places.keep}/{pdh}")

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
        stack.callback(self._site.broom.remove, run)
        own = () if runner.isolates else (root / "keep", root / "scratch/work", root / "scratch/tmp")
        for folder in (run, root / "links", root / "out", *own):
            folder.mkdir(parents=True, exist_ok=self._left is not None)
            if self._left is None:
                folder.chmod(0o755)  # whatever our umask is: the task may run as another user
        code = self._spec.code
        return Folders(
            root=root,
            code=self._shown(runner, stack, code, root / "code", executable=True) if code else None,
            collections={
                pdh: self._shown(runner, stack, pdh, root / "keep" / pdh, executable=False)
                for pdh in dict.fromkeys(self._spec.inputs.values())
            }
            | {pdh: self._named(runner, stack, pdh, parameter) for pdh, parameter in self._sight.shown.items()},
            links=root / "links",
            output=root / "out",
            scratch=root / "scratch",
            run=run,
            bin=self._site.bin,
        )

    def _named(self, runner: Runner, stack: ExitStack, pdh: str, parameter: str) -> Path:
        try:
            return self._shown(runner, stack, pdh, self._root / "keep" / pdh, executable=False)
        except StoreError as error:
            failure = Failure.NODE if isinstance(error, ExtractFailed) else Failure.STORE
            raise CannotRun(failure, f"parameter {parameter}: {error}") from error

    def _shown(self, runner: Runner, stack: ExitStack, pdh: str, own: Path, executable: bool) -> Path:
        if runner.isolates:
            return stack.enter_context(self._site.inputs.shown(pdh, executable))
        extract(self._site.collections, pdh, own, executable)
        return own

    # --- Run ------------------------------------------------------------------------------------------------------

    def _run(self, runner: Runner, folders: Folders, log: BoundedLog, started_at: int) -> Outcome:
        places = runner.places(folders)
        way = TaskWay(self._site.way, self.ready, self._spec, folders, places, isolated=runner.isolates)
        command = Command(
            argv=way.wrapped(self._argv(places, folders)),
            environment=task_environment(self.ready, self._spec, places) | way.environment(),
            folders=folders,
            limits=self._limits(),
            node=self._site.key,
            mark=self._mark,
            image=self._spec.image,
            image_name=self._spec.image_name,
        )
        with way.serving(log.write) as on_output:
            heard = KeepErrors(on_output)
            running = self._running(runner, command, heard, started_at)
            if runner.isolates and not (running.hold.cgroups or running.hold.container):
                self._supervision.watch_memory()
            try:
                self._site.guard.hold(self._mark, running.hold)
                outcome = self._judged(self._supervision.run(running, adopted=self._left is not None))
                return heard.judged(outcome) if self._spec.verdict == "record" else outcome
            finally:
                self._let_go(running)

    def _running(
        self, runner: Runner, command: Command, on_output: Callable[[bytes], object], started_at: int
    ) -> Running:
        """Made ready, and remembered where it can outlive us; or what was left."""
        if self._left is not None:
            running = runner.adopt(self._mark, on_output)
            self._is_loose = False
            return running
        self._is_loose = runner.name == "docker"
        running = runner.start(command, on_output)
        if running.hold.container:
            began = Left(
                ready=self.ready,
                moment=str(self._site.moment),
                boot=boot(),
                began=milliseconds(),
                started_at=started_at,
                container=running.hold.container,
                sight=self._sight,
            )
            try:
                remember(self._root, began)
            except OSError:
                running.finish()
                raise
        self._is_loose = False
        return running

    def _let_go(self, running: Running) -> None:
        """It has ended; or its engine is away, it runs on, and goes when that answers."""
        if running.finish():
            self._site.guard.drop(self._mark)
        else:
            self._site.owed.owe(self._mark)

    def _judged(self, outcome: Outcome) -> Outcome:
        """What was killed while nobody watched over it may have been killed by the watchdog, so it is not judged."""
        stopped = self._supervision.was_stopped or outcome.failure in (Failure.TIMEOUT, Failure.OUT_OF_MEMORY)
        if self._left is None or stopped or outcome.exit_code not in _UNJUDGED:
            return outcome
        reason = "it was killed after its executor was, and before another one went on with it"
        return Outcome(exit_code=-1, failure=Failure.NODE, reason=reason)

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

    # --- Its log and its report -----------------------------------------------------------------------------------

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
