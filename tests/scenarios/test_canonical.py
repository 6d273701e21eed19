"""What people write: one spelling for equal values, two for different ones, and a clear no to what is neither."""

import datetime
import json
import re

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from coordinator.canonical import BadTask, canonical, digest, normalise, parse_json
from schemas.fields import MAX_SPEC_BYTES, MAX_VALUE_DEPTH
from tests.support.records import JSON_VALUES

SIGNATURE = "+A0123456789abcdef0123456789abcdef01234567@65f0c1a2"
LOCATOR = "acbd18db4cc2f85cedef654fccc4a4d8+3"


def refusal(call, *arguments) -> str:
    with pytest.raises(BadTask) as caught:
        call(*arguments)
    return str(caught.value)


# --- Numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1.0", "1"), ("1e0", "1"), ("-0.0", "0"), ("-0", "0"), ("0e10", "0"), ("1E2", "100"), ("100e-2", "1"),
        ("0.10", "0.1"), ("1e-7", "1e-7"), ("0.000001", "0.000001"), ("1e21", "1e+21"), ("1.5e300", "1.5e+300"),
        ("9007199254740992", "9007199254740992"), ("-9007199254740992", "-9007199254740992"),
        ("9007199254740991.0", "9007199254740991"), ("0.1000000000000000055511151231257827", "0.1"),
    ],
)  # fmt: skip
def test_a_number_has_one_spelling(text, stored):
    assert canonical(parse_json(text)) == stored.encode()
    assert canonical(parse_json(stored)) == stored.encode()


def test_one_and_one_point_zero_would_be_two_tasks_if_stored_as_written():
    """The simpler rule: store what was written, hash its canonical form. One hash, and two things that a task sees."""
    written = [b'{"k":1}', b'{"k":1.0}']
    assert len({rfc8785.dumps(json.loads(text)) for text in written}) == 1
    assert len({repr(json.loads(text)) for text in written}) == 2
    assert len({repr(parse_json(text)) for text in written}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993",
        "-9007199254740993",
        "9007199254740993.0",
        "1152921504606846976",
        "1e20",
        "1" * 25,
        "1" * 5000,
    ],
)
def test_an_integer_beyond_2_to_the_53_is_refused(text):
    assert "is an integer beyond 2^53, which JSON readers round: write it as text" in refusal(parse_json, text)


def test_integers_beyond_2_to_the_53_would_be_one_task():
    """The simpler rule: hash what a JSON reader makes of it. Two parameters, one fingerprint."""
    one, two = 2**53, 2**53 + 1
    assert rfc8785.dumps(float(one)) == rfc8785.dumps(float(two))
    assert "beyond 2^53" in refusal(normalise, two)
    assert canonical(normalise(one)) != canonical(normalise(one - 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json_is_refused(value):
    assert refusal(normalise, {"k": value}) == f"k: {value} is not JSON: write a finite number, or text"


@given(JSON_VALUES)
def test_normalising_again_changes_nothing_and_so_does_reading_back(value):
    try:
        once = normalise(value, "parameters")
    except BadTask:
        assume(False)
    assert canonical(normalise(once)) == canonical(once)
    assert canonical(parse_json(canonical(once))) == canonical(once)
    assert digest(once) == digest(parse_json(json.dumps(value)))


def test_the_order_of_keys_says_nothing():
    assert digest(parse_json('{"b":1,"a":[2,1]}')) == digest(parse_json('{ "a": [2, 1], "b": 1 }'))
    assert digest(parse_json('{"a":[1,2]}')) != digest(parse_json('{"a":[2,1]}'))


# --- Signature hints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (LOCATOR + SIGNATURE, LOCATOR),
        (f"{LOCATOR}+K@xyzzy{SIGNATURE}", LOCATOR),
        (f". {LOCATOR}{SIGNATURE} 0:3:a.txt\n", f". {LOCATOR} 0:3:a.txt\n"),
        (f". {LOCATOR}{SIGNATURE} 0:3:{LOCATOR}+Aname\n", f". {LOCATOR} 0:3:{LOCATOR}+Aname\n"),
        ("HLA+Apos", "HLA+Apos"),
        (f"see {LOCATOR}{SIGNATURE}", f"see {LOCATOR}{SIGNATURE}"),
        (f"{LOCATOR}+bogus", f"{LOCATOR}+bogus"),
    ],
)
def test_hints_go_only_where_the_whole_text_is_a_locator_or_a_manifest(written, stored):
    assert normalise({"deep": [{"down": written}]}) == {"deep": [{"down": stored}]}


