"""Requests as OpenTelemetry's own messages make them, put into a store."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from atoll.collector.arrivals import Arrival, LogIn
from atoll.collector.limits import Limits
from atoll.collector.spans import SpanReader
from atoll.collector.store import Store

clock = time.time_ns
"""When what is made here ends; a test may set another."""

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")


def attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))
        )
        for key, value in values.items()
    ]


def span(
    name: str = "GET /",
    *,
    parent: bytes = b"",
    id: bytes = b"",  # noqa: A002
    trace: bytes = TRACE,
    kind: "Span.SpanKind.ValueType" = Span.SPAN_KIND_SERVER,
    milliseconds: float = 10.0,
    error: str = "",
    **values: object,
) -> Span:
    """One that ended now. values: attributes, "__" for "."."""
    end = clock()
    return Span(
        trace_id=trace,
        span_id=id or secrets.token_bytes(8),
        parent_span_id=parent,
        name=name,
        kind=kind,
        start_time_unix_nano=end - int(milliseconds * 1e6),
        end_time_unix_nano=end,
        attributes=attributes({key.replace("__", "."): value for key, value in values.items()}),
        status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else None,
    )


def request(spans: Mapping[str, Sequence[Span]]) -> bytes:
    """The spans of each service, from its first replica."""
    encoded: bytes = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=attributes({"service.name": name, "service.instance.id": f"{name}-1"})),
                scope_spans=[ScopeSpans(spans=each)],
            )
            for name, each in spans.items()
        ]
    ).SerializeToString()
    return encoded


def arrival(spans: Mapping[str, Sequence[Span]], limits: Limits | None = None) -> Arrival:
    body = request(spans)
    return Arrival(len(body), body, SpanReader(limits or Limits()).read(body))


def stored(folder: Path, *arrivals: Arrival, limits: Limits | None = None, now: float | None = None) -> Path:
    """The folder of a store with these, written one after the other."""
    store = Store(folder, limits or Limits())
    try:
        for each in arrivals:
            store.write([each], time.time() if now is None else now)
    finally:
        store.close()
    return folder


def line(body: str, *, service: str = "catalog", severity: int = 9, trace: bytes | None = None) -> LogIn:
    return LogIn(service, f"{service}-1", clock(), severity, body, trace)


def hits(name: str) -> Arrival:
    return Arrival(hits=Counter([name]))
