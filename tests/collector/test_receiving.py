"""OTLP over HTTP, from senders of any kind: those that mean well, and the others."""

import gzip
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import time_ns

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atoll.collector.jsonform import to_protobuf
from atoll.collector.limits import MIB
from atoll.collector.query import LogFilter, TraceFilter, Window
from atoll.collector.refusals import Refused
from atoll.wire.protobuf import bytes_field, text_field
from tests.collector.running import PROTOBUF, Collecting, collecting
from tests.collector.sending import TRACE, attributes, request, span
from tests.waiting import until


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    with collecting(tmp_path_factory.mktemp("collector")) as made:
        yield made


def as_json(trace: bytes, id: bytes) -> object:  # noqa: A002
    """As the specification of OTLP writes it; protobufjs sends numbers of 64 bits as texts."""
    said = [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.instance.id", "value": {"stringValue": "shop-1"}},
    ]
    attributes = [
        {"key": "url.path", "value": {"stringValue": "/carts/7"}},
        {"key": "size", "value": {"intValue": "12"}},
    ]
    made = {"traceId": trace.hex(), "spanId": id.hex(), "name": "GET /carts/{id}", "kind": 2, "attributes": attributes}
    times = {"startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000010000000", "status": {}}
    scopes = [{"scope": {"name": "x"}, "spans": [{**made, **times, "unknown": [1]}]}]
    return {"resourceSpans": [{"resource": {"attributes": said}, "scopeSpans": scopes}]}


@pytest.mark.parametrize("form", ["protobuf", "gzip", "json"])
def test_a_span_is_the_same_whatever_it_was_sent_as(collector: Collecting, form: str) -> None:
    trace = form.encode().ljust(16, b".")
    body = request({"shop": [span("GET /carts/{id}", trace=trace, id=b"a-span-1", url__path="/carts/7", size=12)]})
    if form == "json":
        assert collector.send_json(as_json(trace, b"a-span-1")) == 200
    else:
        packed = form == "gzip"
        assert collector.send(gzip.compress(body) if packed else body, encoding="gzip" if packed else "") == 200
    (found,) = collector.query.trace(trace.hex()).spans
    assert (found.name, found.kind, found.service, found.replica) == ("GET /carts/{id}", "server", "shop", "shop-1")
    assert (found.span, found.attributes) == (b"a-span-1".hex(), {"url.path": "/carts/7", "size": 12})
    assert found.milliseconds == 10


def test_log_lines_keep_their_trace_severity_and_attributes(collector: Collecting) -> None:
    record = LogRecord(
        time_unix_nano=1_790_000_000_000_000_000,
        severity_number=17,  # type: ignore[arg-type]
        body=AnyValue(kvlist_value=KeyValueList(values=attributes({"said": "no"}))),
        attributes=attributes({"code.function": "pay"}),
        trace_id=TRACE,
        span_id=b"the-span",
    )
    resource = Resource(attributes=attributes({"service.name": "payment"}))
    body = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=[record])])]
    )
    assert collector.send(body.SerializeToString(), "logs") == 200
    (found,) = collector.query.logs(LogFilter(trace=TRACE.hex()))
    assert (found.body, found.severity, found.span) == ('{"said":"no"}', "error", b"the-span".hex())
    assert (found.service, found.time, found.attributes) == (
        "payment",
        1_790_000_000_000_000_000,
        {"code.function": "pay"},
    )


@pytest.mark.parametrize("time", [(1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_time_that_no_store_has_a_number_for_costs_nobody_else_anything(tmp_path: Path, time: int) -> None:
    source = Resource(attributes=attributes({"service.name": "clock"}))
    lines = [LogRecord(time_unix_nano=each, body=AnyValue(string_value=str(each))) for each in (time, 7)]
    logs = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=source, scope_logs=[ScopeLogs(log_records=lines)])]
    )
    points = [NumberDataPoint(time_unix_nano=time, as_int=1)]
    metrics = ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=source,
                scope_metrics=[ScopeMetrics(metrics=[Metric(name="n", gauge=Gauge(data_points=points))])],
            )
        ]
    )
    odd = span("odd", trace=b"o" * 16)
    odd.start_time_unix_nano = odd.end_time_unix_nano = time
    with collecting(tmp_path) as collector:
        before = time_ns()
        assert collector.send(logs.SerializeToString(), "logs") == 200
        assert collector.send(metrics.SerializeToString(), "metrics") == 200
        assert collector.send(request({"clock": [odd]})) == (200 if time < 1 << 63 else 400)
        assert collector.send(request({"shop": [span("good", trace=b"g" * 16)]})) == 200
        found = {each.body: each.time for each in collector.query.logs()}
        assert before <= found[str(time)] <= time_ns()
        assert found["7"] == 7
        assert collector.query.trace((b"g" * 16).hex()).spans
        assert collector.hits()["points"] == 1


