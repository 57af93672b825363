"""The way from a recorder to a collector, which may be away, busy, or refuse."""

import asyncio
import contextlib
import logging
from collections import deque
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from atoll.collector.query import Window
from atoll.model.launch import Launch
from atoll.model.launch import Telemetry as Destination
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.destination import destination, parse_headers
from atoll.runtime.telemetry.export import BATCH, Exporter
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.shipping import Lines
from atoll.runtime.telemetry.traces import Recorder
from tests.collector.running import collecting
from tests.ports import free_port
from tests.waiting import eventually

OK, BUSY, BAD = b"200 OK", b"429 Too Many Requests", b"400 Bad Request"


class Endpoint:
    """Answers as it is told to, with 200 when it has nothing left to answer; keeps what it was sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = deque(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.spans: list[str] = []
        self.connections = 0
        self.changed = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if b"/v1/metrics " in head:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                answer = self.answers.popleft() if self.answers else OK
                self.heads.append(head)
                self.bodies.append(body)
                if answer == OK and b"/v1/logs " not in head:
                    found = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
                    self.spans += [each.name for each in found]
                writer.write(b"HTTP/1.1 " + answer + b"\r\ncontent-length: 0\r\n\r\n")
                self.changed.set()
        except asyncio.IncompleteReadError:
            writer.close()

    async def has(self, spans: int) -> None:
        async with asyncio.timeout(10):
            while len(self.spans) < spans:
                self.changed.clear()
                await self.changed.wait()


class Told(logging.Handler):
    """Hears that something was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


def made(
    port: int, headers: dict[str, str] | None = None, path: str = "/tenant", lines: Lines | None = None
) -> tuple[Exporter, Telemetry]:
    telemetry = Telemetry(Recorder(), Metrics(), "hello", "hello-1")
    launch = Launch(
        system="test",
        service="hello",
        replica="hello-1",
        kind="service",
        target="",
        telemetry=Destination(f"http://127.0.0.1:{port}{path}"),
    )
    return Exporter(launch, telemetry, headers or {}, lines), telemetry


def record(telemetry: Telemetry, name: str = "x") -> None:
    telemetry.recorder.record("server", name, 1, 2, 0, 3, 4, "")


async def listening(endpoint: Endpoint, port: int = 0) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(endpoint, "127.0.0.1", port)
    return server, int(server.sockets[0].getsockname()[1])


async def test_many_spans_go_in_batches_over_one_connection_in_their_order() -> None:
    endpoint = Endpoint()
    server, port = await listening(endpoint)
    async with server:
        exporter, telemetry = made(port, {"api-key": "s3cret"})
        for number in range(2 * BATCH + 1):
            record(telemetry, str(number))
        async with exporter:
            await endpoint.has(2 * BATCH + 1)
    assert endpoint.spans == [str(number) for number in range(2 * BATCH + 1)]
    assert (len(endpoint.heads), endpoint.connections) == (3, 1)
    assert endpoint.heads[0].startswith(b"POST /tenant/v1/traces HTTP/1.1\r\n")
    assert b"api-key: s3cret\r\n" in endpoint.heads[0]


async def test_under_load_all_signals_have_their_turn() -> None:
    asked: set[str] = set()

    async def endpoint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                asked.add(head.split(b" ")[1].decode())
                # While the service has done more by the time that what it has done is taken
                record(telemetry)
                lines.add(b"")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server, lines = await asyncio.start_server(endpoint, "127.0.0.1", 0), Lines(10)
    lines.add(b"")
    async with server:
        exporter, telemetry = made(server.sockets[0].getsockname()[1], path="", lines=lines)
        record(telemetry)
        async with exporter:
            await eventually(
                lambda: asked == {"/v1/traces", "/v1/logs", "/v1/metrics"}, within=10, why=lambda: str(asked)
            )


