"""The fingerprint: moved by everything an output may depend on, by nothing else, and by no clever choice of names."""

import re
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.fingerprint import COMPONENT_ORDER, fingerprint_of, framed_digest, impure_fingerprint, is_impure
from coordinator.ids import child_uuid, derive, first_task_uuid, job_uuid, request_uuid
from schemas.spec import Components


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


COMPONENTS = Components(**{name: digest(name) for name in COMPONENT_ORDER})
BOUND = {"genome": digest("hg38"), "k": digest("21")}
VALUES = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_it_is_the_same_for_ever():
    """Every fingerprint in every log depends on this one: another value would orphan all that was ever computed."""
    assert fingerprint_of(COMPONENTS, {}) == "9cb906531dac020ce56b95ac2273696098d9b119e9c698d87ab8d493381f9d89"
    assert fingerprint_of(COMPONENTS, BOUND) == "29d64d794af42a46084ee2dbc0db7d6864be7679e81be7c60fc735656006730e"


def test_no_component_is_forgotten():
    assert sorted(COMPONENT_ORDER) == sorted(Components.__struct_fields__)


@pytest.mark.parametrize("component", COMPONENT_ORDER)
def test_each_component_alone_moves_it(component):
    changed = msgspec.structs.replace(COMPONENTS, **{component: digest("another")})
    assert fingerprint_of(changed, BOUND) != fingerprint_of(COMPONENTS, BOUND)


def test_components_are_not_exchangeable():
    """The same digest under another name is another task: a parameter is no input."""
    swapped = msgspec.structs.replace(COMPONENTS, inputs=COMPONENTS.parameters, parameters=COMPONENTS.inputs)
    assert fingerprint_of(swapped, {}) != fingerprint_of(COMPONENTS, {})


@pytest.mark.parametrize(
    "bound",
    [
        {},
        {"genome": digest("hg38")},
        {**BOUND, "genome": digest("hg19")},
        {**BOUND, "extra": digest("1")},
        {"genome": digest("21"), "k": digest("hg38")},
        {"Genome": digest("hg38"), "k": digest("21")},
    ],
)
def test_what_is_bound_moves_it(bound):
    assert fingerprint_of(COMPONENTS, bound) != fingerprint_of(COMPONENTS, BOUND)


def test_the_order_of_binding_does_not():
    assert fingerprint_of(COMPONENTS, dict(reversed(BOUND.items()))) == fingerprint_of(COMPONENTS, BOUND)


# --- Framing ---------------------------------------------------------------------------------------------------------


def one_after_the_other(bound: dict[str, str]) -> str:
    """The simpler rule: digest the names and values one after the other."""
    return sha256("".join(name + bound[name] for name in sorted(bound)).encode()).hexdigest()


def line_by_line(bound: dict[str, str]) -> str:
    """The next simpler rule: separate them by characters that a name may contain too."""
    return sha256("".join(f"{name}:{bound[name]}\n" for name in sorted(bound)).encode()).hexdigest()


@pytest.mark.parametrize(
    ("simpler", "imitation"),
    [
        (one_after_the_other, {f"genome{BOUND['genome']}k": BOUND["k"]}),
        (line_by_line, {f"genome:{BOUND['genome']}\nk": BOUND["k"]}),
    ],
)
def test_no_parameter_can_be_named_so_as_to_imitate_two(simpler, imitation):
    assert simpler(imitation) == simpler(BOUND)
    assert fingerprint_of(COMPONENTS, imitation) != fingerprint_of(COMPONENTS, BOUND)


def test_no_parameter_can_imitate_a_component():
    last = COMPONENT_ORDER[-1]
    imitation = {last: getattr(COMPONENTS, last)}
    assert fingerprint_of(COMPONENTS, imitation) != fingerprint_of(COMPONENTS, {})


@given(one=st.dictionaries(st.text(max_size=6), VALUES, max_size=3), two=st.dictionaries(st.text(max_size=6), VALUES))
def test_different_bindings_never_meet(one, two):
    assert (fingerprint_of(COMPONENTS, one) == fingerprint_of(COMPONENTS, two)) == (one == two)


@given(one=st.lists(st.text(max_size=5), max_size=4), two=st.lists(st.text(max_size=5), max_size=4))
def test_a_framed_digest_tells_lists_apart(one, two):
    assert (framed_digest(one) == framed_digest(two)) == (one == two)


# --- Impure tasks, and uuids -----------------------------------------------------------------------------------------


def test_impure_work_shares_with_nobody():
    task = first_task_uuid("zzzzz-8i9sb-000000000000000")
    assert impure_fingerprint(task) == f"impure:{task}"
    assert is_impure(impure_fingerprint(task))
    assert not is_impure(fingerprint_of(COMPONENTS, {}))


def test_uuids_look_like_arvados_ones_and_keep_the_cluster():
    root = job_uuid("abcde-tpzed-000000000000000", digest("spec"), 0)
    for uuid in (root, first_task_uuid(root), child_uuid(first_task_uuid(root), 7)):
        assert re.fullmatch(r"abcde-8i9sb-[a-z0-9]{15}", uuid)
    assert re.fullmatch(r"zzzzz-8i9sb-[a-z0-9]{15}", first_task_uuid("some other name"))
    assert derive("kind", "part", prefix="abcde").startswith("abcde-8i9sb-")


def test_whoever_repeats_a_creation_names_the_same_thing():
    assert request_uuid("token", "/jobs", "req-1", b"{}") == request_uuid("token", "/jobs", "req-1", b"{}")
    assert job_uuid("owner", digest("spec"), 0) == job_uuid("owner", digest("spec"), 0)


def test_everything_that_makes_a_uuid_counts():
    root = "zzzzz-8i9sb-000000000000000"
    uuids = [
        first_task_uuid(root),
        child_uuid(root, 0),
        child_uuid(root, 1),
        job_uuid(root, "", 0),
        job_uuid(root, "", 1),
        job_uuid(root, "0", 0),
        request_uuid("a", "b", "c", b"d"),
        request_uuid("ab", "", "c", b"d"),
        request_uuid("a", "b", "c", b"e"),
        request_uuid("a", "b", "x", b"d"),
    ]
    assert len(set(uuids)) == len(uuids)