def test_metrics_become_series_of_points(collector: Collecting) -> None:
    window = Window.last(60)
    now = int(window.until) * 10**9
    metrics = [
        Metric(name="lag", unit="{event}", gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=now, as_int=-3)])),
        Metric(
            name="took",
            unit="s",
            histogram=Histogram(data_points=[HistogramDataPoint(time_unix_nano=now, count=4, sum=2.5)]),
        ),
    ]
    resource = Resource(attributes=attributes({"service.name": "email", "service.instance.id": "email-1"}))
    body = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[ScopeMetrics(metrics=metrics)])]
    )
    assert collector.send(body.SerializeToString(), "metrics") == 200
    later = Window(window.since, window.until + 10)
    found = {name: collector.query.metrics(later, name)[0] for name in ("lag", "took.count", "took.sum")}
    assert {name: each.points[0][1] for name, each in found.items()} == {"lag": -3, "took.count": 4, "took.sum": 2.5}
    assert (found["lag"].kind, found["lag"].unit, found["took.sum"].kind) == ("gauge", "{event}", "histogram")


def nested(depth: int) -> bytes:
    """A span with an attribute that is a map in a map in a map …"""
    value = text_field(1, "x")
    for _ in range(depth):
        value = bytes_field(6, bytes_field(1, text_field(1, "k") + bytes_field(2, value)))
    wrong = (
        bytes_field(1, TRACE) + bytes_field(2, b"12345678") + bytes_field(9, text_field(1, "k") + bytes_field(2, value))
    )
    return bytes_field(1, bytes_field(2, bytes_field(2, wrong)))


def nested_json(depth: int) -> bytes:
    return b'{"resourceSpans":' + b"[" * depth + b"]" * depth + b"}"


def without_ids() -> bytes:
    wrong = span()
    wrong.trace_id = b"short"
    return request({"a": [wrong]})


GOOD = request({"hostile": [span(url__path="/x")]})


@pytest.mark.parametrize(
    ("status", "body", "kind", "encoding"),
    [
        (400, GOOD[:-1], "application/x-protobuf", ""),
        (400, GOOD[: len(GOOD) // 2], "application/x-protobuf", ""),
        (400, b"\xff" * 100, "application/x-protobuf", ""),
        (400, b"\x08" + GOOD[1:], "application/x-protobuf", ""),
        (400, without_ids(), "application/x-protobuf", ""),
        (400, nested(5_000), "application/x-protobuf", ""),
        (400, b"no json", "application/json", ""),
        (400, b'{"resourceSpans": 7}', "application/json", ""),
        (400, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":[]}]}]}]}', "application/json", ""),
        (
            400,
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"1e999"}]}]}]}',
            "application/json",
            "",
        ),
        (400, nested_json(100_000), "application/json", ""),
        (400, b"no gzip", "application/x-protobuf", "gzip"),
        (400, gzip.compress(GOOD)[:-9], "application/x-protobuf", "gzip"),
        (413, gzip.compress(b"\0" * (33 * MIB)), "application/x-protobuf", "gzip"),
        (413, b"\0" * (8 * MIB + 1), "application/x-protobuf", ""),
        (415, GOOD, "text/plain", ""),
        (415, GOOD, "application/x-protobuf", "br"),
    ],
)
def test_what_is_no_otlp_is_refused_and_nothing_of_it_is_kept(
    collector: Collecting, status: int, body: bytes, kind: str, encoding: str
) -> None:
    before = collector.query.stored()
    assert collector.send(body, "traces", kind, encoding) == status
    assert collector.query.stored().spans == before.spans
    # And everybody else is still served.
    assert collector.send(request({"good": [span()]})) == 200