def test_stripping_everything_that_looks_like_a_hint_would_make_two_samples_one():
    """The simpler rule, and what it does to names in use: both become `HLA`, and one sample is never computed."""

    def simpler(text: str) -> str:
        return re.sub(r"\+[A-Z][A-Za-z0-9@_-]*", "", text)

    assert simpler("HLA+Apos") == simpler("HLA+Bneg")
    assert digest(normalise({"sample": "HLA+Apos"})) != digest(normalise({"sample": "HLA+Bneg"}))


def test_the_same_block_signed_twice_is_one_parameter():
    later = SIGNATURE.replace("65f0c1a2", "65f0ffff")
    assert digest(normalise({"input": LOCATOR + SIGNATURE})) == digest(normalise({"input": LOCATOR + later}))


def test_keys_lose_their_signatures_too_and_may_not_meet():
    later = SIGNATURE.replace("65f0c1a2", "65f0ffff")
    assert normalise({LOCATOR + SIGNATURE: 1}) == {LOCATOR: 1}
    assert "stands twice once its signature is removed" in refusal(
        normalise, {LOCATOR + SIGNATURE: 1, LOCATOR + later: 2}
    )


# --- What is refused, and where it stands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"a":[1,2,3,{"b":1152921504606846976}]}', "parameters.a[3].b: 1152921504606846976 is an integer beyond 2^53"),
        ('{"a":[0,NaN]}', "parameters.a[1]: NaN is not JSON"),
        ('{"a":-Infinity}', "parameters.a: -Infinity is not JSON"),
        ('{"a":{"x":1,"x":1}}', 'parameters.a: the key "x" stands twice'),
        ('{"sample name":{"b":1e999}}', 'parameters["sample name"].b: 1e999 is a number too large'),
        ('{"a":"\\ud800"}', "parameters.a: half of a UTF-16 surrogate pair"),
        ('{"\\ud800":1}', "parameters: half of a UTF-16 surrogate pair"),
        ('{"a":"\\u0000"}', "parameters.a: the character U+0000 can't be stored"),
        ('{"a":1', "parameters: not JSON at line 1, column 7"),
        ("", "parameters: not JSON at line 1, column 1"),
        ("{'a':1}", "parameters: not JSON at line 1, column 2"),
        ('\ufeff{"a":1}', "parameters: not JSON at line 1, column 1"),
        (b'{"a":"\xff"}', "parameters: not UTF-8 text"),
        ("[" * 1500 + "]" * 1500, "parameters: nested more than 64 levels deep"),
        ('{"a":' * 1500 + "1" + "}" * 1500, "parameters: nested more than 64 levels deep"),
        ("[" * 100_000, "parameters: nested more than 64 levels deep"),
        ('"' + "x" * 10_000_000 + '"', f"parameters: larger than {MAX_SPEC_BYTES} bytes: put large values into a file"),
    ],
)
def test_a_refusal_names_the_place(text, error):
    assert refusal(parse_json, text, "parameters").startswith(error)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({1: "a"}, "the key 1 is not text: put it in quotes"),
        ({"when": datetime.date(2014, 12, 10)}, "when: a date is not JSON: put it in quotes"),
        ({"a": {1, 2}}, "a: a set is not JSON"),
        ({"a": b"x"}, "a: a bytes is not JSON"),
        ([2**20_000], "[0]: a number of more than 20 digits is an integer beyond 2^53"),
    ],
)
def test_what_only_yaml_can_say_is_refused(value, error):
    assert refusal(normalise, value).startswith(error)


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_depth_is_bounded_without_recursion_to_the_end():
    assert normalise(nested(MAX_VALUE_DEPTH)) == nested(MAX_VALUE_DEPTH)
    assert "nested more than 64 levels deep" in refusal(normalise, nested(MAX_VALUE_DEPTH + 1))
    assert "nested more than 64 levels deep" in refusal(normalise, nested(100_000))


def test_a_value_that_holds_itself_is_too_deep():
    value: list[object] = []
    value.append({"again": value})
    assert "nested more than 64 levels deep" in refusal(normalise, value)


def test_a_small_text_that_unfolds_to_a_large_value_is_too_large():
    """YAML's aliases: forty lines that would be a million million when written out."""
    value: object = "lol"
    for _ in range(40):
        value = [value, value]
    assert f"larger than {MAX_SPEC_BYTES} bytes" in refusal(normalise, value)


@given(st.text() | st.binary())
def test_any_text_is_a_value_or_a_refusal(text):
    try:
        value = parse_json(text, "parameters")
    except BadTask as error:
        said = str(error)
    else:
        said = f"parameters: {canonical(value)!r}"
    assert said.startswith("parameters")
