"""A system's events as an AsyncAPI 3.0 document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from atoll.wire import cloudevents, subjects
from atoll.wire.description import ConsumerData, Description, MemberData, TopicData
from atoll.wire.schema import REFERENCE, Schema, without_empty

BINDING = "0.1.0"
"""The version of AsyncAPI's NATS binding."""

# Nobody but a laptop or a cluster knows where its broker is: the document leaves the address to its reader.
SERVER: Mapping[str, object] = {
    "host": "{broker}",
    "protocol": "nats",
    "description": "NATS with JetStream. Each service has an account that may use its own topics and consumers alone.",
    "variables": {"broker": {"description": "Host and port of the broker.", "default": "nats:4222"}},
    "security": [{"$ref": "#/components/securitySchemes/account"}],
}
ACCOUNT: Mapping[str, object] = {"type": "userPassword", "description": "The service's own user of the broker."}


def asyncapi(description: Description, version: str) -> Schema:
    """The document: a channel per topic, an operation per publisher and handler, the same bytes for the same system.

    version: of the events, for its `info`.
    """
    topics = description.topics
    return {
        "asyncapi": "3.0.0",
        "info": {"title": description.name, "version": version},
        "defaultContentType": "application/json",
        "servers": {"nats": SERVER} if topics else {},  # a system without topics is given no broker
        "channels": {topic.name: _channel(description, topic) for topic in topics},
        "operations": {
            name: operation for member in description.members for name, operation in _operations(description, member)
        },
        "components": {
            "messages": {topic.name: _message(description, topic) for topic in topics},
            "schemas": _named(description, [topic.schema for topic in topics]),
            "securitySchemes": {"account": ACCOUNT},
        },
    }


def _channel(description: Description, topic: TopicData) -> Schema:
    ordered = f"Events of the same {topic.key} are kept in order." if topic.key else "No order is kept."
    return {
        "address": subjects.subject(description.name, topic.name),
        "servers": [{"$ref": "#/servers/nats"}],
        "description": f"Kept by JetStream in the stream {subjects.stream(description.name, topic.name)}. {ordered}",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
    }


def _operations(description: Description, member: MemberData) -> Iterator[tuple[str, Schema]]:
    """What one service sends, then what it receives, each under a name that stays when topics are added."""
    for topic in member.publishes:
        yield f"{member.name}.publish.{topic}", _operation("send", member, topic)
    for consumer in member.consumes:
        yield f"{member.name}.{consumer.method}", _receive(description, member, consumer)


def _operation(action: str, member: MemberData, topic: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{topic}"}],
        "tags": [{"name": member.name}],
    }


def _receive(description: Description, member: MemberData, consumer: ConsumerData) -> Schema:
    durable = subjects.durable(member.name, consumer.method)
    once = "made once by an inbox in the handler's transaction" if consumer.transactional else "for it may be repeated"
    return {
        **_operation("receive", member, consumer.topic),
        "description": f"Each event is handled at least once, {once}.",
        # What a queue is to NATS itself, a durable consumer is to JetStream: its replicas share the events.
        "bindings": {"nats": {"queue": durable, "bindingVersion": BINDING}},
        "x-jetstream-consumer": {"stream": subjects.stream(description.name, consumer.topic), "durable": durable},
    }


def _message(description: Description, topic: TopicData) -> Schema:
    named = description.schemas.get(_reference(topic.schema), {})
    return without_empty(
        {
            "name": cloudevents.event_type(description.name, topic.name),
            "title": _reference(topic.schema),
            "summary": named.get("description", ""),
            "contentType": cloudevents.CONTENT_TYPE,
            "headers": cloudevents.schema(description.name, topic.publisher, topic.name, topic.key),
            "correlationId": {
                "location": "$message.header#/traceparent",
                "description": "The trace that it is part of.",
            },
            "payload": _draft_7(topic.schema),
        }
    )


def _named(description: Description, roots: Sequence[Schema]) -> dict[str, object]:
    """The named schemas that these refer to, directly or not, sorted by name."""
    found: set[str] = set()
    waiting = [name for root in roots for name in _references(root)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(description.schemas[name])
    return {name: _draft_7(description.schemas[name]) for name in sorted(found)}


def _references(value: object) -> Iterator[str]:
    """The names of all schemas that this one mentions."""
    if isinstance(value, Mapping):
        row = cast(Mapping[str, object], value)
        if name := _reference(row):
            yield name
        for each in row.values():
            yield from _references(each)
    elif isinstance(value, list | tuple):
        for each in cast(Sequence[object], value):
            yield from _references(each)


def _reference(schema: Mapping[str, object]) -> str:
    """The name of the schema that this one is a reference to; "" if it is none."""
    target, prefix = schema.get("$ref"), REFERENCE.format(name="")
    return target.removeprefix(prefix) if isinstance(target, str) and target.startswith(prefix) else ""


def _draft_7(value: object) -> object:
    """The same schema in the words of AsyncAPI, whose JSON Schema is of draft 7: it says otherwise what a tuple is."""
    if isinstance(value, Mapping):
        row = {name: _draft_7(each) for name, each in cast(Mapping[str, object], value).items()}
        if isinstance(row.get("prefixItems"), list):
            row["additionalItems"] = row.pop("items", True)
            row["items"] = row.pop("prefixItems")
        return row
    if isinstance(value, list | tuple):
        return [_draft_7(each) for each in cast(Sequence[object], value)]
    return value
