"""Whatever bytes stand in a topic, reading them gives a record, a typed refusal, or a stop for a newer version."""

import sys

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.claims import Requested
from schemas.codec import Envelope, NewerSchema, Undecodable, decode, encode
from schemas.fields import MAX_RECORD_BYTES, MAX_RECORD_DEPTH, MAX_VALUE_DEPTH
from schemas.nesting import depth
from schemas.reasons import Reason
from schemas.topics import Topic
from tests.support.examples import CAUSE, every_record, full

GOLDEN = [(topic, encode(full(record))) for topic, _, record in every_record()]
TOPICS = st.sampled_from(list(Topic))
DEEP = 1500
JUNK = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5000, b"-", b"01", b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"',
    b'{"k":1,"k":2}', b'{"\xff":1}', b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"[" * DEEP,
    b"\x00", b'"\\u0000"', b"null", b"{}", b"[]", b'""', b"true", b"1.5", b"/*", b"\xef\xbb\xbf",
]  # fmt: skip


def check(topic: Topic, value: bytes) -> Envelope | Undecodable | None:
    """Read it, and hold the result to its promises."""
    try:
        result = decode(topic, value)
    except NewerSchema:
        return None
    if isinstance(result, Undecodable):
        assert result.reason in (Reason.UNDECODABLE, Reason.TOO_LARGE)
        assert result.detail
        return result
    assert isinstance(result, Envelope)
    again = encode(result.body, result.cause)
    assert decode(topic, again) == result
    if result.cause is None:  # nothing in it is left that a later reader could break on
        msgspec.json.decode(again)
        assert depth(again) <= MAX_RECORD_DEPTH
    return result


@settings(deadline=None, max_examples=300)
@given(topic=TOPICS, value=st.binary(max_size=300))
@example(topic=Topic.CLAIMS, value=b"")
@example(topic=Topic.CLAIMS, value=b"null")
@example(topic=Topic.CLAIMS, value=b'{"v":true,"body":{}}')
@example(topic=Topic.CLAIMS, value=b'{"v":1e400,"body":{}}')
def test_any_bytes_at_all(topic, value):
    check(topic, value)


@settings(deadline=None, max_examples=600)
@given(
    record=st.sampled_from(GOLDEN),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=4) | st.sampled_from(JUNK)),
        min_size=1,
        max_size=3,
    ),
)
def test_a_record_with_bytes_changed_left_out_or_put_in(record, edits):
    topic, value = record
    for place, length, junk in edits:
        start = int(place * len(value))
        value = value[:start] + junk + value[start + length :]
    check(topic, value)


@settings(deadline=None, max_examples=300)
@given(record=st.sampled_from(GOLDEN), data=st.data())
def test_a_record_with_any_value_in_any_field(record, data):
    topic, value = record
    plain = msgspec.json.decode(value)
    holder = data.draw(st.sampled_from([plain, plain["body"]]))
    field = data.draw(st.sampled_from([*holder, "unheard_of"]))
    holder[field] = msgspec.Raw(data.draw(st.sampled_from(JUNK)))
    check(topic, msgspec.json.encode(plain))


@pytest.mark.parametrize(("topic", "value"), GOLDEN, ids=lambda each: each if isinstance(each, Topic) else "")
def test_a_record_that_ends_too_early(topic, value):
    for end in range(0, len(value), 7):
        assert isinstance(check(topic, value[:end]), Undecodable)


def test_too_many_bytes_are_not_even_read():
    refusal = decode(Topic.CLAIMS, b" " * (MAX_RECORD_BYTES + 1))
    assert refusal == Undecodable(
        Reason.TOO_LARGE, f"{MAX_RECORD_BYTES + 1} bytes, at most {MAX_RECORD_BYTES} are read"
    )


# --- JSON that decoding passes over unread --------------------------------------------------------------------------


def requested(spec: bytes, cause: object = None) -> bytes:
    body = Requested(fingerprint="f", task="t", root="r", owner="o", spec=msgspec.Raw(spec))
    return encode(body, cause)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (b'{"name":"\xff"}', "can't decode byte 0xff"),
        (b'{"\xff":1}', "can't decode byte 0xff"),
        (b'"\xed\xa0\x80"', "can't decode byte 0xed"),
        (b'{"k":1e999}', "out of range"),
        (b"[" * DEEP + b"]" * DEEP, "nested 1502 levels deep"),
        (b"[" * 500 + b"]" * 500, "nested 502 levels deep"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested 1502 levels deep"),
    ],
)
def test_a_command_from_outside_is_read_whole(spec, what):
    refusal = decode(Topic.CLAIMS, requested(spec))
    assert isinstance(refusal, Undecodable)
    assert what in refusal.detail


def test_a_raw_that_was_only_passed_over_would_break_its_first_reader():
    """The simpler rule: trust the decoder, which skips a Raw. It lets bytes in that are no JSON."""
    spec = b'{"name":"\xff"}'
    passed_over = msgspec.json.Decoder(Envelope[Requested]).decode(requested(spec))
    with pytest.raises(UnicodeDecodeError):
        msgspec.json.decode(passed_over.body.spec)


def test_the_deepest_value_that_people_may_write_passes():
    spec = b"[" * MAX_VALUE_DEPTH + b"]" * MAX_VALUE_DEPTH
    assert isinstance(decode(Topic.CLAIMS, requested(spec)), Envelope)
    assert isinstance(decode(Topic.CLAIMS, requested(spec, CAUSE)), Envelope)


def test_depth_is_refused_alike_however_much_stack_is_left():
    """The simpler rule: refuse where the parser's recursion ends. That is elsewhere in each Python and each caller."""
    values = [requested(b"[" * levels + b"]" * levels) for levels in (DEEP, 700, 300, 78, 77)]

    def read(levels: int) -> list[object]:
        return read(levels - 1) if levels else [type(decode(Topic.CLAIMS, value)) for value in values]

    expected = [Undecodable, Undecodable, Undecodable, Envelope, Envelope]
    assert read(0) == expected
    assert read(sys.getrecursionlimit() // 2) == expected


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (b"1", 0), (b"[]", 1), (b'{"a":[]}', 2), (b'{"a":[],"b":[{}]}', 3), (b'"[[["', 0), (b'["\\"[["]', 1),
        (b'"[\\\\"[', 1), (b'"[[', 0), (b"]]][", 0), (b'["\\', 1), (b"", 0),
    ],
)  # fmt: skip
def test_depth_counts_brackets_outside_text(text, levels):
    assert depth(text) == levels


def test_depth_takes_time_linear_in_the_length():
    """Text without an end is passed over once: a million quotes are as quick as a million brackets."""
    for text in (b'"\\"' * 300_000, b'"' * 999_999, b"[" * 1_000_000, b'\\"' * 500_000):
        assert depth(text) in (0, 1_000_000)
