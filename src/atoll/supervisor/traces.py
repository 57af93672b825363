"""Traces of a system, joined from the spans of its processes and the gateway's access log."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from atoll.errors import NO_SUCH_TRACE

T = TypeVar("T")
SpanKind = Literal["server", "client", "internal", "producer", "consumer"]
MOST_BYTES = 32 * 2**20
"""Read of each file, from its end; what is older is not found."""


class Span(msgspec.Struct, frozen=True):
    """One line of a span file. parent: "" of a root. start, end: nanoseconds since the epoch. error: "" for none."""

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
    attributes: dict[str, object] = {}

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6


class Access(msgspec.Struct, frozen=True):
    """One line of Envoy's access log. parent: the `traceparent` that the client sent, if any."""

    start_unix_nano: str
    trace_id: str
    span_id: str
    method: str | None = None
    path: str | None = None
    route: str | None = None
    cluster: str | None = None
    duration_us: int | None = None
    parent: str | None = None
    status: int | None = None
    flags: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """A span with what was done because of it, in the order of time."""

    span: Span
    children: tuple["Hop", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Span]]:
        """Every span below, with its depth; itself first."""
        yield depth, self.span
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that one request caused. roots: more than one if the spans between them are not (yet) known."""

    id: str
    roots: tuple[Hop, ...]

    @property
    def spans(self) -> list[Span]:
        return [span for root in self.roots for _, span in root.walk()]

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


def gateway_span(access: Access) -> Span | None:
    """The gateway's part; None if the request was too broken to be given a trace."""
    if not access.trace_id or not access.span_id:
        return None
    seconds, _, rest = access.start_unix_nano.partition(".")
    start = int(seconds + rest) if rest else int(seconds)
    status = access.status or 0
    # 00-<trace>-<span>-01
    parent = (access.parent or "").split("-")
    return Span(
        trace=access.trace_id,
        span=access.span_id,
        parent=parent[2] if len(parent) == 4 and parent[1] == access.trace_id else "",
        name=access.route or f"{access.method} {access.path}",
        kind="server",
        start=start,
        end=start + 1_000 * (access.duration_us or 0),
        error="" if 0 < status < 500 else f"status {status}" + (f" ({access.flags})" if access.flags else ""),
        service="gateway",
        replica="gateway",
        attributes={"http.request.method": access.method, "url.path": access.path, "http.response.status_code": status},
    )


def join(spans: Iterable[Span]) -> list[Trace]:
    """The spans as trees, the trace that began last first."""
    by_trace: dict[str, dict[str, Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace, {})[span.span] = span
    traces = [Trace(id_, _trees(list(found.values()))) for id_, found in by_trace.items()]
    return sorted(traces, key=lambda trace: trace.start, reverse=True)


def _trees(spans: Sequence[Span]) -> tuple[Hop, ...]:
    ordered = sorted(spans, key=lambda each: (each.start, -each.end))
    known = {span.span for span in spans}
    children: dict[str, list[Span]] = {}
    for span in ordered:
        children.setdefault(span.parent, []).append(span)
    shown: set[str] = set()

    def hop(span: Span) -> Hop:
        shown.add(span.span)
        return Hop(span, tuple(hop(each) for each in children.get(span.span, ()) if each.span not in shown))

    roots = [hop(span) for span in ordered if span.parent not in known]
    # Spans that claim to be each other's parents have no root: the first of them is taken for one.
    return (*roots, *(hop(span) for span in ordered if span.span not in shown))


def read_spans(state: Path) -> list[Span]:
    """Every span that the system with this state folder has kept."""
    spans: list[Span] = []
    for file in sorted(state.glob("spans/*.jsonl*")):
        spans += _lines(file, Span)
    for file in sorted(state.glob("logs/access.log*")):
        spans += [span for access in _lines(file, Access) if (span := gateway_span(access))]
    return spans


def recent(state: Path, limit: int) -> list[Trace]:
    """The traces that began last, newest first."""
    return join(read_spans(state))[:limit]


def find(state: Path, trace: str) -> Trace:
    """The trace whose id begins so. Raises NO_SUCH_TRACE if there is none, or more than one."""
    found = join(span for span in read_spans(state) if span.trace.startswith(trace.lower()))
    if len(found) != 1:
        raise NO_SUCH_TRACE.error(has=[each.id for each in found[:5]], trace=trace)
    return found[0]


def _lines(file: Path, kind: type[T]) -> Iterator[T]:
    """The lines of the file's last 32 MiB that can be read; one that is being written can not."""
    decoder = msgspec.json.Decoder(kind)
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(size - MOST_BYTES, 0))
        for line in opened:
            with suppress(msgspec.DecodeError):
                yield decoder.decode(line)
