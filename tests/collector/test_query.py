"""What the store answers, filled with spans as OpenTelemetry's own library writes them."""

import itertools
import random
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from atoll.collector.arrivals import Arrival, PointIn
from atoll.collector.query import LogFilter, Query, TraceFilter, Window
from atoll.errors import AtollError
from tests.collector.sending import TRACE, arrival, hits, line, span, stored

CLIENT, PRODUCER, CONSUMER = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
MINUTE = Window.last(60.0)


def recent() -> Window:
    return Window.last(60.0)


def test_a_trace_is_a_tree_with_its_lines_whoever_sent_its_spans(tmp_path: Path) -> None:
    # Given a request that went from the frontend to the catalog, whose spans came last first
    root, call = span("GET /", id=b"frontend"), span("catalog.product", parent=b"frontend", id=b"the-call", kind=CLIENT)
    served = span("GET /products/{product_id}", parent=b"the-call", url__path="/products/7", error="no such product")
    lines = Arrival(logs=[line("looks", trace=TRACE), line("elsewhere")])
    query = Query(stored(tmp_path, lines, arrival({"catalog": [served]}), arrival({"frontend": [call, root]})))
    # When it is asked for by the beginning of its id
    trace = query.trace(TRACE.hex()[:6])
    # Then it is whole
    assert [(depth, each.service, each.name) for hop in trace.roots for depth, each in hop.walk()] == [
        (0, "frontend", "GET /"),
        (1, "frontend", "catalog.product"),
        (2, "catalog", "GET /products/{product_id}"),
    ]
    (last,) = [each for each in trace.spans if each.service == "catalog"]
    assert (last.error, last.attributes, last.replica) == ("no such product", {"url.path": "/products/7"}, "catalog-1")
    assert [each.body for each in trace.logs] == ["looks"]
    (summary,) = query.traces()
    assert (summary.name, summary.spans, summary.errors, summary.services) == ("GET /", 3, 1, ("frontend", "catalog"))


def test_a_trace_is_named_by_the_first_who_knew_what_was_asked(tmp_path: Path) -> None:
    passed, served = span("shop", id=b"gateway."), span("POST /orders", parent=b"gateway.", id=b"checkout")
    below = span("POST /charges", parent=b"the-call")
    call = span("payment.charge", parent=b"checkout", id=b"the-call", kind=CLIENT)
    sent = arrival({"gateway": [passed], "checkout": [served, call], "payment": [below]})
    (summary,) = Query(stored(tmp_path, sent)).traces()
    assert (summary.service, summary.name, summary.spans) == ("checkout", "POST /orders", 4)
    assert set(summary.services) == {"gateway", "checkout", "payment"}


def test_spans_that_are_each_others_children_are_a_trace_as_well(tmp_path: Path) -> None:
    one, other = span("one", parent=b"other-id", id=b"one's-id"), span("other", parent=b"one's-id", id=b"other-id")
    (summary,) = Query(stored(tmp_path, arrival({"a": [one, other]}))).traces()
    assert summary.spans == 2


def test_an_id_that_no_trace_has_or_several_have_is_an_error(tmp_path: Path) -> None:
    spans = [span(trace=bytes([1] * 16)), span(trace=bytes([1] * 15 + [2]))]
    query = Query(stored(tmp_path, arrival({"a": spans})))
    for wrong in ("ffff", "01", "", "no hex", "0" * 40):
        with pytest.raises(AtollError, match="ATL1010"):
            query.trace(wrong)
    assert len(query.trace(bytes([1] * 16).hex()).spans) == 1


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TraceFilter(), ["slow", "failed", "plain"]),
        (TraceFilter(service="b"), ["slow", "failed"]),
        (TraceFilter(service="nobody"), []),
        (TraceFilter(name="LOW"), ["slow"]),
        (TraceFilter(failed=True), ["failed"]),
        (TraceFilter(least_milliseconds=500), ["slow"]),
        (TraceFilter(since=1), ["slow", "failed", "plain"]),
        (TraceFilter(until=1), []),
        (TraceFilter(limit=1), ["slow"]),
    ],
)
def test_traces_are_found_by_what_their_spans_are_like(tmp_path: Path, wanted: TraceFilter, found: list[str]) -> None:
    first = arrival({"a": [span("plain", trace=bytes([1] * 16))]})
    second = arrival({"b": [span("failed", trace=bytes([2] * 16), error="oh")]})
    third = arrival({"b": [span("slow", trace=bytes([3] * 16), milliseconds=900)]})
    assert [each.name for each in Query(stored(tmp_path, first, second, third)).traces(wanted)] == found


