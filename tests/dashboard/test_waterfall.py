"""A trace as lines."""

from atoll.collector.trees import trees
from atoll.collector.values import Log, Span, SpanKind, Trace
from atoll.dashboard.waterfall import MOST, waterfall

MS = 1_000_000


def span(id: str, parent: str, start: int, end: int, kind: SpanKind = "server", **attributes: object) -> Span:  # noqa: A002
    said = {key.replace("__", "."): each for key, each in attributes.items()}
    return Span("t", id, parent, f"span {id}", kind, start * MS, end * MS, service="checkout", attributes=said)


def log(id: int, time: int, span: str = "") -> Log:  # noqa: A002
    return Log(id, time * MS, "info", "checkout", "checkout-1", f"line {id}", "t", span)


def test_log_lines_stand_between_the_spans_where_they_were_written() -> None:
    spans = [span("a", "", 0, 100), span("b", "a", 10, 20), span("c", "a", 50, 60)]
    made = waterfall(Trace("t", trees(spans), (log(1, 5, "a"), log(2, 30, "a"), log(3, 90, "a"), log(4, 15, "b"))))
    told = [line.span.span if line.span else str(line.log.id) if line.log else "" for line in made.lines]
    assert told == ["a", "1", "b", "4", "2", "c", "3"]
    assert [line.depth for line in made.lines] == [0, 1, 1, 2, 1, 1, 1]


def test_bars_are_hundredths_of_the_whole() -> None:
    made = waterfall(Trace("t", trees([span("a", "", 0, 200), span("b", "a", 50, 150)])))
    assert [(line.left, line.width) for line in made.lines] == [(0.0, 100.0), (25.0, 50.0)]
    assert [name for _, name in made.ticks] == [0.0, 50.0, 100.0, 150.0]


def test_a_query_is_shown_in_place() -> None:
    queried = span("b", "a", 1, 2, "client", db__query__text="SELECT 1 FROM orders")
    made = waterfall(Trace("t", trees([span("a", "", 0, 3), queried])))
    assert made.lines[1].query == "SELECT 1 FROM orders"


def test_lines_of_spans_that_are_not_known_come_last_and_lines_alone_are_a_trace_too() -> None:
    made = waterfall(Trace("t", trees([span("a", "", 0, 3)]), (log(1, 1, "gone"),)))
    assert made.lines[-1].log is not None
    assert waterfall(Trace("t", (), (log(1, 1),))).lines[0].log is not None


def test_a_huge_trace_is_cut_and_says_how_much_there_is() -> None:
    spans = [span("a", "", 0, 10_000), *(span(f"b{n}", "a", n, n + 1) for n in range(MOST + 10))]
    made = waterfall(Trace("t", trees(spans)))
    assert (len(made.lines), made.all) == (MOST, MOST + 11)
