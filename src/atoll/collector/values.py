"""What the store answers with. Times are nanoseconds since the epoch, durations milliseconds, rates a second."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

import msgspec

from atoll.wire.otlp import Value

SpanKind = Literal["", "internal", "server", "client", "producer", "consumer"]
EdgeKind = Literal["call", "database", "publish", "consume", "external"]
Severity = Literal["trace", "debug", "info", "warning", "error", "critical"]


S = TypeVar("S")

_MOST_IN_A_ROW = 100
"""Servers that pass a request on; hostile spans may be each other's children."""


def telling(root: S, is_server: Callable[[S], bool], below: Callable[[S], Iterable[S]]) -> S:
    """The span that says what was asked: a server whose child is a server passed it on, as a gateway does."""
    for _ in range(_MOST_IN_A_ROW):
        inner = next((each for each in below(root) if is_server(each)), None) if is_server(root) else None
        if inner is None:
            break
        root = inner
    return root


class SpanEvent(msgspec.Struct, frozen=True):
    """Something that happened within a span."""

    time: int
    name: str
    attributes: dict[str, Value] = {}


class SpanLink(msgspec.Struct, frozen=True):
    """Another span that it has to do with, but is no child of."""

    trace: str
    span: str


class Span(msgspec.Struct, frozen=True):
    """One piece of work. trace, span: hexadecimal; parent: "" of a root. error: "" for none."""

    trace: str
    span: str
    parent: str
    name: str
    kind: SpanKind
    start: int
    end: int
    error: str = ""
    service: str = ""
    replica: str = ""
    attributes: dict[str, Value] = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6


class Log(msgspec.Struct, frozen=True):
    """One line of a log.

    id: greater than that of any line stored before. trace, span: "" where it belongs to none.
    """

    id: int
    time: int
    severity: Severity
    service: str
    replica: str
    body: str
    trace: str = ""
    span: str = ""
    attributes: dict[str, Value] = {}


class Hop(msgspec.Struct, frozen=True):
    """A span with what was done because of it, in the order of time."""

    span: Span
    children: tuple["Hop", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Span]]:
        """Every span below, with its depth; itself first."""
        yield depth, self.span
        for child in self.children:
            yield from child.walk(depth + 1)


class TraceSummary(msgspec.Struct, frozen=True):
    """A trace in a list. name: of the span that it began with; service: that made it. errors: spans that failed."""

    id: str
    name: str
    service: str
    start: int
    milliseconds: float
    spans: int
    errors: int
    services: tuple[str, ...]


class Trace(msgspec.Struct, frozen=True):
    """Everything that one request caused. roots: more than one if the spans between them are not (yet) known."""

    id: str
    roots: tuple[Hop, ...]
    logs: tuple[Log, ...] = ()

    @property
    def spans(self) -> list[Span]:
        return [span for root in self.roots for _, span in root.walk()]

    @property
    def telling(self) -> Span:
        """The span that says what was asked."""
        return telling(self.roots[0], lambda hop: hop.span.kind == "server", lambda hop: hop.children).span

    @property
    def start(self) -> int:
        return min(span.start for span in self.spans)

    @property
    def milliseconds(self) -> float:
        """From its first beginning to its last end."""
        return (max(span.end for span in self.spans) - self.start) / 1e6

    @property
    def errors(self) -> int:
        return sum(bool(span.error) for span in self.spans)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(span.service for span in self.spans))


class Figures(msgspec.Struct, frozen=True):
    """How much, how often in vain, how long. error_rate: a share, from 0 to 1. p50, p99: within 7 % of the truth."""

    calls: int = 0
    errors: int = 0
    rate: float = 0.0
    error_rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0


class ServiceSummary(msgspec.Struct, frozen=True):
    """A service, or the gateway, in a window of time. replicas: that have sent anything."""

    service: str
    figures: Figures
    replicas: tuple[str, ...] = ()


class OperationSummary(msgspec.Struct, frozen=True):
    """What a service serves under one name: an operation, a handler of events, a schedule."""

    service: str
    name: str
    figures: Figures


class Edge(msgspec.Struct, frozen=True):
    """Who asked whom. A topic or database stands there by its name, like a service."""

    caller: str
    callee: str
    kind: EdgeKind
    figures: Figures


class Moment(msgspec.Struct, frozen=True):
    """Figures of the seconds that begin at `at` (seconds since the epoch), for a chart."""

    at: int
    figures: Figures


class Series(msgspec.Struct, frozen=True):
    """A metric of one process. points: (seconds since the epoch, value), the oldest first."""

    name: str
    service: str
    replica: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: str
    attributes: dict[str, Value]
    points: tuple[tuple[int, float], ...]


class LimitHit(msgspec.Struct, frozen=True):
    """A limit that was reached. count: how often; last: when, in seconds since the epoch."""

    name: str
    meaning: str
    count: int
    last: float


class Stored(msgspec.Struct, frozen=True):
    """What there is. bytes: of the whole store. oldest: when its oldest span came, 0 without any."""

    spans: int
    logs: int
    bytes: int
    kept_bytes: int
    oldest: int


class Held(msgspec.Struct, frozen=True):
    """What the collector has in memory of what senders name. most: of its rows. bytes: of memory, at most `room`."""

    name: str
    rows: int
    most: int
    bytes: int
    room: int
