"""Figures of the spans of one commit, counted before they are added to the store's."""

import sqlite3

from atoll.collector.callers import CLIENT, CONSUMER, INTERNAL, SERVER, Asked, Callers, named
from atoll.collector.figures import STEP, bucket
from atoll.collector.spans import REFUSED, SpanIn

_CLOCKS_DIFFER = 3600
"""Seconds; a span that ended longer ago, or later than now, is counted now: its sender has another clock."""

_WORK = """INSERT INTO work VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors"""
_EDGES = """INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors"""


class Tally:
    """Counts what was served, and who asked whom. now: seconds since the epoch."""

    def __init__(self, callers: Callers, now: int) -> None:
        self._callers, self._now = callers, now
        self._work: dict[tuple[int, str, str, int], list[int]] = {}
        self._edges: dict[tuple[int, Asked, int], list[int]] = {}

    def count(self, service: str, name: str, span: SpanIn) -> None:
        """A span of the service; name: of the span, as it is kept."""
        kind, duration = span.kind, bucket(span.duration)
        second = (span.start + span.duration) // 1_000_000_000
        at = (second if abs(self._now - second) < _CLOCKS_DIFFER else self._now) // STEP * STEP
        failed = 1 if span.error else 0
        if kind in (SERVER, CONSUMER) or (kind == INTERNAL and not span.parent):
            counted = self._work.setdefault((at, service, name, duration), [0, 0])
            counted[0] += 1
            counted[1] += failed
        if kind == CLIENT and span.facts and REFUSED in span.facts:
            failed = 0
        asked = named(service, kind, span.facts) if span.facts else None
        if asked is not None:
            self._add(at, asked, duration, failed)
        elif kind != CONSUMER:
            for each in self._callers.sent(span.span, service):
                self._add(at, each, duration, failed)
        if kind == SERVER and span.parent:
            for each in self._callers.received(span.parent, service):
                self._add(at, each, duration, failed)

    def _add(self, at: int, asked: Asked, duration: int, failed: int) -> None:
        counted = self._edges.setdefault((at, asked, duration), [0, 0])
        counted[0] += 1
        counted[1] += failed

    def write(self, database: sqlite3.Connection) -> None:
        """Add it to what is stored, within the transaction that is open."""
        database.executemany(_WORK, [(*key, *counted) for key, counted in self._work.items()])
        database.executemany(
            _EDGES, [(at, *asked, duration, *counted) for (at, asked, duration), counted in self._edges.items()]
        )
