"""What a pure task's token may ask, and the token itself."""

import json
from hashlib import md5
from urllib.parse import urlencode

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.canonical import canonical
from coordinator.purity import Request, Scope, allows, collections_of, hashes_of
from coordinator.signedtoken import BadToken
from coordinator.tasktoken import read, sign
from gateway.api.request import call
from gateway.api.schema import RESOURCES
from gateway.api.taskcaller import request_of
from schemas.spec import Components, TaskSpec

TASK, OTHER_TASK = "zzzzz-8i9sb-000000000000001", "zzzzz-8i9sb-000000000000002"
JOB, OTHER_JOB = "zzzzz-8i9sb-000000000000000", "zzzzz-8i9sb-000000000000009"
MINE, OTHERS = "a" * 32 + "+10", "b" * 32 + "+10"
SIGNATURE = "+A" + "c" * 40 + "@5f1a2b3c"
PURE = Scope(task=TASK, job=JOB, execution="token-1", is_pure=True, hashes=frozenset({MINE}))
KEY = b"k" * 32


def asked(action, kind, **more):
    return Request(action=action, kind=kind, **more)


KEEPS_PURITY = [
    asked("read", "discovery"),
    asked("read", "task", name=TASK),
    asked("read", "job", name=JOB),
    asked("read", "collection", name=MINE),
    asked("read", "collection", name=MINE + SIGNATURE),
    asked("read", "block", name=OTHERS + SIGNATURE, signed=True),
    asked("read", "block", name=MINE),
    asked("create", "block"),
    asked("create", "collection", fields=frozenset({"manifest_text"})),
    asked("create", "collection", name=MINE + SIGNATURE),
    asked("create", "task", parent=TASK, job=JOB),
    asked("update", "task", name=TASK, fields=frozenset({"progress", "success", "output"})),
]
LOSES_PURITY = [
    asked("read", "task", name=OTHER_TASK),
    asked("read", "task", name=JOB),
    asked("read", "job", name=OTHER_JOB),
    asked("list", "task"),
    asked("list", "job"),
    asked("list", "collection"),
    asked("read", "collection", name=OTHERS),
    asked("read", "collection", name="zzzzz-4zz18-000000000000000"),
    asked("read", "collection", name=MINE + "0"),
    asked("read", "block", name=OTHERS + SIGNATURE),
    asked("create", "collection", name=OTHERS),
    asked("create", "collection", fields=frozenset({"manifest_text", "name"})),
    asked("create", "collection", fields=frozenset({"manifest_text", "owner_uuid"})),
    asked("update", "collection", name=MINE),
    asked("delete", "collection", name=MINE),
    asked("create", "task", parent=OTHER_TASK, job=JOB),
    asked("create", "task", parent=TASK, job=OTHER_JOB),
    asked("create", "job"),
    asked("update", "task", name=OTHER_TASK, fields=frozenset({"progress"})),
    asked("update", "task", name=TASK, fields=frozenset({"parameters"})),
    asked("update", "task", name=TASK, fields=frozenset({"progress", "is_pure"})),
    asked("update", "job", name=JOB, fields=frozenset({"priority"})),
    asked("delete", "task", name=TASK),
    asked("read", "other", name="users/current"),
    asked("other", "job", name=JOB),
]


def _named(request_):
    """The same in every process: a set shows its members in any order."""
    return " ".join(filter(None, [*msgspec.structs.astuple(request_)[:-2], *sorted(request_.fields)]))


@pytest.mark.parametrize("request_", KEEPS_PURITY, ids=_named)
@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_what_the_fingerprint_holds_is_answered(request_, mode):
    assert allows(PURE, request_, mode) == "allow"


@pytest.mark.parametrize("request_", LOSES_PURITY, ids=_named)
def test_everything_else_is_denied_or_costs_purity(request_):
    assert allows(PURE, request_, "enforce") == "deny"
    assert allows(PURE, request_, "monitor") == "degrade"


@pytest.mark.parametrize("request_", KEEPS_PURITY + LOSES_PURITY, ids=_named)
@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_an_impure_tasks_token_is_not_held_back(request_, mode):
    assert allows(msgspec.structs.replace(PURE, is_pure=False), request_, mode) == "allow"


