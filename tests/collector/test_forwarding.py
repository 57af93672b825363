"""What is stored goes to another program as well: as it wants it, when it is back, and never without a bound."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atoll.collector.arrivals import Arrival, LogIn
from atoll.collector.ecs import ecs_document
from atoll.collector.forms import Form, Taken, forms
from atoll.collector.forwarding import Forwarder
from atoll.collector.limits import Limits
from atoll.collector.zipkin import zipkin_spans
from tests.collector.running import collecting
from tests.collector.sending import TRACE, arrival, line, request, span
from tests.ports import free_port
from tests.waiting import until


class Receiver:
    """Keeps the requests that it is sent. statuses: what it answers to the first; 200 to all that follow."""

    def __init__(self, port: int = 0, *, statuses: list[int] | None = None, answer: bytes = b"{}") -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        receiver, left = self, list(statuses or [])

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                self.send_response(left.pop(0) if left else 200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def test_a_span_has_in_zipkin_its_parent_its_times_and_whom_it_asked() -> None:
    asked = span(
        "charge", parent=b"8-bytes.", id=b"a-span-1", kind=Span.SPAN_KIND_CLIENT, error="declined", peer__service="bank"
    )
    inner = span("inner", id=b"a-span-2", kind=Span.SPAN_KIND_INTERNAL, milliseconds=0.0, size=12)
    first, second = zipkin_spans(request({"payment": [asked, inner]}), Limits())
    assert first == {
        "traceId": TRACE.hex(),
        "id": b"a-span-1".hex(),
        "parentId": b"8-bytes.".hex(),
        "name": "charge",
        "kind": "CLIENT",
        "timestamp": asked.start_time_unix_nano // 1_000,
        "duration": 10_000,
        "localEndpoint": {"serviceName": "payment"},
        "remoteEndpoint": {"serviceName": "bank"},
        "tags": {"peer.service": "bank", "error": "declined"},
        "annotations": [],
    }
    assert (second["duration"], second["tags"]) == (1, {"size": "12"})
    assert not {"kind", "parentId", "remoteEndpoint"} & set(second)


def test_a_line_has_the_fields_of_ecs() -> None:
    attributes = json.dumps({"logger": "shop", "error": "Traceback", "order.id": 7, "message": "another"})
    said = LogIn(
        "payment", "payment-1", 1_790_000_000_012_345_678, 13, "slow", TRACE, b"a-span-1", attributes=attributes
    )
    assert ecs_document(said, "shop", 100) == {
        "@timestamp": "2026-09-21T14:13:20.012345678Z",
        "message": "slow",
        "log.level": "warn",
        "log.logger": "shop",
        "service.name": "payment",
        "service.node.name": "payment-1",
        "trace.id": TRACE.hex(),
        "span.id": b"a-span-1".hex(),
        "error.stack_trace": "Traceback",
        "labels.system": "shop",
        "labels.order_id": "7",
        "labels.message": "another",
        "ecs.version": "8.17",
    }


def test_of_a_line_no_text_is_longer_and_no_more_labels_are_sent_than_may() -> None:
    attributes = json.dumps({f"key{number}": "v" * 5_000 for number in range(100)})
    said = ecs_document(LogIn("a", "a-1", 1, 9, "m" * 50, attributes=attributes), "shop", 10)
    assert said["message"] == "m" * 10
    assert len([key for key in said if key.startswith("labels.key")]) == 32
    assert len(said["labels.key0"]) == 1_024


def test_what_the_collector_stores_reaches_all_three(tmp_path: Path, receiver: Receiver) -> None:
    # Given a collector that forwards to every kind of program
    logs = tmp_path / "logs"
    logs.mkdir()
    host = receiver.url.removeprefix("http://")
    forward = {
        "jaeger": f"{receiver.url}/tenant",
        "zipkin": receiver.url,
        "opensearch": f"http://ada:p%40ss@{host}",
    }
    with collecting(tmp_path, logs=str(logs), forward=forward) as collector:
        # When two requests come in, and a line
        for name in ("one", "two"):
            assert collector.send(request({name: [span(name)]})) == 200
        (logs / "catalog-1.log").write_text(json.dumps({"message": "found it", "trace": TRACE.hex()}) + "\n")

        # Then each program was sent all that it takes, where and as it takes it
        def of(path: str) -> list[bytes]:
            return [body for each, _, body in receiver.requests if each.partition("?")[0] == path]

        def sent(body: bytes) -> set[str]:
            spans = ExportTraceServiceRequest.FromString(body).resource_spans
            return {each.name for group in spans for scope in group.scope_spans for each in scope.spans}

        until(lambda: set().union(*map(sent, of("/tenant/v1/traces"))) == {"one", "two"})
        until(lambda: {each["name"] for body in of("/api/v2/spans") for each in json.loads(body)} == {"one", "two"})
        (bulk,) = until(lambda: of("/logs-test-atoll/_bulk"))
    action, document = map(json.loads, bulk.splitlines())
    assert action == {"create": {}}
    assert (document["message"], document["trace.id"], document["service.name"]) == (
        "found it",
        TRACE.hex(),
        "catalog",
    )
    said = next(headers for path, headers, _ in receiver.requests if "_bulk" in path)
    assert said["authorization"] == f"Basic {base64.b64encode(b'ada:p@ss').decode()}"


def test_nothing_is_lost_when_a_program_comes_later_or_is_busy(tmp_path: Path) -> None:
    # Given a collector that forwards to where nobody listens
    port = free_port()
    with collecting(tmp_path, forward={"zipkin": f"http://127.0.0.1:{port}"}) as collector:
        assert collector.send(request({"shop": [span("early")]})) == 200
        # When somebody does, and is busy at first
        with Receiver(port, statuses=[503, 429]) as receiver:
            until(lambda: len(receiver.requests) == 3)
        # Then it is the same that arrives in the end, and nothing was counted as lost
        assert json.loads(receiver.requests[-1][2])[0]["name"] == "early"
        assert collector.hits() == {}


def test_what_is_refused_is_counted_and_shown(tmp_path: Path) -> None:
    with Receiver(statuses=[400]) as receiver, collecting(tmp_path, forward={"zipkin": receiver.url}) as collector:
        assert collector.send(request({"shop": [span("one"), span("two")]})) == 200
        until(lambda: collector.hits() == {"not forwarded": 2})


def test_lines_that_an_index_refuses_are_counted(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    answer = b'{"items":[{"create":{"error":{"type":"mapper_parsing_exception"}}}]}'
    forward = {"opensearch": ""}
    with Receiver(answer=answer) as receiver:
        forward["opensearch"] = receiver.url
        with collecting(tmp_path, logs=str(logs), forward=forward) as collector:
            (logs / "catalog-1.log").write_text("a line\n")
            until(lambda: collector.hits() == {"not forwarded": 1})


async def test_no_more_than_may_waits_for_who_does_not_answer() -> None:
    # Given room for one of two, and nobody who takes either
    lost: list[int] = []
    limits = Limits(forwarding=150, forwarding_seconds=0.0)
    form = Form("/", "text/plain", lambda taken: Taken(taken.body, len(taken.groups)))
    forwarder = Forwarder("zipkin", f"http://127.0.0.1:{free_port()}", form, limits, lost.append)
    one = arrival({"shop": [span()]})
    assert 75 < len(one.body) <= 150
    # When both come
    forwarder.put([one, one])
    # Then the second is lost at once, and the first when it has been tried
    assert lost == [1]
    async with forwarder:
        pass
    assert lost == [1, 1]


@pytest.mark.parametrize("url", ["http://a..b", "http://127.0.0.1:1/caf\xe9"], ids=["host", "path"])
async def test_an_address_that_can_not_be_one_loses_what_is_sent_and_says_so(url: str) -> None:
    lost: list[int] = []
    form = Form("/", "text/plain", lambda taken: Taken(taken.body, len(taken.groups)))
    async with Forwarder("zipkin", url, form, Limits(forwarding_seconds=0.0), lost.append) as forwarder:
        forwarder.put([arrival({"shop": [span()]})])
    assert lost == [1]


def test_only_what_a_program_takes_waits_for_it() -> None:
    everything = forms("shop", Limits())
    lines, spans = Arrival(logs=[line("a")]), arrival({"shop": [span()]})
    assert [name for name, form in everything.items() if form.take(lines).size] == ["opensearch"]
    assert [name for name, form in everything.items() if form.take(spans).size] == ["jaeger", "zipkin"]
