"""Every bound of the collector, with what happens there; each that was reached is counted, and shown.

Names in `HITS` are those under which it is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024

AHEAD = 3_600
"""Seconds by which the time of a log line may be later than the collector's; beyond, it is of when it came."""


OTHERS = "(others)"
"""Who, or what, is one more than are told apart."""


def cut(text: str, most: int) -> str:
    """The text itself, or its first characters with an ellipsis behind them."""
    return text if len(text) <= most else text[:most] + "…"


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds.

    request: of a body as sent, 413 above it. unpacked: of a body after its gzip, 413 above it; nothing of it is kept.
    waiting: of bodies that arrive or wait to be stored; above it a sender is told 429, to come after `retry_after`.
    spans, records: of one request, 400 above it. text: characters of a log line; the rest is cut.
    name: characters of all that a sender names, and of a value of a metric's attributes; error: of a message of
    one; the rest is cut.
    scopes: resources and scopes of one request, events: those and links of one span; 400 above it.
    attributes: of one span, log line or point; more make it invalid. attributes_bytes: of those of a log line or a
    series, as JSON; the last of them are left out above it.
    kept_seconds: after it came spans, log lines and figures go. points_seconds: after which points of metrics go.
    kept_bytes: of the store; above it the oldest go of what takes more than its share: `lines_share` of it,
    `figures_share`, `metrics_share`, and what is left for spans.
    names, errors, sources, series: distinct ones; any further one is "(others)", of series it is dropped.
    tables_bytes: of memory that each of these four takes at most; less where little may be kept.
    edges, operations: distinct ones in three minutes, and of each sender; any further one is with "(others)".
    requests: connections, most of which senders keep open; any further one is told 503.
    forwarding: bytes that wait to be forwarded to one program; what comes then is not. forwarding_seconds: after
    which what could not be brought is given up.
    """

    request: int = 8 * MIB
    unpacked: int = 32 * MIB
    waiting: int = 64 * MIB
    spans: int = 100_000
    records: int = 100_000
    text: int = 16_384
    scopes: int = 100_000
    events: int = 10_000
    name: int = 1_024
    error: int = 4_096
    attributes: int = 1_024
    attributes_bytes: int = 65_536
    kept_seconds: float = 3 * 86_400.0
    kept_bytes: int = 1024 * MIB
    lines_share: float = 1 / 4
    figures_share: float = 1 / 8
    metrics_share: float = 1 / 8
    points_seconds: float = 3_600.0
    names: int = 20_000
    errors: int = 20_000
    sources: int = 5_000
    series: int = 20_000
    tables_bytes: int = 16 * MIB
    edges: int = 2_000
    edges_each: int = 200
    operations: int = 5_000
    operations_each: int = 1_000
    requests: int = 2_048
    forwarding: int = 32 * MIB
    forwarding_seconds: float = 60.0
    retry_after: int = 1

    @property
    def room(self) -> int:
        """Bytes of each table: what it has in memory it has on the disk as well, and in an index."""
        return min(self.tables_bytes, self.kept_bytes // 32)


HITS: Mapping[str, str] = {
    "request too large": "a body was refused with 413: it is larger than the collector takes",
    "invalid request": "a body was refused with 400: it is no OTLP, truncated, or nested too deep",
    "too busy": "a sender was told 429: more waits to be stored than may",
    "disk full": "spans or log lines were refused with 503: they could not be written",
    "kept bytes": "the oldest of what takes more than its share went before its time: the store was full",
    "names": "names went to (others): there are more distinct ones than are told apart",
    "errors": "messages of errors went to (others): there are more distinct ones than are told apart",
    "edges": "edges of the map went to (others): a sender names more whom it asks than are told apart",
    "operations": "figures of operations went to (others): there are more distinct ones than are told apart",
    "sources": "processes went to (others): there are more distinct ones than are told apart",
    "series": "metrics were dropped: there are more distinct ones than are kept",
    "points": "points of metrics were dropped: they are no number, or an hour from now",
    "lines": "lines of a pod, or of a log file, were dropped: they could not be stored",
    "text": "texts were cut: they are longer than is kept",
    "not forwarded": "spans or log lines were stored but not forwarded: whoever should get them was away, or too slow",
    "dropped by a sender": "spans or log lines were dropped by a process: the collector was away, or too slow",
}
"""What each limit means when it was reached, by the name under which it is counted."""
