"""Writes what came to the store, and lets the oldest go."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import astuple

from atoll.collector.arrivals import Arrival, LogIn, PointIn, Position
from atoll.collector.callers import Callers
from atoll.collector.database import FILE, open_to_write
from atoll.collector.expiry import Expiry
from atoll.collector.limits import Limits, cut
from atoll.collector.naming import Naming
from atoll.collector.tally import Tally
from atoll.collector.told import Told

_TELL_EVERY = 10.0
"""Seconds between two looks at how much is held in memory."""

_FORGET_EVERY = 60.0
"""Seconds between two looks at what of it nothing refers to any more, for which all lines may have to be read."""

_LINES_TOGETHER = 10
"""Seconds of log lines that go together."""

_LINE = 60
"""Bytes of a log line beside its texts."""

_CONTENTS = """INSERT INTO contents SELECT batch, source, name, max(error != 0), max(duration) FROM spans
               WHERE id >= ? GROUP BY source, name"""


class Store:
    """The one writer of a store; not for several threads at once."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._database = open_to_write(folder / FILE)
        self._callers = Callers(limits)
        self._hits: Counter[str] = Counter()
        self._told = Told(limits, self.hit)
        self._naming = Naming(self._database, limits, self.hit)
        self._expiry = Expiry(self._database, limits, self.hit, self._naming.load)
        self._forget_at = self._tell_at = 0.0
        self._next = {table: self._first_free(table) for table in ("spans", "batches")}

    def close(self) -> None:
        """Leaves one file behind, with everything in it."""
        self._database.close()

    def write(self, arrivals: Sequence[Arrival], now: float) -> None:
        """Store all of them or none: what was stored outlives the process. Raises sqlite3.Error, as for a full disk.

        now: seconds since the epoch.
        """
        before, hits = dict(self._next), self._hits.copy()
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            tally = Tally(self._callers, self._told, int(now))
            for arrival in arrivals:
                self._hits += arrival.hits
                if arrival.groups:
                    self._write_spans(arrival, tally, int(now * 1e9))
                self._write_logs(arrival.logs, int(now))
                self._write_points(arrival.points, now)
                self._write_positions(arrival.positions)
                database.executemany("DELETE FROM followed WHERE name = ?", [(each,) for each in arrival.gone])
            tally.write(database)
            self._write_hits(now)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            self._next, self._hits = before, hits
            self._naming.load()
            raise
        self._hits.clear()

    def hit(self, name: str, count: int = 1) -> None:
        """A limit was reached; it is written with what comes next."""
        self._hits[name] += count

    def positions(self) -> dict[str, Position]:
        """How far everything was followed, by name."""
        rows = self._database.execute("SELECT name, place, position FROM followed")
        return {row[0]: Position(*row) for row in rows}

    def expire(self, now: float) -> bool:
        """Let some of what is too old, or too much, go. Returns whether there is more to do. Raises sqlite3.Error."""
        if self._expiry.some(now, are_many_series=self._naming.are_many_series):
            return True
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY
            self._naming.forget_unused()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_EVERY
            rows = [astuple(each) for each in self._naming.held()]
            self._database.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)", rows)
        return False

    def _write_spans(self, arrival: Arrival, tally: Tally, came: int) -> None:
        batch, number = self._next["batches"], self._next["spans"]
        rows: list[tuple[object, ...]] = []
        naming, encoded = self._naming, self._naming.encoded
        for group in arrival.groups:
            service, source = naming.source(group.service, group.replica)
            for span in group.spans:
                name, known = encoded.get(span.name) or naming.name(span.name)
                error = naming.error(span.error) if span.error else 0
                # fmt: off
                rows.append((
                    number, span.trace, span.span, span.parent or None, source, known, span.kind,
                    span.start, span.duration, error, batch, span.place, span.size,
                ))
                # fmt: on
                number += 1
                tally.count(service, name, span)
        if not rows:
            return
        first = self._next["spans"]
        self._database.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?)", (batch, came, first, number - 1, arrival.body)
        )
        self._database.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute(_CONTENTS, (first,))
        self._next = {"batches": batch + 1, "spans": number}

    def _write_logs(self, logs: Sequence[LogIn], now: int) -> None:
        if not logs:
            return
        rows = [
            (
                each.time,
                each.severity,
                self._naming.source(each.service, each.replica)[1],
                each.trace,
                each.span,
                self._cut(each.body),
                each.attributes,
            )
            for each in logs
        ]
        self._database.executemany(
            "INSERT INTO logs (time, severity, source, trace, span, body, attributes) VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        size = sum(_LINE + len(row[5].encode()) + len((row[6] or "").encode()) for row in rows)
        self._database.execute(
            """INSERT INTO lines VALUES (?, (SELECT max(id) FROM logs), ?)
               ON CONFLICT DO UPDATE SET last = excluded.last, bytes = bytes + excluded.bytes""",
            (now // _LINES_TOGETHER * _LINES_TOGETHER, size),
        )

    def _write_points(self, points: Sequence[PointIn], now: float) -> None:
        near = self._limits.points_seconds  # what is of the future would never grow old
        sound = [each for each in points if math.isfinite(each.value) and abs(each.at - now) <= near]
        if len(sound) < len(points):
            self.hit("points", len(points) - len(sound))
        rows = [(series, each.at, each.value) for each in sound if (series := self._naming.series(each))]
        self._database.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?)", rows)

    def _write_positions(self, positions: Sequence[Position]) -> None:
        rows = [(each.name, each.place, each.position) for each in positions]
        self._database.executemany("INSERT OR REPLACE INTO followed VALUES (?, ?, ?)", rows)

    def _write_hits(self, now: float) -> None:
        self._database.executemany(
            """INSERT INTO hits VALUES (?, ?, ?)
               ON CONFLICT DO UPDATE SET count = count + excluded.count, last = excluded.last""",
            [(name, count, now) for name, count in self._hits.items()],
        )

    def _first_free(self, table: str) -> int:
        number: int = self._database.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]  # noqa: S608
        return number

    def _cut(self, text: str) -> str:
        short = cut(text, self._limits.text)
        if short is not text:
            self.hit("text")
        return short
