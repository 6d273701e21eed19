"""A proof's token: what it says, to whom, how long; and what an entry's inputs are, which it asks about."""

import string
from hashlib import md5
from types import SimpleNamespace

import jwt
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coordinator import purity, tasktoken
from coordinator.canonical import canonical
from coordinator.prooftoken import MOST, Proof, read, sign
from coordinator.signedtoken import BadToken
from coordinator.visibility import Standing, View
from gateway.api.dispatch import check_scopes
from gateway.api.errors import ApiError
from gateway.api.proving import standing
from gateway.api.request import call
from readmodel.census import People
from schemas.spec import Components, TaskSpec

KEY = b"k" * 32
MINE, OTHERS, FILE = "a" * 32 + "+10", "b" * 32 + "+20", "c" * 32 + "+30"
OWNER = "zzzzz-tpzed-d9tiejq69daie8f"
PROOF = Proof(owner=OWNER, repository="", hashes=(MINE,), expires_at=2_000_000_000)
EMPTY = msgspec.Raw(b"{}")
LETTERS = f"{string.ascii_letters}{string.digits}-_"  # that tokens are written in

CALM = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)  # a loaded machine says nothing
hashes = st.lists(
    st.builds("{:032x}+{}".format, st.integers(0, 2**128 - 1), st.integers(0, 10**9)), max_size=6, unique=True
)
proofs = st.builds(
    Proof,
    owner=st.text(max_size=40),
    repository=st.text(max_size=40),
    hashes=hashes.map(tuple),
    expires_at=st.integers(0, 2**40),
)


def refusal(text, now=0, key=KEY):
    with pytest.raises(BadToken) as refused:
        read(text, now, key)
    return str(refused.value)


@CALM
@given(proofs, st.integers(-(2**40), 2**41))
def test_it_says_what_it_was_made_for_until_its_time_is_over(proof, now):
    token = sign(proof, KEY)
    if now < proof.expires_at:
        assert read(token, now, KEY) == proof
    else:
        assert refusal(token, now) == "it has expired"


@CALM
@given(proofs, proofs)
def test_no_two_proofs_have_one_token(one, other):
    assume(one != other)
    assert sign(one, KEY) != sign(other, KEY)


@CALM
@given(proofs, st.data())
def test_a_token_in_which_anything_was_changed_is_none(proof, data):
    token = sign(proof, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.sampled_from(sorted({*LETTERS} - {token[place]})))
    changed += token[place + 1 :]
    if place == len(token) - 1:  # of the last digit some bits say nothing
        changed += "A"
    refusal(changed, -1)


def test_it_is_not_made_by_others_nor_taken_from_what_is_made_for_something_else():
    good = sign(PROOF, KEY)
    said = jwt.decode(good, KEY, algorithms=["HS256"], options={"verify_exp": False})
    scope = purity.Scope(task="t", job="j", execution="e", is_pure=True, hashes=frozenset({MINE}))
    forged = [
        sign(PROOF, b"x" * 32),
        tasktoken.sign(scope, PROOF.expires_at, KEY),
        jwt.encode(said, None, algorithm="none"),
        jwt.encode(said | {"iss": "crunch-reuse/task"}, KEY, algorithm="HS256"),
        jwt.encode(said | {"more": 1}, KEY, algorithm="HS256"),
        jwt.encode(said | {"hashes": MINE}, KEY, algorithm="HS256"),
        jwt.encode(said | {"hashes": [MINE] * (MOST + 1)}, KEY, algorithm="HS256"),
        *(jwt.encode({k: v for k, v in said.items() if k != name}, KEY, algorithm="HS256") for name in said),
        "", "a.b.c", good + "x",
    ]  # fmt: skip
    assert {refusal(text) for text in forged} == {"it is not one of ours, or was changed"}


def test_it_is_no_running_tasks_token():
    with pytest.raises(BadToken):
        tasktoken.read(sign(PROOF, KEY), 0, KEY)


