"""A trace as lines from the top to the bottom: spans where they began, their queries and log lines in place. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atoll.collector.values import Hop, Log, Span, Trace

MOST = 1_000
"""Lines that are shown; more make no page."""

_QUERY = ("db.query.text", "db.statement", "db.query.summary")


@dataclass(frozen=True, slots=True)
class Line:
    """A span or a log line. left, width: in hundredths of the trace. query: of a span that asked a database."""

    depth: int
    left: float
    width: float
    span: Span | None = None
    log: Log | None = None
    query: str = ""

    @property
    def service(self) -> str:
        return self.span.service if self.span else self.log.service if self.log else ""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """lines: at most MOST, of `all`. ticks: places and names of times."""

    lines: tuple[Line, ...]
    all: int
    ticks: tuple[tuple[float, float], ...]


def waterfall(trace: Trace) -> Waterfall:
    spans = trace.spans
    logs: dict[str, list[Log]] = {}
    known = {span.span for span in spans}
    for log in trace.logs:
        logs.setdefault(log.span if log.span in known else "", []).append(log)
    if not spans:
        return Waterfall(tuple(Line(0, 0.0, 0.0, log=log) for log in trace.logs[:MOST]), len(trace.logs), ())
    start, whole = trace.start, max(trace.milliseconds, 0.001)
    lines: list[Line] = []
    count = 0
    for line in (each for root in trace.roots for each in _lines(root, 0, logs, (start, whole))):
        count += 1
        if count <= MOST:
            lines.append(line)
    for log in logs.get("", ()):
        count += 1
        if count <= MOST:
            lines.append(_of_log(log, 0, start, whole))
    return Waterfall(tuple(lines), count, tuple((share, whole * share / 100) for share in (0.0, 25.0, 50.0, 75.0)))


def _lines(hop: Hop, depth: int, logs: Mapping[str, list[Log]], scale: tuple[int, float]) -> Iterator[Line]:
    span = hop.span
    start, whole = scale
    left = (span.start - start) / 1e4 / whole
    query = next((str(span.attributes[key]) for key in _QUERY if key in span.attributes), "")
    yield Line(depth, left, max(span.milliseconds / whole * 100, 0.0), span, query=query)
    waiting = sorted(logs.get(span.span, ()), key=lambda each: each.time)
    for child in hop.children:
        while waiting and waiting[0].time <= child.span.start:
            yield _of_log(waiting.pop(0), depth + 1, start, whole)
        yield from _lines(child, depth + 1, logs, scale)
    for log in waiting:
        yield _of_log(log, depth + 1, start, whole)


def _of_log(log: Log, depth: int, start: int, whole: float) -> Line:
    return Line(depth, min(max((log.time - start) / 1e4 / whole, 0.0), 100.0), 0.0, log=log)