NAMES = st.sampled_from(["", TASK, OTHER_TASK, JOB, OTHER_JOB, MINE, OTHERS, MINE + SIGNATURE]) | st.text(max_size=40)
REQUESTS = st.builds(
    Request,
    action=st.sampled_from(["read", "list", "create", "update", "delete", "other"]),
    kind=st.sampled_from(["task", "job", "collection", "block", "discovery", "other"]),
    name=NAMES,
    parent=NAMES,
    job=NAMES,
    fields=st.frozensets(st.sampled_from(["progress", "success", "output", "parameters", "is_pure", "owner_uuid"])),
    signed=st.booleans(),
)


@given(REQUESTS)
def test_the_modes_differ_in_what_follows_and_in_nothing_else(request_):
    answers = allows(PURE, request_, "enforce"), allows(PURE, request_, "monitor")
    assert answers in (("allow", "allow"), ("deny", "degrade"))


@given(REQUESTS)
def test_nothing_that_is_read_depends_on_more_than_the_scope_names(request_):
    """Whatever is answered by content or by record is one of the few that the scope names."""
    if request_.action in ("read", "list") and allows(PURE, request_, "enforce") == "allow":
        named = request_.name.removesuffix(SIGNATURE) in (TASK, JOB, MINE)
        assert named or request_.kind == "discovery" or (request_.kind == "block" and request_.signed)


@given(REQUESTS)
def test_with_nothing_named_no_content_is_readable(request_):
    bare = Scope(task=TASK, job=JOB, execution="token-1", is_pure=True, hashes=frozenset())
    if request_.kind == "collection" and request_.action != "create":
        assert allows(bare, request_, "enforce") == "deny"


# --- A call in the rule's words --------------------------------------------------------------------------------------

FORM = {"content-type": "application/x-www-form-urlencoded"}


def ruled(verb, method, resource, body, uuid="", headers=FORM):
    raw = urlencode(body).encode() if headers is FORM else json.dumps(body).encode()
    asked_ = call(verb, f"/arvados/v1/{resource}/{uuid}", b"", headers, raw)
    return request_of(PURE, RESOURCES[resource], method, asked_, uuid)


@pytest.mark.parametrize("headers", [FORM, {}], ids=["form", "JSON"])
def test_the_rule_and_the_method_read_the_same_of_a_wrapped_body(headers):
    theirs = {"job_uuid": OTHER_JOB, "created_by_job_task_uuid": OTHER_TASK}
    both = {"job_task": json.dumps(theirs), "job_uuid": JOB, "created_by_job_task_uuid": TASK}
    request_ = ruled("POST", "create", "job_tasks", both, headers=headers)
    assert (request_.job, request_.parent) == (OTHER_JOB, OTHER_TASK)
    assert allows(PURE, request_, "enforce") == "deny"
    hidden = {"job_task": json.dumps({"progress": 1}), "is_pure": "false"}
    assert "is_pure" in ruled("PUT", "update", "jobs", hidden, TASK, headers).fields


def test_what_a_new_collection_says_it_holds_is_ruled_on():
    for body in ({"portable_data_hash": OTHERS}, {"collection": json.dumps({"portable_data_hash": OTHERS})}):
        assert ruled("POST", "create", "collections", body).name == OTHERS
    assert ruled("POST", "create", "collections", {"manifest_text": ". x"}).name == ""


# --- What parameters name --------------------------------------------------------------------------------------------


def test_hashes_are_those_of_inputs_code_and_all_that_parameters_name():
    manifest = f". {'d' * 32}+3+A{'e' * 40}@5f1a2b3c 0:3:file.txt\n"
    plain = f". {'d' * 32}+3 0:3:file.txt\n".encode()
    spec = TaskSpec(
        inputs={"in": MINE},
        code="1" * 32 + "+5",
        parameters=msgspec.Raw(
            canonical({"deep": [{"x": OTHERS}], "path": "2" * 32 + "+5/a/b", "n": 3, "m": manifest})
        ),
        components=Components(**dict.fromkeys(Components.__struct_fields__, "0" * 64)),
    )
    bound = msgspec.Raw(canonical({"reference": "3" * 32 + "+7", "name": "HLA+Apos"}))
    assert hashes_of(spec, bound) == {
        MINE, "1" * 32 + "+5", OTHERS, "2" * 32 + "+5", "3" * 32 + "+7", "d" * 32 + "+3",
        f"{md5(plain).hexdigest()}+{len(plain)}",
    }  # fmt: skip


