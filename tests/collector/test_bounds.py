"""What senders name, and say, takes no more than its bounds, and whoever takes too much pays for it alone."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atoll.collector.arrivals import Arrival, PointIn
from atoll.collector.limits import MIB, Limits
from atoll.collector.query import Query, Window
from atoll.collector.records import read_metrics
from atoll.collector.spans import SpanReader
from atoll.collector.store import Store
from tests.collector import sending
from tests.collector.sending import arrival, attributes, line, span

NOW = int(time.time())


@pytest.fixture(autouse=True)
def _everything_ends_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long after the beginning of the run."""
    monkeypatch.setattr(sending, "clock", lambda: NOW * 10**9)


@contextmanager
def opened(folder: Path, limits: Limits) -> Iterator[Store]:
    with closing(Store(folder, limits)) as store:
        yield store


def expire(store: Store, now: float) -> None:
    while store.expire(now):
        pass


def numbered(text: str, count: int, first: int = 0, **values: object) -> list[Span]:
    """Spans of traces of their own. text: with "{}" for the number."""
    return [
        span(text.format(number), trace=(number + 1).to_bytes(16, "big"), **values)  # type: ignore[arg-type]
        for number in range(first, first + count)
    ]


def points(count: int, first: int = 0, size: int = 10, at: int = NOW) -> Arrival:
    made = [
        Metric(
            name="m" * size,
            gauge=Gauge(
                data_points=[
                    NumberDataPoint(
                        time_unix_nano=at * 10**9,
                        as_double=1.0,
                        attributes=attributes({"k": f"{number}" + "x" * size}),
                    )
                ]
            ),
        )
        for number in range(first, first + count)
    ]
    body = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=made)])])
    limits = Limits()
    return read_metrics(body.SerializeToString(), SpanReader(limits), limits)


# --- time


def test_lines_of_a_clock_in_the_future_go_like_all_others(tmp_path: Path) -> None:
    # Given more lines of the last moment that there is than go at once, and a good one that came with them
    limits, now = Limits(kept_seconds=3_600), float(NOW)
    far = line("far")._replace(time=(1 << 63) - 1)
    with opened(tmp_path, limits) as store:
        store.write([Arrival(logs=[far] * 21_000), Arrival(logs=[line("good")])], now)
        expire(store, now + 3_000)
        assert Query(tmp_path).stored().logs == 21_001
        # When the time that they are kept is over, by our clock
        store.write([Arrival(logs=[line("later")])], now + 3_700)
        expire(store, now + 3_700)
    # Then the last is left
    assert [each.body for each in Query(tmp_path).logs()] == ["later"]


def test_a_line_that_tells_of_long_ago_stays_as_long_as_the_others(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(kept_seconds=3_600)) as store:
        store.write([Arrival(logs=[line("old")._replace(time=1)])], NOW)
        expire(store, NOW + 3_000)
    assert [each.body for each in Query(tmp_path).logs()] == ["old"]


# --- room


def test_lines_whatever_their_time_leave_room_when_the_store_is_full(tmp_path: Path) -> None:
    limits = Limits(kept_bytes=4 * MIB)
    lines = [line("x" * 200)._replace(time=(1 << 63) - 1)] * 20_000
    with opened(tmp_path, limits) as store:
        sizes = []
        for number in range(8):
            store.write([Arrival(logs=lines)], NOW + number)
            expire(store, NOW + number)
            sizes.append(Query(tmp_path).stored().logs)
    assert max(sizes) < 25_000


def test_a_flood_of_lines_takes_no_spans(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(kept_bytes=4 * MIB)) as store:
        store.write([arrival({"good": numbered("GET /{}", 500)})], NOW)
        for number in range(8):
            store.write([Arrival(logs=[line("x" * 1_000)] * 2_000)], NOW + 10 * number)
            expire(store, NOW + 10 * number)
        store.write([], NOW)
    query = Query(tmp_path)
    assert query.stored().spans == 500
    assert [hit.name for hit in query.limits()] == ["kept bytes"]


