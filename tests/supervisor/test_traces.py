"""Traces from span files and the gateway's access log."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import AtollError
from atoll.supervisor.traces import Access, Span, find, gateway_span, join, recent

TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(name: str, parent: str = "", *, start: int = 0, end: int = 10, trace: str = TRACE) -> Span:
    return Span(trace=trace, span=name, parent=parent, name=name, kind="server", start=start, end=end, service=name)


def test_spans_become_a_tree_in_the_order_of_time() -> None:
    spans = [span("c", "a", start=5), span("b", "a", start=2), span("a"), span("d", "b", start=3)]
    (trace,) = join(spans)
    assert [(depth, each.name) for root in trace.roots for depth, each in root.walk()] == [
        (0, "a"),
        (1, "b"),
        (2, "d"),
        (1, "c"),
    ]


def test_a_span_whose_parent_is_not_known_is_a_root() -> None:
    (trace,) = join([span("a"), span("late", "missing", start=7)])
    assert [root.span.name for root in trace.roots] == ["a", "late"]


def test_the_trace_that_began_last_comes_first() -> None:
    traces = join([span("a", start=1, trace="1" * 32), span("b", start=2, trace="2" * 32)])
    assert [trace.id[0] for trace in traces] == ["2", "1"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 50)), max_size=30))
def test_no_span_is_shown_twice_whoever_claims_to_be_the_parent_of_whom(made: list[tuple[int, int, int]]) -> None:
    traces = join([span(str(name), str(parent), start=start) for name, parent, start in made])
    names = [each.name for trace in traces for each in trace.spans]
    assert len(names) == len(set(names))


def access(**fields: object) -> Access:
    known = {"start_unix_nano": "1763935203000000000", "trace_id": TRACE, "span_id": "b7ad6b7169203331", "status": 200}
    return Access(**{**known, "duration_us": 1500, "route": "catalog.product", **fields})  # type: ignore[arg-type]


def test_a_line_of_the_access_log_is_the_gateways_span() -> None:
    found = gateway_span(access(parent=f"00-{TRACE}-00f067aa0ba902b7-01"))
    assert found is not None
    assert (found.name, found.milliseconds, found.parent) == ("catalog.product", 1.5, "00f067aa0ba902b7")


def test_a_parent_of_another_trace_is_none() -> None:
    found = gateway_span(access(parent=f"00-{'1' * 32}-00f067aa0ba902b7-01"))
    assert found is not None
    assert found.parent == ""


def test_an_answer_of_500_and_above_is_an_error() -> None:
    failed, refused = gateway_span(access(status=503, flags="UH")), gateway_span(access(status=404))
    assert failed is not None
    assert refused is not None
    assert (failed.error, refused.error) == ("status 503 (UH)", "")


def test_files_are_read_up_to_a_line_that_is_being_written(tmp_path: Path) -> None:
    (tmp_path / "spans").mkdir()
    (tmp_path / "logs").mkdir()
    line = json.dumps({"trace": TRACE, "span": "s", "parent": "b7ad6b7169203331", "name": "catalog.product"})
    whole = line.replace("}", ', "kind": "server", "start": 1763935203000000500, "end": 1763935203000000900}')
    (tmp_path / "spans" / "catalog-1.jsonl").write_text(f"{whole}\n{whole[:40]}")
    logged = {"start_unix_nano": "1763935203000000000", "trace_id": TRACE, "span_id": "b7ad6b7169203331"}
    (tmp_path / "logs" / "access.log").write_text(json.dumps({**logged, "status": 200}) + "\n")
    (trace,) = recent(tmp_path, 10)
    assert [(depth, each.service) for root in trace.roots for depth, each in root.walk()] == [(0, "gateway"), (1, "")]
    assert find(tmp_path, TRACE[:6]) == trace


def test_an_id_that_no_trace_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AtollError, match="ATL1010"):
        find(tmp_path, "ffff")
