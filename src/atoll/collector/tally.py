"""Figures of the spans of one commit, counted before they are added to the store's."""

import sqlite3
from collections.abc import Iterator

from atoll.collector.callers import CLIENT, CONSUMER, INTERNAL, SERVER, Asked, Callers
from atoll.collector.figures import STEP, STEPS, Counts, bucket, pack, together
from atoll.collector.spans import REFUSED, SpanIn
from atoll.collector.told import Told

_CLOCKS_DIFFER = 3600
"""Seconds; a span that ended longer ago, or later than now, is counted now: its sender has another clock."""

_WORK = """INSERT INTO work VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET counted = together(counted, excluded.counted)"""
_EDGES = """INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET counted = together(counted, excluded.counted)"""

_Counted = dict[tuple[int, tuple[str, ...]], Counts]
"""By the second in which its ten seconds begin, and what it is of."""


class Tally:
    """Counts what was served, and who asked whom. now: seconds since the epoch."""

    def __init__(self, callers: Callers, told: Told, now: int) -> None:
        self._callers, self._told, self._now = callers, told, now
        told.begin(now)
        self._work: _Counted = {}
        self._edges: _Counted = {}

    def count(self, service: str, name: str, span: SpanIn) -> None:
        """A span of the service; name: of the span, as it is kept."""
        kind, duration = span.kind, bucket(span.duration)
        second = (span.start + span.duration) // 1_000_000_000
        at = (second if abs(self._now - second) < _CLOCKS_DIFFER else self._now) // STEP * STEP
        failed = bool(span.error)
        if kind in (SERVER, CONSUMER) or (kind == INTERNAL and not span.parent):
            self._served(at, (service, name)).count(duration, failed)
        if kind == CLIENT and span.facts and REFUSED in span.facts:
            failed = False
        asked = self._callers.named(service, kind, span.facts) if span.facts else None
        if asked is not None:
            self._asked(at, asked).count(duration, failed)
        elif kind != CONSUMER:
            for each in self._callers.sent(span.span, service):
                self._asked(at, each).count(duration, failed)
        if kind == SERVER and span.parent:
            for each in self._callers.received(span.parent, service):
                self._asked(at, each).count(duration, failed)

    def _served(self, at: int, operation: tuple[str, str]) -> Counts:
        """Where it is counted."""
        counts = self._work.get((at, operation))
        if counts is None:
            counts = self._work.setdefault((at, self._told.operation(operation)), Counts())
        return counts

    def _asked(self, at: int, asked: Asked) -> Counts:
        counts = self._edges.get((at, asked))
        if counts is None:
            counts = self._edges.setdefault((at, self._told.edge(asked)), Counts())
        return counts

    def write(self, database: sqlite3.Connection) -> None:
        """Add it to what is stored, within the transaction that is open."""
        database.executemany(_WORK, _rows(self._work))
        database.executemany(_EDGES, _rows(self._edges))


def _rows(counted: _Counted) -> Iterator[tuple[object, ...]]:
    """Of every length."""
    packed = [(at, key, pack(counts)) for (at, key), counts in counted.items()]
    for step in STEPS:
        rows: dict[tuple[int, tuple[str, ...]], bytes] = {}
        for at, key, counts in packed:
            row = (at // step * step, key)
            rows[row] = together(rows[row], counts) if row in rows else counts
        for (at, key), counts in rows.items():
            yield step, at, *key, counts
