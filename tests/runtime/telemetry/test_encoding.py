"""The bytes that we send, judged by OpenTelemetry's own reader of them."""

import logging

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from atoll.runtime.telemetry.encoding import MOST_SHAPES, SpanEncoder, log_record, request, resource
from atoll.runtime.telemetry.measures import encoded
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder

WHO = resource("shop", "checkout", "checkout-2")
SCALARS = st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3).map(tuple), max_leaves=5)


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(plain(each) for each in value.array_value.values)
    found: object = getattr(value, kind)
    return found


def said(attributes: "list[KeyValue]") -> dict[str, object]:
    return {each.key: plain(each.value) for each in attributes}


def decoded(recorder: Recorder, offset: int = 0, encoder: SpanEncoder | None = None) -> ExportTraceServiceRequest:
    items = (encoder or SpanEncoder()).encode(recorder.take_records(), offset)
    found: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(request(WHO, items))
    return found


@given(
    kind=st.sampled_from(["internal", "server", "client", "producer", "consumer"]),
    name=st.text(),
    trace=st.integers(1, 2**128 - 1),
    span=st.integers(1, 2**64 - 1),
    parent=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**61),
    error=st.text(),
    attributes=st.one_of(st.none(), st.dictionaries(st.text(), VALUES, max_size=4)),
)
def test_every_span_reads_as_it_was_recorded(
    kind: str,
    name: str,
    trace: int,
    span: int,
    parent: int,
    start: int,
    error: str,
    attributes: dict[str, object] | None,
) -> None:
    recorder = Recorder()
    flat = None if attributes is None else tuple(each for pair in attributes.items() for each in pair)
    for _ in range(2):  # the second one is made of what the first one left behind
        recorder.record(kind, name, trace, span, parent, start, start + 7, error, flat)
    (resource_spans,) = decoded(recorder, offset=5).resource_spans
    assert said(list(resource_spans.resource.attributes))["service.instance.id"] == "checkout-2"
    first, second = resource_spans.scope_spans[0].spans
    assert first == second
    assert (first.name, first.kind) == (name, KINDS[kind])
    assert int.from_bytes(first.trace_id, "big") == trace
    assert int.from_bytes(first.span_id, "big") == span
    assert int.from_bytes(first.parent_span_id, "big") == parent
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (start + 5, start + 12)
    wrong = {"error.type": error} if error else {}
    assert said(list(first.attributes)) == {**(attributes or {}), **wrong}
    assert (first.status.code, first.status.message) == ((2, error) if error else (0, ""))


KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def test_what_is_kept_of_spans_that_all_differ_is_bounded() -> None:
    encoder, recorder = SpanEncoder(), Recorder()
    for number in range(3 * MOST_SHAPES):
        recorder.record("producer", "publish", 1, 2, 0, 0, 1, "", ("messaging.message.id", str(number)))
    found = decoded(recorder, encoder=encoder).resource_spans[0].scope_spans[0].spans
    assert [each.attributes[0].value.string_value for each in found] == [str(n) for n in range(3 * MOST_SHAPES)]
    assert len(encoder._shapes) <= MOST_SHAPES


def test_metrics_read_as_they_were_measured() -> None:
    metrics = Metrics(bounds=[0.2])
    metrics.gauge("atoll.client.breaker", "Open or not.", {"server.address": "payment"}).read = lambda: 2.0
    metrics.counter("messaging.dead_letters", "Given up.", {}).add(3)
    took = metrics.histogram("http.server.request.duration", "How long.", {"http.route": "/"})
    took.observe(0.15)
    took.observe(70.0)
    body = b"".join(encoded(metrics, 5, 9))
    (found,) = ExportMetricsServiceRequest.FromString(request(WHO, body)).resource_metrics[0].scope_metrics
    breaker, dead, duration = found.metrics
    assert (breaker.name, breaker.gauge.data_points[0].as_double) == ("atoll.client.breaker", 2.0)
    assert said(list(breaker.gauge.data_points[0].attributes)) == {"server.address": "payment"}
    assert (dead.sum.is_monotonic, dead.sum.aggregation_temporality, dead.sum.data_points[0].as_double) == (True, 2, 3)
    (point,) = duration.histogram.data_points
    assert (duration.unit, point.count, point.sum) == ("s", 2, 70.15)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert 0.2 in point.explicit_bounds
    assert (point.bucket_counts[-1], sum(point.bucket_counts)) == (1, 2)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 9)


def test_a_log_line_reads_as_it_was_written() -> None:
    record = logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", "created": 1_790_000_000.25})
    body = log_record(record, "slow é", {"order": 7, "who": {"id": "ada"}}, (0xAB, 0xCD))
    (found,) = ExportLogsServiceRequest.FromString(request(WHO, body)).resource_logs[0].scope_logs[0].log_records
    assert (found.body.string_value, found.severity_number, found.severity_text) == ("slow é", 13, "WARNING")
    assert found.time_unix_nano == found.observed_time_unix_nano == 1_790_000_000_250_000_000
    assert (found.trace_id[-1], len(found.trace_id), found.span_id[-1], len(found.span_id)) == (0xAB, 16, 0xCD, 8)
    assert found.attributes[0].value.int_value == 7
    assert found.attributes[1].value.kvlist_value.values[0].value.string_value == "ada"
