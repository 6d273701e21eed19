"""The topics as an AsyncAPI 3 document, for people and tools that know Kafka and not this project.

It is made from the same records as everything else; `docs/asyncapi.json` holds the generated text. Who writes and who
reads a topic is the table of docs/architecture.md; keys and partitions are those of schemas/topics.py.
"""

import json
from typing import Any

from schemas.jsonschema import schema_of
from schemas.log import SCHEMA_VERSION
from schemas.topics import KEY_FIELD, Topic, members

VERSION = "3.0.0"
PREFIX = "crunch-reuse."  # before each topic's name in Kafka, if nothing else is configured
ABOUT: dict[Topic, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    Topic.SETTINGS: ("Users, groups, grants and numbers that decisions depend on", ("api",), ("forwarder",)),
    Topic.TASKS: (
        "What is asked of jobs, and what became of their tasks",
        ("api", "claims machine"),
        ("jobs machine",),
    ),
    Topic.CLAIMS: (
        "Who wants which output, and what is said of executions",
        ("jobs machine", "executor", "verifier", "api", "dispatch machine", "operator"),
        ("claims machine",),
    ),
    Topic.WORK: ("What is to be run, and what nodes say", ("claims machine", "executor"), ("dispatch machine",)),
    Topic.ASSIGNMENTS: ("What each node is to do", ("dispatch machine",), ("executor",)),
    Topic.FACTS: (
        "What was decided: the machines' public output",
        ("jobs machine", "claims machine", "forwarder"),
        ("projector", "api", "audit", "views"),
    ),
}
"""Of each topic: what it carries, who writes it, who reads it."""


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "crunch-reuse",
            "version": f"schema {SCHEMA_VERSION}",
            "description": "A computation that was already done is never done again. Records are JSON: an envelope with"
            " the schema version, the record's cause, and its body, told apart by `type`.",
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "Apache Kafka 4"}},
        "channels": {topic.value: _channel(topic) for topic in Topic},
        "operations": dict(operation for topic in Topic for operation in _operations(topic)),
        "components": {
            "messages": {
                f"{topic}.{tag}": _message(topic, tag, record) for topic in Topic for tag, record in _tagged(topic)
            },
            "schemas": {topic.value: _embedded(topic) for topic in Topic},
        },
    }


def text() -> str:
    """The document as it stands in `docs/asyncapi.json`."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _tagged(topic: Topic) -> list[tuple[str, Any]]:
    return [(str(record.__struct_config__.tag), record) for record in members(topic)]


def _channel(topic: Topic) -> dict[str, Any]:
    key = KEY_FIELD[topic]
    keyed = f"keyed by `{key}`" if key else "written to partitions by number, or keyed by job or fingerprint"
    return {
        "address": f"{PREFIX}{topic}",
        "title": topic.value,
        "description": f"{ABOUT[topic][0]}; {keyed}. Keys go to partitions by murmur2, as Kafka's own clients do it.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {tag: {"$ref": f"#/components/messages/{topic}.{tag}"} for tag, _ in _tagged(topic)},
        "bindings": {"kafka": {"topic": f"{PREFIX}{topic}", "bindingVersion": "0.5.0"}},
    }


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    channel = {"$ref": f"#/channels/{topic}"}
    return [
        (f"{action}-{topic}", {"action": action, "channel": channel, "title": f"{topic}: {', '.join(who)}"})
        for action, who in (("send", ABOUT[topic][1]), ("receive", ABOUT[topic][2]))
    ]


def _message(topic: Topic, tag: str, record: Any) -> dict[str, Any]:
    return {
        "name": tag,
        "title": record.__name__,
        "summary": " ".join((record.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": {
            "allOf": [
                {"$ref": f"#/components/schemas/{topic}"},
                {
                    "type": "object",
                    "properties": {"body": {"$ref": f"#/components/schemas/{topic}/$defs/{record.__name__}"}},
                },
            ]
        },
    }


def _embedded(topic: Topic) -> Any:
    """The topic's schema with its references made absolute within the document."""
    return _moved(schema_of(topic), f"#/components/schemas/{topic}/$defs/")


def _moved(node: Any, place: str) -> Any:
    if isinstance(node, dict):
        return {name: _moved(value, place) for name, value in node.items() if name != "$schema"}
    if isinstance(node, list):
        return [_moved(value, place) for value in node]
    return node.replace("#/$defs/", place) if isinstance(node, str) and node.startswith("#/$defs/") else node