async def test_log_lines_that_find_no_room_are_counted_and_the_newest_are_sent() -> None:
    endpoint = Endpoint()
    server, port = await listening(endpoint)
    lines = Lines(3)
    async with server:
        exporter, telemetry = made(port, lines=lines)
        for number in range(5):
            lines.add(b"%d" % number)
        async with exporter:
            pass
    assert (len(lines), lines.dropped) == (0, 2)
    assert 'atoll_telemetry_dropped_total{error_type="queue_full",otel_signal="logs"} 2' in telemetry.metrics.render()
    assert endpoint.heads[0].startswith(b"POST /tenant/v1/logs ")
    assert endpoint.bodies[0].endswith(b"234")


async def test_what_a_busy_collector_turns_away_comes_again() -> None:
    endpoint = Endpoint(BUSY, BUSY)
    server, port = await listening(endpoint)
    async with server:
        exporter, telemetry = made(port)
        record(telemetry)
        async with exporter:
            await endpoint.has(1)
    assert len(endpoint.heads) == 3
    assert "atoll_telemetry_dropped" not in telemetry.metrics.render()


async def test_what_a_collector_refuses_is_dropped_and_counted() -> None:
    endpoint = Endpoint(BAD)
    server, port = await listening(endpoint)
    async with server:
        exporter, telemetry = made(port)
        async with exporter:
            record(telemetry, "refused")
            while not endpoint.heads:
                endpoint.changed.clear()
                await endpoint.changed.wait()
            record(telemetry, "taken")
            await endpoint.has(1)
    assert endpoint.spans == ["taken"]
    assert 'atoll_telemetry_dropped_total{error_type="status 400",otel_signal="traces"} 1' in telemetry.metrics.render()


async def test_a_collector_that_comes_later_gets_what_was_recorded_before() -> None:
    port = free_port()
    exporter, telemetry = made(port)
    record(telemetry, "early")
    told = Told()
    logging.getLogger("atoll.telemetry").addHandler(told)
    async with exporter:
        async with asyncio.timeout(10):
            await told.event.wait()  # that nobody takes it
        endpoint = Endpoint()
        server, _ = await listening(endpoint, port)
        async with server:
            await endpoint.has(1)
    assert endpoint.spans == ["early"]


async def test_while_nobody_takes_them_the_newest_spans_are_dropped_and_counted() -> None:
    exporter, telemetry = made(free_port())
    small = Telemetry(Recorder(most=10), telemetry.metrics, "hello", "hello-1")
    exporter._telemetry = small
    for _ in range(15):
        record(small)
    async with exporter:
        pass  # its last words find nobody
    assert small.recorder.dropped == 5


async def test_what_waits_is_sent_at_the_end(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        exporter, telemetry = made(collector.port, path="")
        async with exporter:
            record(telemetry, "last words")
        assert [each.name for each in collector.query.traces()] == ["last words"]


async def test_what_a_process_dropped_is_among_the_limits_that_were_reached(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        exporter, telemetry = made(collector.port, path="")
        telemetry.metrics.counter("atoll.telemetry.dropped", "", {"otel.signal": "traces"}).add(7)
        async with exporter:
            record(telemetry)
        (hit,) = collector.query.limits()
        assert (hit.name, hit.count) == ("dropped by a sender", 7)
        window = Window(hit.last - 60, hit.last + 60)
        (series,) = collector.query.metrics(window, "atoll.telemetry.dropped", "hello")
        assert series.attributes == {"otel.signal": "traces"}


def test_the_variables_of_opentelemetry_win_over_the_document() -> None:
    document = Destination("http://127.0.0.1:4318")
    assert destination(document, {}) == document
    found = destination(document, {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.org"})
    assert (found.endpoint, found.sends_logs, found.headers) == ("https://otlp.example.org", True, None)


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    assert parse_headers("api-key=s%3D, Tenant = blue ,broken,=x") == {"api-key": "s=", "tenant": "blue"}
    assert parse_headers("a=b%0d%0aevil: 1") == {}