def test_it_fits_into_a_header():
    many = tuple(f"{number:032x}+{2**63}" for number in range(MOST))
    assert len(sign(msgspec.structs.replace(PROOF, hashes=many), KEY)) < 8_000


# --- What the API makes of it -----------------------------------------------------------------------------------------


def opens(proof, verb, path):
    """Whether the token reaches a path of the API."""
    token = standing(None, People(None, View()), sign(proof, KEY), KEY)
    try:
        check_scopes(SimpleNamespace(token=token, is_of_a_machine=False), call(verb, path, b"", {}, b""))
    except ApiError as error:
        return error.status != 403
    return True


@CALM
@given(hashes, hashes)
def test_it_opens_reading_of_these_collections_and_of_no_other(named, others):
    proof = msgspec.structs.replace(PROOF, hashes=tuple(named))
    assert all(opens(proof, "GET", f"/arvados/v1/collections/{pdh}") for pdh in named)
    assert not any(opens(proof, "GET", f"/arvados/v1/collections/{pdh}") for pdh in {*others} - {*named})


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["", "/", f"/{MINE}/x", f"/{MINE[:-1]}", f"/{MINE}+A{'c' * 40}@5f1a2b3c", "/zzzzz-4zz18-000000000000000"]
)
def test_nothing_beside_it_is_opened(verb, path):
    assert not opens(PROOF, verb, f"/arvados/v1/collections{path}")
    assert not opens(PROOF, verb, f"/{MINE}")
    assert opens(PROOF, verb, f"/arvados/v1/collections/{MINE}") is (verb == "GET")


def test_who_is_shut_out_proves_nothing():
    people = People(None, View(users={OWNER: Standing(is_admin=True, is_active=False)}))
    with pytest.raises(ApiError) as refused:
        standing(None, people, sign(PROOF, KEY), KEY)
    assert refused.value.status == 401


def test_what_is_no_proof_is_left_to_others():
    for text in ("a.b.c", sign(msgspec.structs.replace(PROOF, expires_at=1), KEY), sign(PROOF, b"x" * 32)):
        assert standing(None, People(None, View()), text, KEY) is None


# --- What is asked about ----------------------------------------------------------------------------------------------


def spec(inputs=None, **parameters):
    digests = dict.fromkeys(Components.__struct_fields__, "0" * 64)
    components = Components(**digests)
    return TaskSpec(inputs=inputs or {}, parameters=msgspec.Raw(canonical(parameters)), components=components)


def test_all_that_inputs_and_parameters_name_has_to_be_read():
    bound = msgspec.Raw(canonical({"reference": {"deep": [f"{FILE}/genome.fa"]}}))
    assert purity.inputs_of(spec({"in": MINE}, reads=f"cat $(file {OTHERS}/x)", n=3), bound) == {MINE, OTHERS, FILE}
    assert purity.inputs_of(spec(**{f"{MINE}/a": 1}), EMPTY) == {MINE}
    assert purity.inputs_of(spec(n=1), EMPTY) == set()


@pytest.mark.parametrize("spelled", [f". {MINE} 0:10:a\n", [".", MINE, "0:10:a"], {"deep": [[".", MINE, "0:10:a"]]}])
def test_a_manifest_that_is_spelled_out_is_asked_for_by_its_hash(spelled):
    named = purity.inputs_of(spec(stream=spelled, other=OTHERS), EMPTY)
    manifest = f". {MINE} 0:10:a\n".encode()
    assert named == {f"{md5(manifest).hexdigest()}+{len(manifest)}", OTHERS}


@CALM
@given(st.dictionaries(st.sampled_from("abc"), hashes, max_size=2), hashes, hashes)
def test_whatever_is_named_anywhere_is_asked_about(deep, flat, inputs):
    named = {pdh for some in deep.values() for pdh in some} | {*flat} | {*inputs}
    found = purity.inputs_of(spec({str(i): pdh for i, pdh in enumerate(inputs)}, deep=deep, flat=" ".join(flat)), EMPTY)
    assert found == named
