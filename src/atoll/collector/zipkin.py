"""Spans as Zipkin has them. Source: Zipkin API 2, spans."""

from atoll.collector.details import details
from atoll.collector.limits import Limits
from atoll.collector.records import as_text
from atoll.collector.spans import SpanIn, SpanReader
from atoll.wire.otlp import KINDS

# Of what is asked and has no spans of its own.
_PEERS = ("peer.service", "db.system.name", "messaging.destination.name", "server.address")


def zipkin_spans(body: bytes, limits: Limits) -> list[dict[str, object]]:
    """Of an ExportTraceServiceRequest. Raises MalformedError."""
    return [
        _span(span, body[span.place : span.place + span.size], group.service)
        for group in SpanReader(limits).read(body)
        for span in group.spans
    ]


def _span(span: SpanIn, message: bytes, service: str) -> dict[str, object]:
    attributes, events, _ = details(message)
    kind = KINDS[span.kind].upper() if span.kind < len(KINDS) else ""
    peer = next((str(attributes[each]) for each in _PEERS if attributes.get(each)), "")
    tags = {key: as_text(value) for key, value in attributes.items()}
    return {
        "traceId": span.trace.hex(),
        "id": span.span.hex(),
        "name": span.name.decode(errors="replace"),
        # Microseconds, and never nothing.
        "timestamp": span.start // 1_000,
        "duration": max(span.duration // 1_000, 1),
        "localEndpoint": {"serviceName": service},
        # There the tag alone makes a span a failed one, whatever it says.
        "tags": {**tags, "error": span.error} if span.error else tags,
        "annotations": [{"timestamp": event.time // 1_000, "value": event.name} for event in events],
        **({"parentId": span.parent.hex()} if span.parent else {}),
        **({"kind": kind} if kind and kind != "INTERNAL" else {}),
        **({"remoteEndpoint": {"serviceName": peer}} if peer and kind in ("CLIENT", "PRODUCER", "CONSUMER") else {}),
    }
