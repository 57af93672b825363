"""Writes what came to the store, and lets the oldest go."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from atoll.collector.callers import Callers
from atoll.collector.database import FILE, open_to_write
from atoll.collector.figures import STEPS
from atoll.collector.limits import Limits
from atoll.collector.spans import Group
from atoll.collector.tally import Tally

OTHERS = "(others)"
_SPANS_GONE_AT_ONCE = 20_000
_LOGS_GONE_AT_ONCE = 20_000
_LOGS_GONE_WHEN_FULL = 1_000
_FOR_EVER = (1 << 63) - 1
_FIGURES_STAY = 3_600
_POINTS_EVERY = 60.0
"""Seconds between two looks for old points, for which all of them have to be read."""

_CONTENTS = """INSERT INTO contents SELECT batch, source, name, max(error != 0), max(duration) FROM spans
               WHERE id >= ? GROUP BY source, name"""

_ROW = 110
"""Bytes of a span beside its message: its row, and its place in the index."""

_ROOM = 0.9
"""Of the bytes that may be kept: what is left when the oldest have gone."""


class LogIn(NamedTuple):
    """A line as it is read. trace, span: None for none. attributes: JSON; None without any."""

    service: str
    replica: str
    time: int
    severity: int
    body: str
    trace: bytes | None = None
    span: bytes | None = None
    attributes: str | None = None


class PointIn(NamedTuple):
    """A metric's value. at: seconds since the epoch. attributes: JSON with sorted keys."""

    service: str
    replica: str
    name: str
    kind: str
    unit: str
    attributes: str
    at: int
    value: float


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file or container was followed; stored with the lines, so that none is stored twice."""

    name: str
    place: str
    position: str


@dataclass(slots=True)
class Arrival:
    """What is stored together. body: the request whose spans `groups` are. size: bytes that it holds in memory.

    gone: names of positions that nobody goes on from.
    """

    size: int = 0
    body: bytes = b""
    groups: Sequence[Group] = ()
    logs: Sequence[LogIn] = ()
    points: Sequence[PointIn] = ()
    positions: Sequence[Position] = ()
    gone: Sequence[str] = ()
    hits: Counter[str] = field(default_factory=Counter[str])


class Store:
    """The one writer of a store; not for several threads at once."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._path = folder / FILE
        self._database = open_to_write(self._path)
        self._callers = Callers()
        self._is_full = False
        self._look_at_points = 0.0
        self._hits: Counter[str] = Counter()
        self._names = self._known("SELECT name, id FROM names")
        self._encoded: dict[bytes, tuple[str, int]] = {}
        self._sources = self._known_sources()
        self._series = self._known_series()
        self._next = {table: self._first_free(table) for table in ("spans", "batches")}

    def close(self) -> None:
        """Leaves one file behind, with everything in it."""
        self._database.close()

    def write(self, arrivals: Sequence[Arrival], now: float) -> None:
        """Store all of them or none: what was stored outlives the process. Raises sqlite3.Error, as for a full disk.

        now: seconds since the epoch.
        """
        before = dict(self._next)
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            tally = Tally(self._callers, int(now))
            for arrival in arrivals:
                self._hits += arrival.hits
                if arrival.groups:
                    self._write_spans(arrival, tally, int(now * 1e9))
                self._write_logs(arrival.logs)
                self._write_points(arrival.points, now)
                self._write_positions(arrival.positions)
                database.executemany("DELETE FROM followed WHERE name = ?", [(each,) for each in arrival.gone])
            tally.write(database)
            self._write_hits(now)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            self._next = before
            self._forget()
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
        oldest = int((now - self._limits.kept_seconds) * 1e9)
        excess = self._bytes() - int(self._limits.kept_bytes * (_ROOM if self._is_full else 1.0))
        if excess > 0 and not self._is_full:
            self.hit("kept bytes")
        self._is_full = excess > 0
        gone = self._expire_spans(oldest, excess) + self._expire_logs(oldest)
        self._expire_figures(now)
        return gone > 0

    def _expire_figures(self, now: float) -> None:
        """Figures go with the spans that they were counted from, an hour later if those went for want of room."""
        seconds = int(now - self._limits.kept_seconds)
        if self._is_full:
            came = self._database.execute("SELECT min(came) FROM batches").fetchone()[0] or 0
            seconds = max(seconds, came // 1_000_000_000 - _FIGURES_STAY)
        for table, step in itertools.product(("work", "edges"), STEPS):
            sql = f"DELETE FROM {table} WHERE step = ? AND at <= ?"  # noqa: S608 (a constant)
            self._database.execute(sql, (step, seconds - step))
        if now >= self._look_at_points:
            self._look_at_points = now + _POINTS_EVERY
            oldest = int(now - self._limits.points_seconds)
            self._database.execute("DELETE FROM points WHERE at < ?", (oldest,))
            self._expire_series()

    def _expire_series(self) -> None:
        """Of processes that are gone: a cluster's pods have another name each."""
        told = "SELECT 1 FROM points WHERE points.series = series.id"
        if self._database.execute(f"DELETE FROM series WHERE NOT EXISTS ({told})").rowcount:  # noqa: S608 (a constant)
            self._series = self._known_series()
        if len(self._sources) >= self._limits.sources:
            # It reads all lines for that, once they are so many.
            used = "SELECT source FROM series UNION SELECT source FROM contents UNION SELECT source FROM logs"
            self._database.execute(f"DELETE FROM sources WHERE id NOT IN ({used})")  # noqa: S608 (a constant)
            self._sources = self._known_sources()

    def _expire_spans(self, oldest: int, excess: int) -> int:
        """Whole batches, the oldest first, within one transaction. excess: bytes that are to go, whatever their age."""
        database = self._database
        going: tuple[int, int] | None = None
        freed = gone = 0
        sql = "SELECT id, came, first, last, length(body) FROM batches ORDER BY id LIMIT 200"
        for batch, came, first, last, size in database.execute(sql):
            if (came >= oldest and freed >= excess) or gone >= _SPANS_GONE_AT_ONCE:
                break
            going = (batch, last)
            gone += last - first + 1
            freed += size + _ROW * (last - first + 1)
        if going is None:
            return 0
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute("DELETE FROM spans WHERE id <= ?", (going[1],))
            database.execute("DELETE FROM contents WHERE batch <= ?", (going[0],))
            database.execute("DELETE FROM batches WHERE id <= ?", (going[0],))
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return gone

    def _expire_logs(self, oldest: int) -> int:
        """Lines that are too old, and so many of the oldest when the store is full."""
        first = self._database.execute("SELECT coalesce(min(id), 0) FROM logs").fetchone()[0]
        if self._is_full:
            oldest = _FOR_EVER
        last = first + (_LOGS_GONE_WHEN_FULL if self._is_full else _LOGS_GONE_AT_ONCE)
        return self._database.execute("DELETE FROM logs WHERE id < ? AND time < ?", (last, oldest)).rowcount

    def _bytes(self) -> int:
        """Of the pages that hold something."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _write_spans(self, arrival: Arrival, tally: Tally, came: int) -> None:
        batch, number = self._next["batches"], self._next["spans"]
        rows: list[tuple[object, ...]] = []
        names = self._encoded
        for group in arrival.groups:
            source = self._source(group.service, group.replica)
            service = group.service
            for span in group.spans:
                known = names.get(span.name) or self._name_of(span.name)
                error = self._name(span.error) if span.error else 0
                # fmt: off
                rows.append((
                    number, span.trace, span.span, span.parent or None, source, known[1], span.kind,
                    span.start, span.duration, error, batch, span.place, span.size,
                ))
                # fmt: on
                number += 1
                tally.count(service, known[0], span)
        if not rows:
            return
        first = self._next["spans"]
        self._database.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?)", (batch, came, first, number - 1, arrival.body)
        )
        self._database.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute(_CONTENTS, (first,))
        self._next = {"batches": batch + 1, "spans": number}

    def _write_logs(self, logs: Sequence[LogIn]) -> None:
        rows = [
            (
                each.time,
                each.severity,
                self._source(each.service, each.replica),
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

    def _write_points(self, points: Sequence[PointIn], now: float) -> None:
        near = self._limits.points_seconds  # what is of the future would never grow old
        sound = [each for each in points if math.isfinite(each.value) and abs(each.at - now) <= near]
        if len(sound) < len(points):
            self.hit("points", len(points) - len(sound))
        rows = [(series, each.at, each.value) for each in sound if (series := self._series_of(each))]
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

    # --- numbers of what is said again and again

    def _name_of(self, encoded: bytes) -> tuple[str, int]:
        name = self._cut(encoded.decode(errors="replace"))
        number = self._name(name)
        if len(self._encoded) >= self._limits.names:
            self._encoded.clear()
        self._encoded[encoded] = (name if name in self._names else OTHERS, number)
        return self._encoded[encoded]

    def _name(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            if len(self._names) >= self._limits.names and name != OTHERS:
                self.hit("names")
                return self._name(OTHERS)
            name = self._cut(name)
            number = self._number(
                "INSERT INTO names (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id", (name,)
            )
            self._names[name] = number
        return number

    def _source(self, service: str, replica: str) -> int:
        number = self._sources.get((service, replica))
        if number is None:
            if len(self._sources) >= self._limits.sources and service != OTHERS:
                self.hit("sources")
                return self._source(OTHERS, OTHERS)
            sql = "INSERT INTO sources (service, replica) VALUES (?, ?) RETURNING id"
            number = self._sources[service, replica] = self._number(sql, (service, replica))
        return number

    def _series_of(self, point: PointIn) -> int:
        """0 if there are too many."""
        key = (self._source(point.service, point.replica), point.name, point.attributes)
        number = self._series.get(key)
        if number is None:
            if len(self._series) >= self._limits.series:
                self.hit("series")
                return 0
            sql = "INSERT INTO series (source, name, attributes, kind, unit) VALUES (?, ?, ?, ?, ?) RETURNING id"
            number = self._series[key] = self._number(sql, (*key, point.kind, point.unit))
        return number

    def _number(self, sql: str, values: Sequence[object]) -> int:
        number: int = self._database.execute(sql, tuple(values)).fetchone()[0]
        return number

    def _known(self, sql: str) -> dict[str, int]:
        return dict(self._database.execute(sql).fetchall())

    def _known_sources(self) -> dict[tuple[str, str], int]:
        return {(a, b): c for a, b, c in self._database.execute("SELECT service, replica, id FROM sources")}

    def _known_series(self) -> dict[tuple[int, str, str], int]:
        rows = self._database.execute("SELECT source, name, attributes, id FROM series")
        return {(a, b, c): d for a, b, c, d in rows}

    def _first_free(self, table: str) -> int:
        number: int = self._database.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]  # noqa: S608
        return number

    def _cut(self, text: str) -> str:
        if len(text) <= self._limits.text:
            return text
        self.hit("text")
        return text[: self._limits.text] + "…"

    def _forget(self) -> None:
        """A transaction was undone, and with it the numbers that it gave."""
        self._names = self._known("SELECT name, id FROM names")
        self._encoded.clear()
        self._sources = self._known_sources()
        self._series = self._known_series()
