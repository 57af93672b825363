"""What a stored span says beyond its row: attributes, events, links and the words of its error."""

from atoll.collector.values import SpanEvent, SpanLink
from atoll.wire.otlp import Value, decode_attribute
from atoll.wire.protobuf import fields, text

_ATTRIBUTES, _EVENTS, _LINKS = 9, 11, 13


def details(message: bytes) -> tuple[dict[str, Value], tuple[SpanEvent, ...], tuple[SpanLink, ...]]:
    """Of a Span message. Raises MalformedError. Source: opentelemetry-proto 1.5, trace.proto."""
    attributes: dict[str, Value] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    for number, _, first, last in fields(message, 0, len(message)):
        if number == _ATTRIBUTES:
            key, value = decode_attribute(message, first, last)
            attributes[key] = value
        elif number == _EVENTS:
            events.append(_event(message, first, last))
        elif number == _LINKS:
            links.append(_link(message, first, last))
    return attributes, tuple(events), tuple(links)


def _event(message: bytes, start: int, end: int) -> SpanEvent:
    time, name = 0, ""
    attributes: dict[str, Value] = {}
    for number, _, first, last in fields(message, start, end):
        if number == 1:
            time = first
        elif number == 2:
            name = text(message, first, last)
        elif number == 3:
            key, value = decode_attribute(message, first, last)
            attributes[key] = value
    return SpanEvent(time, name, attributes)


def _link(message: bytes, start: int, end: int) -> SpanLink:
    trace, span = "", ""
    for number, _, first, last in fields(message, start, end):
        if number == 1:
            trace = message[first:last].hex()
        elif number == 2:
            span = message[first:last].hex()
    return SpanLink(trace, span)