def test_refusals_are_counted(collector: Collecting) -> None:
    before = collector.hits()
    assert collector.send(b"\xff" * 10) == 400
    assert collector.send(b"\0" * (8 * MIB + 1)) == 413
    until(lambda: collector.hits().get("invalid request", 0) > before.get("invalid request", 0))
    until(lambda: collector.hits().get("request too large", 0) > before.get("request too large", 0))


def test_bombs_do_not_grow_the_memory(collector: Collecting) -> None:
    bomb = gzip.compress(b"\0" * (500 * MIB), 1)
    before = collector.memory()
    for _ in range(5):
        assert collector.send(bomb, encoding="gzip") == 413
    assert collector.memory() < before + 100 * MIB


def test_a_body_whose_length_is_not_told_is_cut_off_at_the_limit(collector: Collecting) -> None:
    with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"%x\r\n%b\r\n" % (MIB, b"\0" * MIB)
        with suppress(OSError):  # it is cut off
            for _ in range(40):
                connection.sendall(chunk)
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


def test_many_bodies_that_never_end_are_held_within_one_bound(collector: Collecting) -> None:
    # Given connections that bring 6 MiB each and then say no more
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
    before = collector.memory()
    with ExitStack() as stack:
        connections, refused = [], set[socket.socket]()
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", collector.port), timeout=20))
            with suppress(OSError):  # it is told 429 before all is sent
                connection.sendall(head % (7 * MIB) + b"\0" * (6 * MIB))
            connection.setblocking(False)
            connections.append(connection)

        def are_refused() -> bool:
            for each in connections:
                with suppress(OSError):
                    if each.recv(4096).startswith(b"HTTP/1.1 429 Too Many Requests\r\n"):
                        refused.add(each)
            return len(refused) >= 5

        # Then those beyond the bound are refused, and the memory is not that of all of them
        until(are_refused, "five are told that it is too much")
        assert collector.memory() < before + 120 * MIB
    # When they have gone, there is room again
    until(lambda: collector.send(request({"good": [span()]})) == 200)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, len(GOOD)), st.sampled_from(["traces", "logs", "metrics"]))
def test_whatever_bytes_come_the_answer_is_200_or_4xx(
    collector: Collecting, noise: bytes, place: int, signal: str
) -> None:
    body = GOOD[:place] + noise + GOOD[place + len(noise) :]
    assert collector.send(body, signal) in (200, 400)


def test_names_of_html_and_of_terminal_escapes_stay_what_they_are(collector: Collecting) -> None:
    name = "<script>alert(1)</script>\x1b[2J"
    assert collector.send(request({"markup": [span(name, trace=b"markup..........")]})) == 200
    (found,) = collector.query.traces(TraceFilter(service="markup"))
    assert found.name == name


