"""From a job file, or a running task's request for a child, to what the log carries."""

import json
from hashlib import sha256

import msgspec
import pytest

from coordinator.canonical import BadTask, canonical
from coordinator.fingerprint import COMPONENT_ORDER, fingerprint_of
from coordinator.resolver import USE_HASH, ResolvedCode, ResolvedImage
from coordinator.taskspec import JOB_KEYS, TASK_KEYS, build, job, job_digest
from schemas.fields import MAX_SPEC_BYTES
from schemas.spec import Components, JobSpec, Resources, TaskSpec
from tests.support.catalogue import COLLECTION_UUID, COMMIT, IMAGE, NEWER, READS, TREE, Catalogue

CATALOGUE = Catalogue()
TASK = {
    "name": "count",
    "script": "count.py",
    "command": ["--k", "21"],
    "repository": "genomics",
    "commit": "main",
    "image": "python:3.11",
    "parameters": {"k": 21, "file": f"{READS}/a.fq"},
    "inputs": {"reads": "reads"},
    "outputs": ["counts.tsv"],
    "is_pure": True,
}


def task(**changes) -> TaskSpec:
    """The task above with other fields; None leaves one out."""
    described = {key: value for key, value in {**TASK, **changes}.items() if value is not None}
    return build(described, resolver=CATALOGUE)


def fingerprint(**changes) -> str:
    return fingerprint_of(task(**changes).components, {})


def refusal(description, make=build, resolver=CATALOGUE, **more) -> str:
    with pytest.raises(BadTask) as caught:
        make(description, resolver=resolver, **more)
    assert str(caught.value).startswith(caught.value.field)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- What is built ---------------------------------------------------------------------------------------------------


def test_a_task_is_resolved_to_what_is_addressed_by_content():
    spec = task()
    assert (spec.repository, spec.commit, spec.code) == ("genomics", COMMIT, TREE)
    assert (spec.image, spec.image_name) == (IMAGE, "python:3.11")
    assert spec.inputs == {"reads": READS}
    assert spec.ineligible == ""
    assert (spec.sequence, spec.priority, spec.resources) == (0, 0, Resources())


def test_the_task_sees_exactly_the_hashed_bytes():
    spec = task(parameters={"b": 1.0, "a": -0.0, "c": [1e2, "text"]})
    assert bytes(spec.parameters) == b'{"a":0,"b":1,"c":[100,"text"]}'
    assert spec.components.parameters == sha256(bytes(spec.parameters)).hexdigest()


def test_a_path_parameter_is_narrowed_to_that_file_and_stays_as_it_is_written():
    """One more file in the collection is another collection, and the same task."""
    larger = "c" * 32 + "+99"
    catalogue = Catalogue(files={f"{larger}/a.fq": "b" * 32 + "+50"})
    other = build({**TASK, "parameters": {"k": 21, "file": f"{larger}/a.fq"}}, resolver=catalogue)
    assert json.loads(bytes(task().parameters)) == {"k": 21, "file": "b" * 32 + "+50/a.fq"}
    assert other.components == task().components
    dotted = task(parameters={"file": f"{READS}+A{'0' * 40}@5f1a2b3c/./a.fq"})
    assert json.loads(bytes(dotted.parameters)) == {"file": "b" * 32 + "+50/./a.fq"}


def test_a_whole_collection_as_parameter_stays_itself():
    assert bytes(task(parameters={"input": READS}).parameters) == b'{"input":"%s"}' % READS.encode()


def test_every_key_of_a_task_is_read():
    spec = task(
        job_parameters=["genome", "build", "genome"], children="forbid", share="by_inputs", verdict="record",
        no_reuse=True, refresh=True, sequence=2, priority=-5, timeout="90s", name="N",
        resources={"cores": 2, "memory": "1.5GiB", "scratch": "10GB"}, outputs=["b", "./a//c", "b"],
    )  # fmt: skip
    assert spec.job_parameters == ("build", "genome")
    assert (spec.children, spec.share, spec.verdict) == ("forbid", "by_inputs", "record")
    assert (spec.no_reuse, spec.refresh, spec.sequence, spec.priority) == (True, True, 2, -5)
    assert (spec.timeout, spec.name) == (90_000, "N")
    assert spec.resources == Resources(cores=2, memory=1536, scratch=9537)
    assert spec.outputs == ("a/c", "b")
    assert set(TASK_KEYS) == {*TASK, "job_parameters", "children", "share", "verdict", "no_reuse", "refresh"} | {
        "sequence", "priority", "timeout", "resources",
    }  # fmt: skip


def test_one_text_as_command_is_a_line_for_the_shell():
    assert task(script=None, command="zcat *.gz | wc -l").command == ("sh", "-c", "zcat *.gz | wc -l")