@pytest.mark.parametrize("seed", range(3))
def test_a_search_finds_what_looking_at_every_span_finds(tmp_path: Path, seed: int) -> None:
    # Given batches of spans that differ in everything that is searched for; each is a trace of its own
    chance = random.Random(seed)
    made: list[tuple[str, Span]] = []
    arrivals: list[Arrival] = []
    for _ in range(60):
        batch = [
            (
                chance.choice("abcd"),
                span(
                    chance.choice(["GET /", "get /rare", "POST /"]),
                    trace=chance.randbytes(16),
                    milliseconds=chance.choice([1, 20, 300]),
                    error=chance.choice(["", "", "", "oh"]),
                ),
            )
            for _ in range(chance.randrange(1, 6))
        ]
        # A request has the spans of one service behind the other.
        batch.sort(key=lambda each: each[0])
        arrivals.append(arrival({name: [each for of, each in batch if of == name] for name in dict(batch)}))
        made += batch
    query = Query(stored(tmp_path, *arrivals))
    # Then every search finds the newest of those that match
    for service, name, least, failed, limit in itertools.product(
        ("", "a", "x"), ("", "RARE", "x"), (0, 20, 300), (False, True), (5, 1_000)
    ):
        matching = [
            each.trace_id.hex()
            for of, each in reversed(made)
            if service in ("", of)
            and name.lower() in each.name.lower()
            and each.end_time_unix_nano - each.start_time_unix_nano >= least * 10**6
            and (each.status.code == Status.STATUS_CODE_ERROR or not failed)
        ]
        wanted = TraceFilter(service=service, name=name, least_milliseconds=least, failed=failed, limit=limit)
        assert [each.id for each in query.traces(wanted)] == matching[:limit], wanted


def test_a_service_is_summed_up_by_what_it_served(tmp_path: Path) -> None:
    spans = [span(milliseconds=10) for _ in range(98)] + [span(milliseconds=800, error="late") for _ in range(2)]
    calls = [span(kind=CLIENT, milliseconds=5000)]
    (found,) = Query(stored(tmp_path, arrival({"catalog": spans + calls}))).services(recent())
    assert (found.service, found.replicas) == ("catalog", ("catalog-1",))
    assert (found.figures.calls, found.figures.errors, found.figures.error_rate) == (100, 2, 0.02)
    assert found.figures.p50 == pytest.approx(10, rel=0.07)
    assert found.figures.p99 == pytest.approx(800, rel=0.07)
    assert found.figures.rate == pytest.approx(100 / 65, rel=0.1)


def test_operations_and_history_have_the_same_figures(tmp_path: Path) -> None:
    query = Query(stored(tmp_path, arrival({"catalog": [span("a"), span("b"), span("b", error="oh")]})))
    assert [(each.name, each.figures.calls) for each in query.operations(recent(), "catalog")] == [("b", 2), ("a", 1)]
    assert query.operations(recent(), "other") == []
    assert sum(each.figures.calls for each in query.history(recent(), "catalog")) == 3


