"""An event made ready to be sent."""

import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from atoll.errors import BAD_EVENT, UNDECLARED_TOPIC, EventError
from atoll.model.resources import AnyTopic
from atoll.runtime.context import current, new_span_id, new_trace_id
from atoll.runtime.telemetry import Telemetry
from atoll.wire import cloudevents
from atoll.wire.codec import encoder, texts
from atoll.wire.headers import traceparent

MOST_BYTES = 1_000_000
"""Of an event as JSON. NATS takes messages of 1 MiB, headers included."""

MOST_KEY = 256
"""Characters of a key."""


class Outgoing(msgspec.Struct, frozen=True):
    """What the stream gets. headers: as they stand in the message."""

    id: str
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes


class Writer:
    """Turns a service's events into messages, each with a producer span.

    topics: those that the service declares.
    """

    def __init__(self, system: str, service: str, topics: Iterable[AnyTopic], telemetry: Telemetry) -> None:
        self._system = system
        self._source = cloudevents.event_source(system, service)
        self._topics = {topic.name: (topic, encoder(topic.type)) for topic in topics}
        self._recorder = telemetry.recorder

    def write(self, topic: AnyTopic, event: object, event_id: str = "") -> Outgoing:
        """The event as a message. Raises EventError: the topic is not declared, the value is not of its type."""
        start = time.monotonic_ns()
        if topic.name not in self._topics:
            raise EventError(
                UNDECLARED_TOPIC.at(has=sorted(self._topics), service=self._source.rpartition("/")[2], topic=topic.name)
            )
        declared, encode = self._topics[topic.name]
        kind: object = declared.type  # by the annotation a class; users also write list[...] and unions
        if isinstance(kind, type) and not isinstance(event, kind):
            raise _bad(topic, f"a {type(event).__name__} is no {kind.__name__}")
        try:
            payload = encode(event)
        except (TypeError, ValueError) as error:
            raise _bad(topic, str(error)) from error
        if len(payload) > MOST_BYTES:
            raise _bad(topic, f"the event has {len(payload):,} bytes, {MOST_BYTES:,} are allowed")
        value = getattr(event, declared.key) if declared.key else ""
        key = value if type(value) is str else "".join(texts(value))
        if len(key) > MOST_KEY:
            raise _bad(topic, f"the key {declared.key} has {len(key)} characters, {MOST_KEY} are allowed")
        return self._with_headers(topic.name, event_id or new_event_id(), key, payload, start)

    def _with_headers(self, topic: str, event_id: str, key: str, payload: bytes, start: int) -> Outgoing:
        context = current.get()
        trace_id, parent_id, sampled = (
            (context.trace_id, context.span_id, context.sampled) if context else (new_trace_id(), 0, True)
        )
        span_id = new_span_id()
        headers = cloudevents.write(
            cloudevents.Attributes(
                id=event_id,
                source=self._source,
                type=cloudevents.event_type(self._system, topic),
                time=datetime.now(UTC),
                key=key,
                traceparent=traceparent(trace_id, span_id, sampled).decode(),
                tracestate=context.tracestate if context else "",
                baggage=context.baggage if context else "",
                subject=context.caller.subject if context else "",
                scopes=" ".join(sorted(context.caller.scopes)) if context else "",
            )
        )
        if sampled:
            attributes = ("messaging.destination.name", topic, "messaging.message.id", event_id)
            end = time.monotonic_ns()
            self._recorder.record(
                "producer", f"publish {topic}", trace_id, span_id, parent_id, start, end, "", attributes
            )
        return Outgoing(event_id, topic, key, headers, payload)


def new_event_id() -> str:
    """A UUID of version 7: later ones are greater, which keeps the inbox's index small where it is written."""
    milliseconds = time.time_ns() // 1_000_000
    # Python seeds it from the system, in each process anew.
    chance = random.getrandbits(74)
    number = milliseconds << 80 | 7 << 76 | (chance >> 62) << 64 | 2 << 62 | chance & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _bad(topic: AnyTopic, reason: str) -> EventError:
    return EventError(BAD_EVENT.at(topic=topic.name, reason=reason))