def test_what_was_taken_survives_kill_9(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        # Given many requests, each of which was answered
        traces = [bytes([number] * 16) for number in range(1, 200)]
        for trace in traces:
            assert collector.send(request({"shop": [span(trace=trace), span(trace=trace)]})) == 200
        # When it is killed and started again
        collector.kill()
        collector.restart()
        # Then all of them are there, and more are taken
        assert collector.query.stored().spans == 2 * len(traces)
        assert all(len(collector.query.trace(trace.hex()).spans) == 2 for trace in traces)
        (counted,) = collector.query.services(Window.last(600))
        assert counted.figures.calls == 2 * len(traces)
        assert collector.send(request({"shop": [span(trace=b"after the killing"[:16])]})) == 200
        assert collector.query.stored().spans == 2 * len(traces) + 1


def test_a_gzip_of_several_members_is_read_to_its_end(collector: Collecting) -> None:
    # Given two requests that were packed alone, one behind the other: RFC 1952 calls that one gzip
    traces = [b"first member....", b"second member..."]
    members = [gzip.compress(request({"members": [span(trace=trace)]})) for trace in traces]
    # Then all of it is stored
    assert collector.send(b"".join(members), encoding="gzip") == 200
    assert [len(collector.query.trace(trace.hex()).spans) for trace in traces] == [1, 1]
    # And what is no member, begins one that never ends, or is a bomb made of many is refused
    assert collector.send(members[0] + b"no member", encoding="gzip") == 400
    assert collector.send(members[0] + members[1][:-9], encoding="gzip") == 400
    assert collector.send(gzip.compress(b"\0" * (11 * MIB)) * 3, encoding="gzip") == 413
    assert collector.send(gzip.compress(b"") * 5_000, encoding="gzip") == 400


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize(
    ("trace", "id_", "parent", "status"),
    [
        (bytes(16), b"a-span-2", b"", 400),
        (b"zeros..........1", bytes(8), b"", 400),
        (b"zeros..........2", b"a-span-2", bytes(8), 200),
    ],
)
def test_an_id_of_zeros_is_none_in_whatever_order_fields_come(
    collector: Collecting, trace: bytes, id_: bytes, parent: bytes, status: int, *, is_early: bool
) -> None:
    made = span("GET /with/a/name/that/is/long/enough", trace=trace, id=id_, parent=parent)
    name = Span(name=made.name).SerializeToString()
    made.ClearField("name")
    message = made.SerializeToString()
    # Given the name where every sender writes it, or behind all else
    at = 28 + (10 if parent else 0)
    message = message[:at] + name + message[at:] if is_early else message + name
    said = bytes_field(1, bytes_field(2, bytes_field(2, message)))
    assert collector.send(said) == status
    if status == 200:
        found = collector.query.trace(trace.hex()).spans[0]
        assert (found.name, found.parent) == ("GET /with/a/name/that/is/long/enough", "")


def test_a_number_too_large_for_a_double_is_refused() -> None:
    gauge = b'{"dataPoints":[{"asDouble":%d}]}' % 10**350
    with pytest.raises(Refused, match="too large"):
        to_protobuf(b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":%b}]}]}]}' % gauge, "metrics")


def empty(field: int) -> bytes:
    """Fifteen million messages without anything in them."""
    return bytes([field << 3 | 2, 0]) * (15 * MIB)


def bombs() -> Iterator[tuple[str, str, bytes]]:
    """Each of thirty MiB that pack to some kilobytes, and would be millions of objects. Signal, media type, body."""
    start = bytes_field(1, TRACE) + bytes_field(2, b"12345678")
    listed = text_field(1, "k") + bytes_field(2, bytes_field(5, empty(1)))
    yield "traces", PROTOBUF, empty(1)
    yield "traces", PROTOBUF, bytes_field(1, empty(2)[: 2 * MIB])
    yield "traces", PROTOBUF, bytes_field(1, bytes_field(2, empty(2)))
    yield "traces", PROTOBUF, bytes_field(1, bytes_field(2, bytes_field(2, start + bytes_field(9, listed))))
    yield "traces", PROTOBUF, bytes_field(1, bytes_field(2, bytes_field(2, start + empty(11)[: 2 * MIB])))
    yield "traces", PROTOBUF, bytes_field(1, bytes_field(2, bytes_field(2, start + bytes_field(11, empty(3)))))
    yield "metrics", PROTOBUF, bytes_field(1, bytes_field(2, empty(2)))
    yield "metrics", PROTOBUF, bytes_field(1, bytes_field(2, bytes_field(2, bytes_field(5, empty(1)))))
    yield "traces", "application/json", b'{"resourceSpans":[' + b"{}," * (10 * MIB) + b"{}]}"
    yield "traces", "application/json", b'{"unknown":[' + b"1.5," * (7 * MIB) + b"{}]}"


def test_what_is_nearly_nothing_and_millions_of_it_takes_no_memory(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        assert collector.send(GOOD) == 200
        before = collector.memory()
        for number, (signal, kind, body) in enumerate(bombs()):
            assert collector.send(gzip.compress(body, 1), signal, kind, "gzip") == 400, number
            # The body itself is held twice when it is unpacked, and once more as a part of itself.
            assert collector.memory() < before + 160 * MIB, number
        assert collector.send(GOOD) == 200