def test_the_map_has_calls_databases_and_topics(tmp_path: Path) -> None:
    spans = {
        "checkout": [
            span(kind=CLIENT, peer__service="payment", error="refused"),
            span(kind=CLIENT, db__system__name="postgresql"),
            span(kind=PRODUCER, messaging__destination__name="order-placed"),
        ],
        "email": [span(kind=CONSUMER, messaging__destination__name="order-placed")],
        "gateway": [span(upstream_cluster__name="checkout")],
    }
    edges = Query(stored(tmp_path, arrival(spans))).edges(recent())
    assert [(each.caller, each.callee, each.kind, each.figures.errors) for each in edges] == [
        ("checkout", "order-placed", "publish", 0),
        ("checkout", "payment", "call", 1),
        ("checkout", "postgresql", "database", 0),
        ("gateway", "checkout", "call", 0),
        ("order-placed", "email", "consume", 0),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_call_of_a_service_that_does_not_name_whom_it_asks_is_found_by_its_child(tmp_path: Path, order: int) -> None:
    sent = arrival({"web": [span(id=b"the-call", kind=CLIENT, server__address="10.0.0.7")]})
    received = arrival({"api": [span(parent=b"the-call")]})
    edges = Query(stored(tmp_path, *[sent, received][::order])).edges(recent())
    assert [(each.caller, each.callee, each.figures.calls) for each in edges] == [("web", "api", 1)]


def test_a_live_tail_gets_each_line_once_and_in_order(tmp_path: Path) -> None:
    query = Query(stored(tmp_path, Arrival(logs=[line("one"), line("two")])))
    last = query.last_log()
    stored(tmp_path, Arrival(logs=[line("three"), line("four")]))
    assert [each.body for each in query.logs(LogFilter(after=last))] == ["three", "four"]
    assert [each.body for each in query.logs(LogFilter(after=last, limit=1))] == ["three"]
    assert [each.body for each in query.logs(LogFilter(limit=3))] == ["two", "three", "four"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LogFilter(services=("catalog",)), ["fine", "bad"]),
        (LogFilter(severity="error"), ["bad"]),
        (LogFilter(text="AI"), ["paid"]),
        (LogFilter(text="%"), []),
        (LogFilter(trace=TRACE.hex()[:4]), ["paid"]),
        (LogFilter(trace="not hex"), []),
        (LogFilter(until=1), []),
    ],
)
def test_lines_are_found_by_what_they_are_like(tmp_path: Path, wanted: LogFilter, found: list[str]) -> None:
    lines = [line("fine"), line("bad", severity=17), line("paid", service="payment", trace=TRACE)]
    assert [each.body for each in Query(stored(tmp_path, Arrival(logs=lines))).logs(wanted)] == found


def test_a_metric_is_a_line_of_points_for_each_process(tmp_path: Path) -> None:
    at = int(recent().until) - 20
    points = [
        PointIn("email", replica, "messaging.lag", "gauge", "{event}", '{"topic":"order-placed"}', when, value)
        for replica in ("email-1", "email-2")
        for when, value in ((at, 3.0), (at + 5, 1.0))
    ]
    found = Query(stored(tmp_path, Arrival(points=points))).metrics(recent(), "messaging.lag", "email")
    assert [each.replica for each in found] == ["email-1", "email-2"]
    assert (found[0].points, found[0].attributes) == (((at, 3.0), (at + 5, 1.0)), {"topic": "order-placed"})


def test_limits_that_were_reached_are_shown_with_their_meaning(tmp_path: Path) -> None:
    (hit,) = Query(stored(tmp_path, hits("too busy"), hits("too busy"))).limits()
    assert (hit.name, hit.count) == ("too busy", 2)
    assert "429" in hit.meaning


def test_a_store_that_is_not_there_yet_has_nothing(tmp_path: Path) -> None:
    query = Query(tmp_path / "nowhere")
    assert (query.traces(), query.services(MINUTE), query.edges(MINUTE), query.logs(), query.limits()) == ([],) * 5
    assert query.stored().spans == 0
    assert not (tmp_path / "nowhere").exists()


def test_what_is_in_the_store_can_be_told(tmp_path: Path) -> None:
    found = Query(stored(tmp_path, arrival({"a": [span(), span()]}), Arrival(logs=[line("x")]), now=1e9)).stored()
    assert (found.spans, found.logs, found.oldest) == (2, 1, 10**18)
    assert found.bytes > 8192
