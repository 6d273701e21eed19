"""What is to be run: the task's specification, the digests its fingerprint is made of, and the job around it."""

from typing import Annotated, Literal

from msgspec import Meta, Raw, field

from schemas.fields import EMPTY_OBJECT, Count, Digest, Locator, Mebibytes, Milliseconds, Name, Part, Path, Signed, Text

SCRIPTS = "crunch_scripts/"  # where a repository keeps the scripts that Crunch v1's jobs name


class Resources(Part, frozen=True, kw_only=True):
    """What a task needs of a node; never part of its fingerprint."""

    cores: Annotated[int, Meta(ge=1, le=4096, description="processor cores, whole; source: job file")] = 1
    memory: Annotated[Mebibytes, Meta(description="memory in MiB, hard limit; source: job file")] = 256
    scratch: Annotated[Mebibytes, Meta(description="scratch and output space in MiB, hard limit")] = 1024


class Components(Part, frozen=True, kw_only=True):
    """What a pure task's output may depend on: SHA-256 of the RFC 8785 canonical JSON of each; made at the edge."""

    commit: Annotated[Digest, Meta(description="repository-independent commit, or tree of plain files")]
    script: Annotated[Digest, Meta(description="script path and argument vector")]
    image: Annotated[Digest, Meta(description="image content digest, or the host's identity where there is no image")]
    parameters: Annotated[Digest, Meta(description="the task's own parameters, normalised and hint-free")]
    inputs: Annotated[Digest, Meta(description="name to portable data hash of each input")]
    outputs: Annotated[Digest, Meta(description="declared output paths")]


class TaskSpec(Part, frozen=True, kw_only=True):
    """A unit of work as its author described it, with everything resolved that was not content-addressed."""

    name: Annotated[Name, Meta(description="label for people; not part of the fingerprint")] = ""
    script: Annotated[Path, Meta(description="path of the script inside the code tree, or empty")] = ""
    command: Annotated[
        tuple[Annotated[str, Meta(max_length=131072)], ...],
        Meta(max_length=4096, description="argument vector; follows the script where both are given"),
    ] = ()
    repository: Annotated[Name, Meta(description="where the code came from; not part of the fingerprint")] = ""
    commit: Annotated[Name, Meta(description="full git commit (40 hex digits), or empty for plain files")] = ""
    code: Annotated[Locator, Meta(description="portable data hash of the code tree in the store; empty: no code")] = ""
    image: Annotated[Name, Meta(description="image content digest `sha256:…`; empty: the host's own environment")] = ""
    image_name: Annotated[Name, Meta(description="the image as the author named it; not part of the fingerprint")] = ""
    parameters: Annotated[Raw, Meta(description="JSON object, normalised and hint-free: exactly the hashed value")] = (
        EMPTY_OBJECT
    )
    inputs: Annotated[
        dict[Name, Locator], Meta(description="input name to portable data hash of a collection, mounted read-only")
    ] = field(default_factory=dict)
    outputs: Annotated[tuple[Path, ...], Meta(description="declared output paths; empty: all that it leaves")] = ()
    is_pure: Annotated[bool, Meta(description="promised: the output depends on the fingerprint alone")] = False
    ineligible: Annotated[Text, Meta(description="why a task declared pure can't be reused; empty: it can")] = ""
    job_parameters: Annotated[
        tuple[Name, ...] | Literal["all"], Meta(description="parameters of its job it depends on, by name")
    ] = ()
    children: Annotated[Literal["allow", "forbid"], Meta(description="may it queue tasks while it runs")] = "allow"
    share: Annotated[
        Literal["visible", "by_inputs"], Meta(description="given to readers of the owner, or to provers of the inputs")
    ] = "visible"
    verdict: Annotated[
        Literal["exit_code", "record"],
        Meta(description="success by exit code 0, or by the task's own record alone as in Crunch v1"),
    ] = "exit_code"
    no_reuse: Annotated[bool, Meta(description="neither takes outputs of others nor gives its own")] = False
    refresh: Annotated[bool, Meta(description="executes although an entry exists; gives its own output")] = False
    sequence: Annotated[Count, Meta(description="level in the job: levels are barriers, lowest first")] = 0
    priority: Annotated[Signed, Meta(description="higher first; not part of the fingerprint")] = 0
    resources: Annotated[Resources, Meta(description="what it needs of a node")] = Resources()
    timeout: Annotated[Milliseconds, Meta(description="longest run in ms, then it is killed; 0: unlimited")] = 0
    components: Annotated[Components, Meta(description="digests the fingerprint is made of")]


class JobParameter(Part, frozen=True, kw_only=True):
    """One parameter of a job, with the digest that binding it into a task's fingerprint needs."""

    value: Annotated[Raw, Meta(description="any JSON value, normalised and hint-free")]
    digest: Annotated[Digest, Meta(description="SHA-256 of the value's canonical JSON; computed at the edge")]


class JobSpec(Part, frozen=True, kw_only=True):
    """What a user asked for: the first task, and the parameters its tasks may name."""

    name: Annotated[Name, Meta(description="label for people")] = ""
    parameters: Annotated[
        dict[Name, JobParameter],
        Meta(description="the job's script_parameters, one by one; only its tasks may name them"),
    ] = field(default_factory=dict)
    task: Annotated[TaskSpec, Meta(description="the first task; sequence 0")]