def test_a_flood_of_metrics_takes_no_spans_and_those_told_of_last_stay(tmp_path: Path) -> None:
    # Given a store of four MiB with spans in it, and more than that of metrics, of which the first are told no more
    with opened(tmp_path, Limits(kept_bytes=4 * MIB)) as store:
        store.write([arrival({"good": numbered("GET /{}", 500)})], NOW)
        for number in range(12):
            told = [
                PointIn("evil", "evil-1", f"m{each}", "gauge", "", "{}", NOW - 3_500 + number * 200 + second, 0.1)
                for each in range(number * 20, number * 20 + 20)
                for second in range(900)
            ]
            store.write([Arrival(points=told)], NOW)
        store.write([Arrival(points=[PointIn("a", "a-1", "lag", "gauge", "", "{}", NOW, 7.0)])], NOW)
        expire(store, NOW)
        store.write([], NOW)
    query = Query(tmp_path)
    assert query.stored().spans == 500
    assert [hit.name for hit in query.limits()] == ["kept bytes"]
    assert [each.points for each in query.metrics(Window(NOW - 60, NOW + 60), "lag")] == [((NOW, 7.0),)]
    assert query.metrics(Window(NOW - 3_600, NOW + 60), "m0") == []


def test_a_flood_of_edges_takes_no_spans(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(kept_bytes=8 * MIB, edges_each=100_000, edges=100_000)) as store:
        store.write([arrival({"good": numbered("GET /{}", 500)})], NOW)
        asked = [span("x", kind=Span.SPAN_KIND_CLIENT, peer__service=f"h{number}" + "z" * 900) for number in range(500)]
        # Of a sender with another clock, whose spans are counted when they come
        for now in range(NOW + 4_000, NOW + 6_000, 200):
            store.write([arrival({"evil": asked})], now)
            expire(store, now)
        store.write([], now)
    query = Query(tmp_path)
    assert query.stored().spans == 5_500
    assert [hit.name for hit in query.limits()] == ["kept bytes"]
    assert query.edges(Window(now, now + 60))
    assert query.edges(Window(NOW + 4_000, NOW + 4_060)) == []


# --- memory


def test_names_as_long_as_a_request_take_no_memory(tmp_path: Path) -> None:
    # Given ten requests of thirty distinct names of a MiB each, for spans, errors and metrics, and of who asked whom
    limits = Limits()
    with opened(tmp_path, limits) as store:

        def flood(first: int) -> None:
            text = "{}" + "x" * MIB
            made = [
                *numbered(text, 10, first),
                *numbered("x", 10, first, error=text.format(first)),
                *numbered("x", 10, first, kind=Span.SPAN_KIND_CLIENT, peer__service=text.format(first)),
            ]
            names = {f"{first}" + "s" * MIB: made}
            store.write([arrival(names), points(10, first, MIB)], NOW)
            expire(store, NOW)

        flood(0)
        tracemalloc.start()
        try:
            for number in range(1, 10):
                flood(number * 30)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Then of each a kilobyte is kept
        assert held < 3 * MIB
    query = Query(tmp_path)
    assert max(len(each.name) for each in query.traces()) == limits.name + 1
    assert max(len(edge.callee) for edge in query.edges(Window(NOW - 600, NOW + 600))) == limits.name + 1
    assert {hit.name for hit in query.limits()} == {"text"}


def test_what_is_held_in_memory_is_within_its_room_and_told(tmp_path: Path) -> None:
    # Given names of five hundred characters, of which a hundred have room
    limits = Limits(tables_bytes=75_000)
    with opened(tmp_path, limits) as store:
        store.write([arrival({"a": numbered("{}" + "x" * 500, 200)})], NOW)
        expire(store, NOW)
        store.write([], NOW)
    query = Query(tmp_path)
    (names,) = (each for each in query.held() if each.name == "names")
    assert 90 <= names.rows <= 110
    assert names.bytes <= names.room + 1_000 == 76_000
    assert {each.name: each.count for each in query.limits()} == {"names": 201 - names.rows}


