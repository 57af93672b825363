"""An event's headers in a NATS message: CloudEvents 1.0 in binary mode, with the trace it belongs to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import msgspec

from atoll.wire.headers import CALLER_SCOPES, CALLER_SUBJECT

DEDUPE = "Nats-Msg-Id"
"""By this header JetStream stores a message once within the duplicate window of its stream."""

CONTENT_TYPE = "application/json"

_ID = "ce-id"
_SOURCE = "ce-source"
_TYPE = "ce-type"
_TIME = "ce-time"
_VERSION = "ce-specversion"
_CONTENT_TYPE = "ce-datacontenttype"
_KEY = "ce-partitionkey"
# What CloudEvents' HTTP binding leaves as it is; quote() leaves letters, digits and "_.-~" alone.
_PLAIN = "!#$&'()*+,/:;<=>?@[]^`{|}"


def event_type(system: str, topic: str) -> str:
    """The type of a topic's events, such as "shop.order-placed"."""
    return f"{system}.{topic}"


def event_source(system: str, service: str) -> str:
    """Where a service's events come from, such as "/shop/checkout"."""
    return f"/{system}/{service}"


class Attributes(msgspec.Struct, frozen=True):
    """What is known of an event beside its value.

    source: "/shop/checkout". type: "shop.order-placed". time: aware, in UTC.
    key: keeps events in order; "" means no order is asked for.
    subject, scopes: of the caller for whom it was published; scopes have spaces between them.
    """

    id: str
    source: str
    type: str
    time: datetime
    key: str = ""
    traceparent: str = ""
    tracestate: str = ""
    baggage: str = ""
    subject: str = ""
    scopes: str = ""


def write(attributes: Attributes) -> dict[str, str]:
    """The headers of the message; its payload is the event's value as JSON."""
    headers = {
        DEDUPE: attributes.id,
        _ID: attributes.id,
        _SOURCE: attributes.source,
        _TYPE: attributes.type,
        _VERSION: "1.0",
        _TIME: attributes.time.isoformat(),
        _CONTENT_TYPE: CONTENT_TYPE,
    }
    if attributes.key:
        headers[_KEY] = quote(attributes.key, safe=_PLAIN)
    if attributes.traceparent:
        headers["traceparent"] = attributes.traceparent
    if attributes.tracestate:
        headers["tracestate"] = attributes.tracestate
    if attributes.baggage:
        headers["baggage"] = attributes.baggage
    if attributes.subject:
        headers[CALLER_SUBJECT] = quote(attributes.subject, safe=_PLAIN)
    if attributes.scopes:
        headers[CALLER_SCOPES] = attributes.scopes
    return headers


def schema(system: str, service: str, topic: str, key: str) -> dict[str, object]:
    """The JSON Schema of the headers that `write` makes for a topic's events.

    key: the field of the event whose value keeps events in order; "" for none.
    """
    text: dict[str, object] = {"type": "string"}
    properties: dict[str, object] = {
        DEDUPE: {**text, "description": f"The same as {_ID}: JetStream stores a message with it once."},
        _ID: {**text, "description": "Unique; the same if the event is published again."},
        _SOURCE: {**text, "const": event_source(system, service)},
        _TYPE: {**text, "const": event_type(system, topic)},
        _VERSION: {**text, "const": "1.0"},
        _TIME: {**text, "format": "date-time"},
        _CONTENT_TYPE: {**text, "const": CONTENT_TYPE},
    }
    required = list(properties)
    if key:
        properties[_KEY] = {**text, "description": f"The event's {key}, percent-encoded where it is not plain ASCII."}
    described = "The trace that the event is part of (W3C)."
    properties |= {name: {**text, "description": described} for name in ("traceparent", "tracestate", "baggage")}
    properties[CALLER_SUBJECT] = {**text, "description": "For whom it was published, percent-encoded like the key."}
    properties[CALLER_SCOPES] = {**text, "description": "What this caller may do; with spaces between."}
    return {"type": "object", "properties": properties, "required": required}


def read(headers: Mapping[str, str], *, fallback_id: str, stored: datetime) -> Attributes:
    """The attributes of a message, also of one that somebody else wrote.

    fallback_id: of a message without any. stored: when the stream took the message, for one that does not say its time.
    """
    return Attributes(
        id=headers.get(_ID) or headers.get(DEDUPE) or fallback_id,
        source=headers.get(_SOURCE, ""),
        type=headers.get(_TYPE, ""),
        time=_time(headers.get(_TIME, ""), stored),
        key=unquote(headers.get(_KEY, "")),
        traceparent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
        baggage=headers.get("baggage", ""),
        subject=unquote(headers.get(CALLER_SUBJECT, "")),
        scopes=headers.get(CALLER_SCOPES, ""),
    )


def _time(text: str, otherwise: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    # The first and the last year of the calendar can't be told in every zone.
    if not 1 < time.year < 9999:
        return otherwise
    return time if time.tzinfo else time.replace(tzinfo=UTC)
