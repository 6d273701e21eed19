"""What crosses the wire: every field says what it means, every record keeps its bytes, and reads back as it was."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from schemas import asyncapi
from schemas.claims import Released
from schemas.codec import Envelope, NewerSchema, Undecodable, cause_head, decode, encode, encode_output, log_head
from schemas.jsonschema import schema_of
from schemas.log import SCHEMA_VERSION, Cause
from schemas.topics import Topic
from tests.support import golden
from tests.support.examples import CAUSE, every_record, full, minimal, parts_of
from tests.support.records import CAUSES, records

EVERY_RECORD = [pytest.param(*each, id=f"{each[0]}-{each[1]}") for each in every_record()]
EVERY_STRUCT = sorted({part for _, _, record in every_record() for part in parts_of(record)} | {Cause}, key=str)


@pytest.mark.parametrize("shape", EVERY_STRUCT, ids=lambda shape: shape.__name__)
def test_every_field_says_what_it_means(shape):
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        assert _description(field.type), f"{shape.__name__}.{field.name} has no description"


def _description(node):
    while isinstance(node, inspect.Metadata):
        if found := (node.extra_json_schema or {}).get("description"):
            return found
        node = node.type
    if isinstance(node, inspect.UnionType):
        return next(filter(None, map(_description, node.types)), None)
    return None


@pytest.mark.parametrize("shape", EVERY_STRUCT, ids=lambda shape: shape.__name__)
def test_every_struct_is_explained_and_cannot_change(shape):
    assert (shape.__doc__ or "").strip().endswith(".")
    assert shape.__struct_config__.frozen


@pytest.mark.parametrize(("topic", "tag", "record"), EVERY_RECORD)
def test_every_record_names_itself_and_refuses_unknown_fields(topic, tag, record):
    config = record.__struct_config__
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", tag)
    assert (config.tag_field, config.forbid_unknown_fields, config.omit_defaults) == ("type", True, True)


def test_the_generated_files_are_those_of_the_records():
    wanted, found = golden.wanted(), golden.found()
    differing = sorted(str(path) for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
    assert not differing, "run `python -m tests.support.golden --write`, and look at what it means for old logs"


@pytest.mark.parametrize(("topic", "tag", "record"), EVERY_RECORD)
def test_golden_bytes_read_back_as_the_record(topic, tag, record):
    complete, bare = (golden.ROOT / golden.GOLDEN / topic / f"{tag}.jsonl").read_bytes().splitlines()
    assert decode(topic, complete) == Envelope(v=1, cause=CAUSE, body=full(record))
    assert decode(topic, bare) == Envelope(v=1, body=minimal(record))


@pytest.mark.parametrize(("topic", "tag", "record"), EVERY_RECORD)
def test_a_full_example_sets_every_field(topic, tag, record):
    body = msgspec.json.decode(encode(full(record)))["body"]
    assert list(body) == ["type", *record.__struct_fields__]


@pytest.mark.parametrize("topic", Topic)
def test_the_json_schema_knows_every_record_and_allows_no_unknown_fields(topic):
    schema = schema_of(topic)
    assert set(schema["properties"]["body"]["discriminator"]["mapping"]) == {
        tag for each, tag, _ in every_record() if each is topic
    }
    objects = [schema, *(each for each in schema["$defs"].values() if each.get("type") == "object")]
    assert all(each["additionalProperties"] is False for each in objects)


def test_the_asyncapi_document_has_every_topic_and_all_that_it_refers_to():
    document = asyncapi.document()
    assert set(document["channels"]) == {topic.value for topic in Topic}
    said = {f"{topic}.{tag}" for topic, tag, _ in every_record()}
    assert set(document["components"]["messages"]) == said
    references = [*_references(document)]
    assert len(references) > len(said)
    for reference in references:
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]  # a KeyError names what is missing


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


@pytest.mark.parametrize("topic", Topic)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_record_reads_back_as_it_was(topic, data):
    body = data.draw(records(topic))
    cause = data.draw(st.none() | CAUSES)
    value = encode(body, cause)
    envelope = decode(topic, value)
    assert envelope == Envelope(v=SCHEMA_VERSION, cause=cause, body=body)
    assert encode(envelope.body, envelope.cause) == value


@settings(deadline=None, max_examples=60)
@given(data=st.data(), topic=st.sampled_from(Topic), cause=CAUSES)
def test_the_loops_short_way_to_bytes_writes_the_same_bytes(data, topic, cause):
    body = data.draw(records(topic))
    assert encode_output(cause_head(log_head(cause.log_id), cause.offset), cause.index, body) == encode(body, cause)


def test_defaults_are_left_out_but_the_version_is_always_there():
    value = encode(minimal(Released))
    assert value.startswith(b'{"v":1,"body":{"type":"released","fingerprint":"')
    assert b"reason" not in value


def test_a_newer_record_stops_the_reader_instead_of_being_refused():
    newer = b'{"v":%d,"body":{"type":"aged","before":1,"since":"a field of the future"}}'
    assert isinstance(decode(Topic.CLAIMS, newer % SCHEMA_VERSION), Undecodable)
    with pytest.raises(NewerSchema, match="schema version 2, this code knows 1: upgrade it"):
        decode(Topic.CLAIMS, newer % (SCHEMA_VERSION + 1))
    with pytest.raises(NewerSchema):
        decode(Topic.CLAIMS, b'{"v":2,"body":{"type":"aged","before":1}}')
    with pytest.raises(NewerSchema):
        decode(Topic.CLAIMS, b'{"v":2,"body":{"type":"unheard_of"}}')