# --- The token -------------------------------------------------------------------------------------------------------


def test_a_token_says_what_it_was_made_for():
    claims = read(sign(PURE, 100, KEY), 99, KEY)
    assert claims.scope(PURE.hashes, is_pure=True) == PURE
    assert not claims.scope(PURE.hashes, is_pure=False).is_pure, "purity is lost and does not come back"


def test_a_token_of_an_impure_task_never_becomes_a_pure_ones():
    impure = msgspec.structs.replace(PURE, is_pure=False)
    assert read(sign(impure, 100, KEY), 0, KEY).scope(PURE.hashes, is_pure=True) == impure


def refusal(text, now=0, key=KEY):
    with pytest.raises(BadToken) as refused:
        read(text, now, key)
    return str(refused.value)


def test_a_token_expires():
    assert refusal(sign(PURE, 100, KEY), now=100) == "it has expired"


def test_a_token_is_not_made_by_others():
    good = sign(PURE, 100, KEY)
    payload = jwt.decode(good, KEY, algorithms=["HS256"], options={"verify_exp": False})
    forged = [
        sign(PURE, 100, b"x" * 32),
        good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
        jwt.encode(payload, None, algorithm="none"),
        jwt.encode(payload | {"sub": OTHER_TASK}, b"y" * 32, algorithm="HS256"),
        jwt.encode(payload | {"iss": "somebody"}, KEY, algorithm="HS256"),
        jwt.encode(payload | {"more": 1}, KEY, algorithm="HS256"),
        jwt.encode({name: value for name, value in payload.items() if name != "exp"}, KEY, algorithm="HS256"),
        jwt.encode(payload | {"hashes": 1}, KEY, algorithm="HS256"),
        "", "a.b.c", good + "x", "Bearer " + good,
    ]  # fmt: skip
    assert {refusal(text) for text in forged} == {"it is not one of ours, or was changed"}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    refusal(text)


def test_a_token_stands_for_the_parameters_it_was_made_for():
    claims = read(sign(PURE, 100, KEY), 0, KEY)
    with pytest.raises(BadToken, match="made for other parameters"):
        claims.scope(PURE.hashes | {OTHERS}, is_pure=True)


def test_a_token_fits_a_header_whatever_its_task_names():
    many = frozenset(f"{number:032x}+{number}" for number in range(10_000))
    assert len(sign(msgspec.structs.replace(PURE, hashes=many), 2_000_000_000, KEY)) < 1000


def test_what_parameters_name_by_hash_is_known_with_the_parameters_name():
    spec = _named({"reads": [MINE, f"{OTHERS}/a/b"], "command": ["cat", f"$(file {'c' * 32}+7/x)"], "n": 3, "z": MINE})
    found = collections_of(spec, msgspec.Raw(canonical({"reference": {"genome": "d" * 32 + "+1"}})))
    assert found == {MINE: "reads", OTHERS: "reads", "c" * 32 + "+7": "command", "d" * 32 + "+1": "reference"}
    assert found.keys() <= hashes_of(spec, msgspec.Raw(canonical({"reference": {"genome": "d" * 32 + "+1"}})))


@pytest.mark.parametrize(
    "value",
    [
        f". {MINE} 0:10:a\n",
        [".", MINE, "0:10:a"],
        f"x{MINE}",
        f"a{MINE}",
        MINE.replace("+10", "+010"),
        MINE.replace("+10", ""),
        {MINE: 1},
    ],
)
def test_the_blocks_of_a_manifest_and_what_is_no_hash_name_no_collection(value):
    assert collections_of(_named({"input": value}), msgspec.Raw(b"{}")) == {}


def _named(parameters):
    none = dict.fromkeys(Components.__struct_fields__, "0" * 64)
    return TaskSpec(parameters=msgspec.Raw(canonical(parameters)), components=Components(**none))