def test_a_command_needs_no_code():
    spec = build({"command": ["true"]}, resolver=CATALOGUE)
    assert (spec.code, spec.commit, spec.image) == ("", "", "")


@pytest.mark.parametrize(("written", "milliseconds"), [("250ms", 250), ("1.5s", 1500), ("10m", 600_000), (0, 0)])
def test_times_have_units(written, milliseconds):
    assert task(timeout=written).timeout == milliseconds


# --- The fingerprint -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component", "change"),
    [
        ("commit", {"commit": "next"}),
        ("script", {"script": "count2.py"}),
        ("script", {"command": ["--k", "22"]}),
        ("script", {"command": ["--k 21"]}),
        ("image", {"image": None}),
        ("parameters", {"parameters": {"k": 22, "file": f"{READS}/a.fq"}}),
        ("inputs", {"inputs": {"more": "reads"}}),
        ("outputs", {"outputs": ["counts.csv"]}),
    ],
)
def test_what_the_output_depends_on_moves_its_component_alone(component, change):
    before, after = task().components, task(**change).components
    moved = [name for name in COMPONENT_ORDER if getattr(before, name) != getattr(after, name)]
    assert moved == [component]
    assert fingerprint(**change) != fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"resources": {"memory": "8GiB"}},
        {"resources": {"cores": 16}},
        {"resources": {"scratch": "1TiB"}},
        {"priority": 7},
        {"name": "another label"},
        {"timeout": "1h"},
        {"sequence": 3},
        {"repository": "mirror"},
        {"commit": COMMIT},
        {"image": IMAGE},
        {"inputs": {"reads": READS}},
        {"outputs": ["./counts.tsv", "counts.tsv"]},
        {"parameters": {"file": f"{READS}/a.fq", "k": 21.0}},
        {"share": "by_inputs"},
    ],
)
def test_what_it_does_not_depend_on_does_not(change):
    assert fingerprint(**change) == fingerprint()


def test_memory_in_the_key_would_block_reuse():
    """The simpler rule: hash the whole task. A retry with more memory would then never meet the first run."""
    whole = {sha256(msgspec.json.encode(task(resources={"memory": size}))).digest() for size in ("1GiB", "2GiB")}
    assert len(whole) == 2
    assert fingerprint(resources={"memory": "1GiB"}) == fingerprint(resources={"memory": "2GiB"})


# --- What is not content-addressed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"input": COLLECTION_UUID}, "parameters.input"),
        ({"a": [{"b": f"keep:{COLLECTION_UUID}/x.fq"}]}, "parameters.a[0].b"),
        ({COLLECTION_UUID: 1}, f"parameters.{COLLECTION_UUID}"),
    ],
)
def test_a_collection_uuid_runs_but_is_not_reused(parameters, field):
    assert task(parameters=parameters).ineligible == f"{field}: {USE_HASH}"


def test_what_only_resembles_a_collection_uuid_is_text():
    assert task(parameters={"name": f"x{COLLECTION_UUID}", "job": "zzzzz-8i9sb-0123456789abcde"}).ineligible == ""


def test_what_could_not_be_resolved_runs_but_is_not_reused_and_every_reason_is_kept():
    catalogue = Catalogue(
        codes={("genomics", "main"): ResolvedCode("", TREE, {"tree": TREE}, "branch main\nis not in the mirror")},
        images={"python:3.11": ResolvedImage("", {"name": "python:3.11"}, "no registry answers")},
    )
    spec = build({**TASK, "parameters": {"input": COLLECTION_UUID}}, resolver=catalogue)
    assert spec.ineligible.splitlines() == [
        "commit: branch main is not in the mirror",
        "image: no registry answers",
        f"parameters.input: {USE_HASH}",
    ]


# --- Jobs ------------------------------------------------------------------------------------------------------------


def test_in_a_job_file_the_parameters_are_the_jobs_and_the_first_task_depends_on_all():
    spec = job({**TASK, "parameters": {"genome": "hg38", "k": 21.0}}, resolver=CATALOGUE)
    assert {name: bytes(parameter.value) for name, parameter in spec.parameters.items()} == {
        "genome": b'"hg38"',
        "k": b"21",
    }
    assert spec.parameters["k"].digest == sha256(b"21").hexdigest()
    assert (spec.name, spec.task.name) == ("count", "count")
    assert (bytes(spec.task.parameters), spec.task.job_parameters) == (b"{}", "all")


def test_a_first_task_may_name_those_it_depends_on():
    described = {**TASK, "parameters": {"genome": "hg38", "k": 21}, "job_parameters": ["k"]}
    assert job(described, resolver=CATALOGUE).task.job_parameters == ("k",)
    described["job_parameters"] = ["ploidy"]
    assert refusal(described, job) == "job_parameters: 'ploidy' is none of this job's parameters"


