"""Every bound of the collector, with what happens there; each that was reached is counted, and shown.

Names in `HITS` are those under which it is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024

AHEAD = 3_600
"""Seconds by which the time of a log line may be later than the collector's; beyond, it is of when it came."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds.

    request: of a body as sent, 413 above it. unpacked: of a body after its gzip, 413 above it; nothing of it is kept.
    waiting: of bodies that arrive or wait to be stored; above it a sender is told 429, to come after `retry_after`.
    spans, records: of one request, 400 above it. text: characters of a log line or a name; the rest is cut.
    attributes: of one span or log line; more make it invalid.
    kept_seconds: after which spans, log lines and figures go. kept_bytes: of the store; above it the oldest go, and
    figures that are an hour older than the oldest span. points_seconds: after which points of metrics go.
    names, sources, series: distinct ones; any further one is "(others)".
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
    attributes: int = 1_024
    kept_seconds: float = 3 * 86_400.0
    kept_bytes: int = 1024 * MIB
    points_seconds: float = 3_600.0
    names: int = 20_000
    sources: int = 5_000
    series: int = 20_000
    requests: int = 2_048
    forwarding: int = 32 * MIB
    forwarding_seconds: float = 60.0
    retry_after: int = 1


HITS: Mapping[str, str] = {
    "request too large": "a body was refused with 413: it is larger than the collector takes",
    "invalid request": "a body was refused with 400: it is no OTLP, truncated, or nested too deep",
    "too busy": "a sender was told 429: more waits to be stored than may",
    "disk full": "spans or log lines were refused with 503: they could not be written",
    "kept bytes": "the oldest spans and log lines went before their time: the store was full",
    "names": "names went to (others): there are more distinct ones than are told apart",
    "sources": "processes went to (others): there are more distinct ones than are told apart",
    "series": "metrics were dropped: there are more distinct ones than are kept",
    "points": "points of metrics were dropped: they are no number, or an hour from now",
    "text": "texts were cut: they are longer than is kept",
    "not forwarded": "spans or log lines were stored but not forwarded: whoever should get them was away, or too slow",
    "dropped by a sender": "spans or log lines were dropped by a process: the collector was away, or too slow",
}
"""What each limit means when it was reached, by the name under which it is counted."""
