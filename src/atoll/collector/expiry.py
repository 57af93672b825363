"""Lets go what is too old; and of a store that is full, the oldest of what takes more than its share."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atoll.collector.figures import STEPS
from atoll.collector.limits import Limits

_AT_ONCE = 20_000
"""Spans, or lines, that go in one transaction: nobody is stored meanwhile."""

_MEASURE_EVERY = 10.0
"""Seconds between two looks at how much figures and metrics take, for which all of them have to be read."""

_POINTS_EVERY = 60.0
"""Seconds between two looks for old points, for the same reason."""

_SILENT = 300
"""Seconds after which a metric that nobody tells any more may make room for another."""

_ROW = 110
"""Bytes of a span beside its message: its row, and its place in the index."""

_POINT = 24
"""Bytes of a point."""

_ROOM = 0.9
"""Of the bytes that may be kept: what is left when the oldest have gone."""

_OLDEST_BATCHES = "SELECT id, came, first, last, length(body) FROM batches ORDER BY id LIMIT 200"

# A series stands in its table, and in the index of its key.
_SIZES_OF_SERIES = f"""SELECT s.id, 2 * (length(CAST(s.name || s.attributes AS BLOB)) + {_POINT})
                              + {_POINT} * count(*)
                       FROM series s JOIN points p ON p.series = s.id GROUP BY s.id ORDER BY max(p.at)"""  # noqa: S608 (constants)

_SIZES_OF_FIGURES = f"""SELECT at / {STEPS[0]}, sum(bytes) FROM (
    SELECT at, length(CAST(service || name AS BLOB)) + length(counted) + {_POINT} AS bytes FROM work
    UNION ALL
    SELECT at, length(CAST(caller || callee AS BLOB)) + length(counted) + {_POINT} FROM edges
) GROUP BY 1 ORDER BY 1"""  # noqa: S608 (constants)


class Expiry:
    """What goes, and when. Not for several threads at once.

    hit: told the limit that was reached. changed: told that series have gone.
    """

    def __init__(
        self, database: sqlite3.Connection, limits: Limits, hit: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._database, self._limits = database, limits
        self._hit, self._changed = hit, changed
        self._is_full = False
        self._measure_at = self._points_at = 0.0

    def some(self, now: float, *, are_many_series: bool) -> bool:
        """Let some of it go. Returns whether there is more to do. Raises sqlite3.Error.

        are_many_series: those that nobody tells any more make room for others.
        """
        if now >= self._points_at:
            self._points_at = now + _POINTS_EVERY
            self._old_points(now, are_many_series)
        oldest = now - self._limits.kept_seconds
        self._old_figures(int(oldest))
        excess = self._excess()
        if excess > 0 and self._measure_figures_and_metrics(now):
            return True
        of_lines = excess if self._lines() > self._share(self._limits.lines_share) else 0
        gone = self._spans(int(oldest * 1e9), excess - of_lines) + self._old_lines(int(oldest), of_lines)
        if excess > 0 and not gone:
            gone = self._old_lines(int(oldest), excess)
        return gone > 0

    def _excess(self) -> int:
        """Bytes that are to go, so that what is left has room to grow again."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        excess: int = (pages - free) * size - int(self._limits.kept_bytes * (_ROOM if self._is_full else 1.0))
        if excess > 0 and not self._is_full:
            self._hit("kept bytes")
        self._is_full = excess > 0
        return max(excess, 0)

    def _share(self, share: float) -> int:
        return int(self._limits.kept_bytes * share)

    # --- figures and metrics

    def _measure_figures_and_metrics(self, now: float) -> bool:
        """Let those go that are over their shares. Returns whether any went."""
        if now < self._measure_at:
            return False
        self._measure_at = now + _MEASURE_EVERY
        series = _too_many(self._database.execute(_SIZES_OF_SERIES), self._share(self._limits.metrics_share))
        if series:
            with self._transaction():
                ids = [(each,) for each in series]
                self._database.executemany("DELETE FROM points WHERE series = ?", ids)
                self._database.executemany("DELETE FROM series WHERE id = ?", ids)
            self._changed()
        moments = _too_many(self._database.execute(_SIZES_OF_FIGURES), self._share(self._limits.figures_share))
        if moments:
            self._old_figures((moments[-1] + 1) * STEPS[0])
        return bool(series or moments)

    def _old_figures(self, until: int) -> None:
        for table in ("work", "edges"):
            for step in STEPS:
                sql = f"DELETE FROM {table} WHERE step = ? AND at <= ?"  # noqa: S608 (a constant)
                self._database.execute(sql, (step, until - step))

    def _old_points(self, now: float, are_many_series: bool) -> None:
        """And series without any, such as those of pods that are gone: each had another name."""
        oldest = int(now - self._limits.points_seconds)
        self._database.execute("DELETE FROM points WHERE at < ?", (oldest,))
        if are_many_series:
            silent = "SELECT series FROM points GROUP BY series HAVING max(at) < ?"
            self._database.execute(
                f"DELETE FROM points WHERE series IN ({silent})",  # noqa: S608 (a constant)
                (int(now) - _SILENT,),
            )
        told = "SELECT 1 FROM points WHERE points.series = series.id"
        if self._database.execute(f"DELETE FROM series WHERE NOT EXISTS ({told})").rowcount:  # noqa: S608 (a constant)
            self._changed()

    # --- spans and lines

    def _spans(self, oldest: int, excess: int) -> int:
        """Whole batches, the oldest first. oldest: nanoseconds. excess: bytes that are to go, whatever their age."""
        going: tuple[int, int] | None = None
        freed = gone = 0
        for batch, came, first, last, size in self._database.execute(_OLDEST_BATCHES):
            if (came >= oldest and freed >= excess) or gone >= _AT_ONCE:
                break
            going = (batch, last)
            gone += last - first + 1
            freed += size + _ROW * (last - first + 1)
        if going is not None:
            with self._transaction():
                self._database.execute("DELETE FROM spans WHERE id <= ?", (going[1],))
                self._database.execute("DELETE FROM contents WHERE batch <= ?", (going[0],))
                self._database.execute("DELETE FROM batches WHERE id <= ?", (going[0],))
        return gone

    def _lines(self) -> int:
        """Bytes that log lines take."""
        size: int = self._database.execute("SELECT coalesce(sum(bytes), 0) FROM lines").fetchone()[0]
        return size

    def _old_lines(self, oldest: int, excess: int) -> int:
        """Those that came in the oldest ten seconds, as far as they go at once. oldest: seconds.

        By when they came, which we know, and not by their time, which is what their sender says.
        """
        row = self._database.execute(
            "SELECT came, last, bytes, (SELECT min(id) FROM logs) FROM lines ORDER BY came LIMIT 1"
        ).fetchone()
        if row is None or (row[0] >= oldest and not excess):
            return 0
        came, last, size, first = row
        end = min(last, (last if first is None else first) + _AT_ONCE - 1)
        with self._transaction():
            gone = self._database.execute("DELETE FROM logs WHERE id <= ?", (end,)).rowcount
            if end == last:
                self._database.execute("DELETE FROM lines WHERE came = ?", (came,))
            else:
                left = size * (last - end) // (last - first + 1)
                self._database.execute("UPDATE lines SET bytes = ? WHERE came = ?", (left, came))
        return max(gone, 1)  # there may be more, also if these had gone before

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise


def _too_many(sizes: "sqlite3.Cursor", share: int) -> list[int]:
    """The first of these that are to go, so that what is left has its share, with room to grow."""
    rows: list[tuple[int, int]] = sizes.fetchall()
    total = sum(size for _, size in rows)
    if total <= share:
        return []
    found: list[int] = []
    for number, size in rows:
        if total <= share * _ROOM:
            break
        found.append(number)
        total -= size
    return found