def test_a_collection_uuid_in_a_jobs_parameters_is_refused_as_in_v1():
    described = {**TASK, "parameters": {"input": [COLLECTION_UUID]}}
    assert refusal(described, job) == f"parameters.input[0]: {USE_HASH}"


def test_a_path_in_a_jobs_parameters_is_resolved_too():
    spec = job({**TASK, "parameters": {"input": f"{READS}/a.fq"}}, resolver=CATALOGUE)
    assert bytes(spec.parameters["input"].value) == b'"%s+50/a.fq"' % (b"b" * 32)


def test_a_first_task_is_on_the_first_level():
    assert TASK_KEYS - {"sequence"} == JOB_KEYS
    assert refusal({**TASK, "sequence": 1}, job).startswith("sequence: no such key")


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "next"}, {"script": "other.py"}, {"parameters": {"k": 22}}, {"parameters": {}},
        {"repository": "mirror"}, {"image": IMAGE.replace("1", "2")}, {"children": "forbid"}, {"verdict": "record"},
        {"job_parameters": ["k"]}, {"job_parameters": []},
    ],
)  # fmt: skip
def test_find_or_create_tells_other_requests_apart(change):
    other = IMAGE.replace("1", "2")
    catalogue = Catalogue(images={other: ResolvedImage(other, {"image": other})})
    described = {**TASK, "parameters": {"k": 21}}
    one, two = job(described, resolver=catalogue), job({**described, **change}, resolver=catalogue)
    assert job_digest("zzzzz-tpzed-1", one) != job_digest("zzzzz-tpzed-1", two)


def test_find_or_create_takes_these_for_the_same():
    described = {**TASK, "parameters": {"k": 21}}
    base = job_digest("zzzzz-tpzed-1", job(described, resolver=CATALOGUE))
    for change in ({"priority": 3}, {"name": "again"}, {"resources": {"memory": "1GiB"}}, {"is_pure": False}):
        assert job_digest("zzzzz-tpzed-1", job({**described, **change}, resolver=CATALOGUE)) == base
    assert job_digest("zzzzz-tpzed-2", job(described, resolver=CATALOGUE)) != base


# --- Children --------------------------------------------------------------------------------------------------------

PARENT = task(
    sequence=1, priority=9, share="by_inputs", refresh=True, no_reuse=True, verdict="record", timeout="1h",
    job_parameters="all", resources={"memory": "2GiB"},
)  # fmt: skip


def child(parent: TaskSpec = PARENT, **described) -> TaskSpec:
    return build(described, resolver=CATALOGUE, defaults=parent)


def test_a_child_has_its_parents_code_and_limits():
    spec = child(parameters={"part": 1})
    for field in ("script", "command", "repository", "commit", "code", "image", "image_name", "resources", "timeout"):
        assert getattr(spec, field) == getattr(PARENT, field)
    for component in ("commit", "script", "image"):
        assert getattr(spec.components, component) == getattr(PARENT.components, component)
    assert (spec.sequence, spec.verdict) == (2, "record")


def test_a_child_has_its_own_data_and_makes_its_own_promises():
    spec = child()
    assert (bytes(spec.parameters), spec.inputs, spec.outputs) == (b"{}", {}, ())
    assert (spec.is_pure, spec.job_parameters) == (False, ())


def test_a_child_takes_nothing_along_that_is_its_jobs_owners_to_decide():
    spec = child()
    assert (spec.priority, spec.share, spec.refresh, spec.no_reuse) == (0, "visible", False, False)


def test_a_child_says_what_is_different():
    spec = child(command=["--part"], sequence=7, commit="next", verdict="exit_code", image="")
    assert (spec.script, spec.command, spec.sequence) == ("count.py", ("--part",), 7)
    assert (spec.repository, spec.commit, spec.verdict, spec.image, spec.image_name) == (
        "genomics",
        NEWER,
        "exit_code",
        "",
        "",
    )


def test_another_script_does_not_get_the_parents_arguments():
    assert child(script="merge.py").command == ()


def test_a_child_that_names_its_parents_code_itself_is_the_same_task():
    named = child(script="count.py", command=["--k", "21"], repository="genomics", commit="main", image="python:3.11")
    assert named.components == child().components


def test_what_could_not_be_resolved_for_the_parent_holds_for_a_child_that_inherits_it():
    reasons = "commit: no branch\nimage: no registry\nparameters.x: no hash"
    parent = msgspec.structs.replace(PARENT, ineligible=reasons)
    assert child(parent).ineligible == "commit: no branch\nimage: no registry"
    assert child(parent, image="python:3.11").ineligible == "commit: no branch"
    assert child(parent, image="", commit="main").ineligible == ""


def test_a_child_of_a_bare_command_can_name_no_script():
    parent = build({"command": ["true"]}, resolver=CATALOGUE)
    assert refusal({"script": "a.py"}, defaults=parent) == "script: there is no code to find it in: name a repository"