def test_attributes_of_a_metric_are_as_few_and_as_short_as_those_of_a_line(tmp_path: Path) -> None:
    with opened(tmp_path, Limits()) as store:
        told = points(1, size=5_000)
        assert len(told.points[0].attributes) < 1_100
        store.write([told], NOW)
    assert {hit.name: hit.count for hit in Query(tmp_path).limits()} == {"text": 2}


# --- names


def test_messages_of_errors_take_no_names(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(names=5, errors=5)) as store:
        store.write([arrival({"a": [span("GET /", error=f"no product {number}") for number in range(50)]})], NOW)
        store.write([arrival({"a": [span("GET /new", trace=b"n" * 16)]})], NOW)
    query = Query(tmp_path)
    assert {each.name for each in query.operations(Window(NOW - 600, NOW + 600))} == {"GET /", "GET /new"}
    assert {hit.name: hit.count for hit in query.limits()} == {"errors": 45}


def test_names_that_nothing_has_any_more_make_room(tmp_path: Path) -> None:
    limits = Limits(names=10, errors=10, kept_seconds=3_600)
    with opened(tmp_path, limits) as store:
        store.write([arrival({"a": numbered("old {}", 20, error="old {}")})], NOW)
        store.write([arrival({"a": [span(f"{number}", error=f"{number}") for number in range(20)]})], NOW)
        # When the spans have gone, and a new operation comes
        later = NOW + 4_000
        expire(store, later)
        store.write([arrival({"a": [span("new", error="broken", trace=b"n" * 16)]})], later)
    (found,) = Query(tmp_path).traces()
    assert found.name == "new"
    assert Query(tmp_path).trace(found.id).spans[0].error == "broken"


def test_processes_beyond_those_told_apart_are_others_in_figures_too(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(sources=2)) as store:
        for number in range(5):
            store.write([arrival({f"service-{number}": [span()]})], NOW)
    window = Window(NOW - 600, NOW + 600)
    found = {each.service: each.figures.calls for each in Query(tmp_path).services(window)}
    assert found == {"service-0": 1, "service-1": 1, "(others)": 3}


def test_a_service_that_names_whoever_it_likes_fills_the_map_with_one_more(tmp_path: Path) -> None:
    # Given a service that calls every client by a name of its own, and another that calls one
    limits = Limits(edges_each=10)
    with opened(tmp_path, limits) as store:
        wild = [span("x", kind=Span.SPAN_KIND_CLIENT, peer__service=f"client-{number}") for number in range(100)]
        calm = [span("x", kind=Span.SPAN_KIND_CLIENT, peer__service="payment")]
        topics = [span("x", kind=Span.SPAN_KIND_CONSUMER, messaging__destination__name=f"t-{n}") for n in range(100)]
        store.write([arrival({"wild": wild, "eager": topics, "calm": calm})], NOW)
        # Then each has its own bound
        edges = Query(tmp_path).edges(Window(NOW - 600, NOW + 600))
        assert sum(edge.caller == "wild" for edge in edges) == 11
        assert sum(edge.callee == "eager" for edge in edges) == 11
        assert {
            (edge.caller, edge.callee): edge.figures.calls for edge in edges if "(others)" in (edge.caller, edge.callee)
        } == {
            ("wild", "(others)"): 90,
            ("(others)", "eager"): 90,
        }
        assert ("calm", "payment") in {(edge.caller, edge.callee) for edge in edges}
        # And in three minutes everybody begins anew
        store.write([arrival({"wild": [span("x", kind=Span.SPAN_KIND_CLIENT, peer__service="new")]})], NOW + 180)
    assert ("wild", "new") in {
        (edge.caller, edge.callee) for edge in Query(tmp_path).edges(Window(NOW - 600, NOW + 600))
    }


def test_operations_of_a_service_are_told_apart_up_to_a_bound(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(operations_each=10)) as store:
        store.write([arrival({"a": numbered("GET /{}", 100), "b": [span("GET /b")]})], NOW)
    found = {each.name: each.figures.calls for each in Query(tmp_path).operations(Window(NOW - 600, NOW + 600))}
    assert len(found) == 12
    assert (found["(others)"], found["GET /b"]) == (90, 1)