# --- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"comand": ["x"]}, "comand: no such key: did you mean command?"),
        ({"xyzzy": 1}, "xyzzy: no such key: known are children, command,"),
        ({"script": None, "command": None}, "script: nothing to run: give a script, a command, or both"),
        ({"script": None, "command": "  "}, "script: nothing to run"),
        ({"script": "../../etc/passwd"}, "script: '../../etc/passwd' leads out of its folder"),
        ({"script": "/bin/sh"}, "script: '/bin/sh' leads out of its folder"),
        ({"command": ["--k", 21]}, "command[1]: must be text, not 21: put it in quotes"),
        ({"command": {"a": 1}}, "command: must be a list of texts, not a mapping"),
        ({"commit": 1234567}, "commit: must be text, not 1234567: put it in quotes"),
        ({"commit": "gone"}, "commit: there is no ('genomics', 'gone')"),
        ({"image": "nowhere"}, "image: there is no nowhere"),
        ({"image": 3.11}, "image: must be text, not 3.11"),
        ({"inputs": ["reads"]}, "inputs: must be a mapping of names to values, not a list"),
        ({"inputs": {"reads": "missing.fq"}}, "inputs.reads: there is no missing.fq"),
        ({"inputs": {"a/b": "reads"}}, "inputs: the name 'a/b' can't be a folder's"),
        ({"inputs": {"..": "reads"}}, "inputs: the name '..' can't be a folder's"),
        ({"inputs": {"reads": 3}}, "inputs.reads: must be text, not 3"),
        ({"parameters": [1]}, "parameters: must be a mapping of names to values, not a list"),
        ({"parameters": {"a": [1, {"b": 2**60}]}}, "parameters.a[1].b: 1152921504606846976 is an integer beyond 2^53"),
        ({"parameters": {"a": float("nan")}}, "parameters.a: nan is not JSON"),
        ({"parameters": {"a": f"{READS}/gone.fq"}}, f"parameters.a: there is no {READS}/gone.fq"),
        ({"parameters": {"a": "x" * 10_000_000}}, f"parameters.a: larger than {MAX_SPEC_BYTES} bytes"),
        ({"outputs": "a"}, "outputs: must be a list of texts, not 'a'"),
        ({"outputs": ["a", "../b"]}, "outputs[1]: '../b' leads out of its folder"),
        ({"outputs": ["."]}, "outputs: an empty path names no output"),
        ({"is_pure": "yes"}, "is_pure: must be true or false, not 'yes'"),
        ({"is_pure": 1}, "is_pure: must be true or false, not 1"),
        ({"job_parameters": "genome"}, "job_parameters: must be a list of texts, not 'genome'"),
        ({"children": "maybe"}, "children: must be allow or forbid, not 'maybe'"),
        ({"sequence": -1}, "sequence: must be a whole number from 0 to"),
        ({"priority": True}, "priority: must be a whole number"),
        ({"priority": 1.5}, "priority: must be a whole number"),
        ({"resources": {"ram": "2GiB"}}, "resources.ram: no such key"),
        ({"resources": {"memory": 512}}, "resources.memory: must be a size with its unit, like 512MiB"),
        ({"resources": {"memory": "2gb"}}, "resources.memory: must be a size with its unit"),
        ({"resources": {"cores": 0}}, "resources.cores: must be a whole number from 1 to 4096, not 0"),
        ({"timeout": 600}, "timeout: must be a time with its unit, like 90s, 10m or 2h, not 600"),
        ({"timeout": "999999999999999d"}, "timeout: 999999999999999d is too large"),
        ({"name": "x" * 2000}, "name: Expected `str` of length <= 1024"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_that_names_the_field(change, error):
    described = {key: value for key, value in {**TASK, **change}.items() if value is not None}
    assert refusal(described).startswith(error)


@pytest.mark.parametrize("described", [[], "text", None, 3])
def test_a_description_is_a_mapping(described):
    assert "must be a mapping of names to values" in refusal(described)


def test_a_description_1500_levels_deep_is_refused():
    value: object = 1
    for _ in range(1500):
        value = {"a": value}
    assert refusal({**TASK, "parameters": value}).endswith("nested more than 64 levels deep")


def test_what_is_too_large_only_as_a_whole_is_refused():
    parameters = {f"p{index}": "é" * 100 for index in range(1150)}
    assert "bytes, at most 262144" in refusal({**TASK, "parameters": parameters}, job)


def test_a_spec_is_what_the_log_gives_back():
    spec = job({**TASK, "parameters": {"k": [1, {"a": None}]}}, resolver=CATALOGUE)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=JobSpec) == spec
    assert isinstance(spec.task.components, Components)
    assert canonical(json.loads(bytes(spec.parameters["k"].value))) == bytes(spec.parameters["k"].value)
