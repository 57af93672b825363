"""What can be asked of the store: by the dashboard, `atoll traces`, tests.

Every method opens a connection of its own and blocks; call them from as many threads as you like. They work while the
collector runs, and when it does not.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from atoll.collector.database import FILE, reading
from atoll.collector.details import details
from atoll.collector.figures import STEP, Counts, pieces, unpack
from atoll.collector.limits import HITS, Limits
from atoll.collector.trees import trees
from atoll.collector.values import (
    Edge,
    EdgeKind,
    Held,
    LimitHit,
    Log,
    Moment,
    OperationSummary,
    Series,
    ServiceSummary,
    Severity,
    Span,
    SpanKind,
    Stored,
    Trace,
    TraceSummary,
    telling,
)
from atoll.errors import NO_SUCH_TRACE
from atoll.wire.otlp import KINDS, Value

MOST_SPANS = 10_000
"""Of one trace that are shown: the first ones that came."""

MOST_LOOKED_AT = 2_000_000
"""Spans or lines that one search looks at, the newest first."""

# Two looks at an index; counting would read every row. What goes are the oldest, so ids have no gaps.
_COUNT = "SELECT coalesce((SELECT max(id) FROM {0}) - (SELECT min(id) FROM {0}) + 1, 0)"

# What processes dropped they tell as a metric, whose last point counts.
_HITS = """SELECT name, count, last FROM hits
           UNION ALL
           SELECT 'dropped by a sender', cast(sum(value) AS INTEGER), max(at) FROM (
               SELECT p.value, max(p.at) AS at FROM series e JOIN points p ON p.series = e.id
               WHERE e.name = 'atoll.telemetry.dropped' GROUP BY e.id
           ) HAVING sum(value) > 0
           ORDER BY 3 DESC"""

# What is asked for, as it is found in a span, and in the contents of a batch with such a span.
_SOURCE = "source IN (SELECT id FROM sources WHERE service = :service)"
_SERVER = KINDS.index("server")
_NAME = "name IN (SELECT id FROM names WHERE instr(lower(name), :name))"
_SPANS_LIKE = (
    ("service", f"s.{_SOURCE}", f"c.{_SOURCE}"),
    ("name", f"s.{_NAME}", f"c.{_NAME}"),
    ("since", "s.start >= :since", ""),
    ("until", "s.start < :until", ""),
    ("least", "s.duration >= :least", "c.longest >= :least"),
    ("failed", "s.error != 0", "c.failed"),
)

_SEVERITIES: Sequence[Severity] = ("trace", "debug", "info", "warning", "error", "critical")


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Traces with a span like this. since, until: when the span began, nanoseconds since the epoch; 0 for any time.

    name: in the span's name, whatever the case. least_milliseconds: of the span. failed: only spans with an error.
    """

    service: str = ""
    name: str = ""
    since: int = 0
    until: int = 0
    least_milliseconds: float = 0.0
    failed: bool = False
    limit: int = 50


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Lines like this. after: only lines stored after the one with this id, the oldest first: for a live tail.

    text: in the line, whatever the case. severity: at least this one. trace: its whole id, or the beginning.
    services: any of these; () for all. since, until: nanoseconds since the epoch; 0 for any time.
    """

    services: tuple[str, ...] = ()
    severity: Severity = "trace"
    text: str = ""
    trace: str = ""
    since: int = 0
    until: int = 0
    after: int | None = None
    limit: int = 200


class Window(msgspec.Struct, frozen=True):
    """The seconds since the epoch between which figures are taken; both are rounded to ten."""

    since: float
    until: float

    @classmethod
    def last(cls, seconds: float, now: float | None = None) -> "Window":
        """Up to now."""
        until = time.time() if now is None else now
        return cls(until - seconds, until)

    @property
    def first_step(self) -> int:
        return int(self.since // STEP * STEP)

    @property
    def seconds(self) -> float:
        """How long it is; never nothing."""
        return max(self.until - self.first_step, float(STEP))


class Query:
    """The store in this folder. Of a store that is not there yet every answer is empty."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._path = folder / FILE
        self._limits = limits or Limits()

    # --- traces

    def traces(self, wanted: TraceFilter | None = None) -> list[TraceSummary]:
        """The traces that match, those whose matching span came last first."""
        wanted = wanted or TraceFilter()
        if not self._path.exists():
            return []
        with reading(self._path) as database:
            ids = _matching_traces(database, wanted)
            return [_summary(database, trace) for trace in ids]

    def trace(self, id: str) -> Trace:  # noqa: A002
        """The trace whose id begins so, with its log lines. Raises NO_SUCH_TRACE if there is none, or several."""
        first, last = _range(id)
        if not first or not self._path.exists():
            raise NO_SUCH_TRACE.error(trace=id)
        with reading(self._path) as database:
            rows = database.execute(
                "SELECT DISTINCT trace FROM spans WHERE trace >= ? AND trace <= ? LIMIT 5", (first, last)
            ).fetchall()
            if len(rows) != 1:
                raise NO_SUCH_TRACE.error(has=[row[0].hex() for row in rows], trace=id)
            trace: bytes = rows[0][0]
            spans = _spans(database, trace)
            logs = _logs(database, "l.trace = ?", (trace,), f"ORDER BY l.time, l.id LIMIT {MOST_SPANS}")
        return Trace(trace.hex(), trees(spans), tuple(logs))

    def recent(self, wanted: TraceFilter | None = None) -> list[Trace]:
        """The traces that match of which something came last, whole, without log lines; those that began last first."""
        if not self._path.exists():
            return []
        with reading(self._path) as database:
            ids = _matching_traces(database, wanted or TraceFilter())
            found = [Trace(trace.hex(), trees(_spans(database, trace))) for trace in ids]
        return sorted(found, key=lambda trace: trace.start, reverse=True)

    # --- figures

    def services(self, window: Window) -> list[ServiceSummary]:
        """Every service that served anything in the window, by name."""
        found = self._counted("SELECT service, counted FROM work", window)
        replicas: dict[str, list[str]] = {}
        for service, replica in self._rows("SELECT service, replica FROM sources ORDER BY service, replica"):
            replicas.setdefault(str(service), []).append(str(replica))
        return [
            ServiceSummary(service, counts.figures(window.seconds), tuple(replicas.get(service, ())))
            for (service,), counts in sorted(found.items())
        ]

    def operations(self, window: Window, service: str = "") -> list[OperationSummary]:
        """What the service, or each, has served in the window; the busiest first."""
        found = self._counted("SELECT service, name, counted FROM work", window, service)
        summaries = [
            OperationSummary(of, name, counts.figures(window.seconds)) for (of, name), counts in sorted(found.items())
        ]
        return sorted(summaries, key=lambda each: -each.figures.calls)

    def edges(self, window: Window) -> list[Edge]:
        """Who asked whom in the window, by names."""
        found = self._counted("SELECT caller, callee, kind, counted FROM edges", window)
        return [
            Edge(caller, callee, cast(EdgeKind, kind), counts.figures(window.seconds))
            for (caller, callee, kind), counts in sorted(found.items())
        ]

    def history(self, window: Window, service: str, step: int = STEP) -> list[Moment]:
        """Figures of each `step` seconds, a multiple of 10, in which the service served anything; the oldest first."""
        found = self._counted("SELECT at / :within * :within, counted FROM work", window, service, within=step)
        return [Moment(int(at), counts.figures(float(step))) for (at,), counts in sorted(found.items())]

    def _counted(self, sql: str, window: Window, service: str = "", within: int = 0) -> dict[tuple[Any, ...], Counts]:
        """What was counted in the window, by all columns but the last. within: as `pieces` takes it."""
        sql += " WHERE step = :step AND at >= :first AND at < :last" + (" AND service = :service" if service else "")
        found: dict[tuple[Any, ...], Counts] = {}
        if not self._path.exists():
            return found
        with reading(self._path) as database:
            for piece in pieces(window.first_step, window.until, within):
                for *key, counted in database.execute(sql, {**piece._asdict(), "service": service, "within": within}):
                    found.setdefault(tuple(key), Counts()).add(unpack(counted))
        return found

    # --- logs and metrics

    def logs(self, wanted: LogFilter | None = None) -> list[Log]:
        """The newest lines that match, in the order of their ids; with `after`, the next ones."""
        wanted = wanted or LogFilter()
        if not self._path.exists():
            return []
        where, values = _conditions(wanted)
        with reading(self._path) as database:
            if wanted.after is not None:
                return _logs(database, where, values, f"ORDER BY l.id LIMIT {wanted.limit:d}")
            return _logs(database, where, values, f"ORDER BY l.id DESC LIMIT {wanted.limit:d}")[::-1]

    def last_log(self) -> int:
        """The id of the newest line, 0 without any: where a live tail begins."""
        rows = self._rows("SELECT max(id) FROM logs")
        return int(str(rows[0][0] or 0)) if rows else 0

    def metrics(self, window: Window, name: str, service: str = "") -> list[Series]:
        """The metric of this name, of each process that sends it; OpenTelemetry's names, such as `messaging.lag`."""
        sql = """SELECT e.id, e.name, s.service, s.replica, e.kind, e.unit, e.attributes, p.at, p.value
                 FROM series e JOIN sources s ON s.id = e.source JOIN points p ON p.series = e.id
                 WHERE e.name = ? AND ? IN ('', s.service) AND p.at >= ? AND p.at < ? ORDER BY e.id, p.at"""
        rows = self._rows(sql, (name, service, window.first_step, window.until))
        found: dict[object, list[tuple[object, ...]]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row)
        return [_series(each) for each in found.values()]

    # --- the store itself

    def limits(self) -> list[LimitHit]:
        """The limits that were reached, the last one first."""
        rows = self._rows(_HITS)
        return [
            LimitHit(str(name), HITS.get(str(name), ""), int(str(count)), float(str(last)))
            for name, count, last in rows
        ]

    def held(self) -> list[Held]:
        """What the collector has in memory of what senders name, as it was seconds ago."""
        rows = self._rows("SELECT name, rows, most, bytes, room FROM held ORDER BY name")
        return [Held(*row) for row in rows]  # type: ignore[arg-type]

    def stored(self) -> Stored:
        """How much there is."""
        spans = self._rows(_COUNT.format("spans"))
        logs = self._rows(_COUNT.format("logs"))
        oldest = self._rows("SELECT coalesce(min(came), 0) FROM batches")
        files = [self._path, self._path.with_name(self._path.name + "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        numbers = [int(str(rows[0][0])) if rows else 0 for rows in (spans, logs, oldest)]
        return Stored(numbers[0], numbers[1], size, self._limits.kept_bytes, numbers[2])

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        if not self._path.exists():
            return []
        with reading(self._path) as database:
            return database.execute(sql, tuple(values)).fetchall()


def _range(prefix: str) -> tuple[bytes, bytes]:
    """The least and the greatest id that begins so; nothing if none can."""
    digits = prefix.lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        return b"", b""
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))


def _matching_traces(database: sqlite3.Connection, wanted: TraceFilter) -> list[bytes]:
    """Ids, found by going back from the newest span, through batches in which there are such spans."""
    values = {
        "service": wanted.service,
        "name": wanted.name.lower(),
        "since": wanted.since,
        "until": wanted.until,
        "least": int(wanted.least_milliseconds * 1e6),
        "failed": wanted.failed,
        "most": MOST_LOOKED_AT,
    }
    asked = [conditions for name, *conditions in _SPANS_LIKE if values[name]]
    spans = [f"AND {of_span}" for of_span, _ in asked]
    contents = [f"AND {of_contents}" for _, of_contents in asked if of_contents]
    sql = f"""SELECT s.trace FROM batches b CROSS JOIN spans s ON s.id BETWEEN b.first AND b.last
              WHERE b.last > (SELECT coalesce(max(id), 0) FROM spans) - :most
              AND EXISTS (SELECT 1 FROM contents c WHERE c.batch = b.id {" ".join(contents)}) {" ".join(spans)}
              ORDER BY b.id DESC, s.id DESC"""  # noqa: S608 (constants)
    found: dict[bytes, None] = {}
    for (trace,) in database.execute(sql, values):
        found[trace] = None
        if len(found) >= wanted.limit:
            break
    return list(found)


def _summary(database: sqlite3.Connection, trace: bytes) -> TraceSummary:
    sql = f"""SELECT s.span, s.parent, s.start, s.duration, s.error, n.name, o.service, s.kind
              FROM spans s JOIN names n ON n.id = s.name JOIN sources o ON o.id = s.source
              WHERE s.trace = ? ORDER BY s.start LIMIT {MOST_SPANS}"""  # noqa: S608 (a constant)
    rows = list({row[0]: row for row in database.execute(sql, (trace,))}.values())
    known = {row[0] for row in rows}
    first = next((row for row in rows if row[1] not in known), rows[0])
    root = telling(first, lambda row: row[7] == _SERVER, lambda row: [each for each in rows if each[1] == row[0]])
    start, end = min(row[2] for row in rows), max(row[2] + row[3] for row in rows)
    return TraceSummary(
        id=trace.hex(),
        name=root[5],
        service=root[6],
        start=start,
        milliseconds=(end - start) / 1e6,
        spans=len(rows),
        errors=sum(bool(row[4]) for row in rows),
        services=tuple(dict.fromkeys(row[6] for row in rows)),
    )


def _spans(database: sqlite3.Connection, trace: bytes) -> list[Span]:
    sql = f"""SELECT s.span, s.parent, s.kind, s.start, s.duration, n.name, coalesce(e.message, ''), o.service,
                     o.replica, s.batch, s.place, s.size
              FROM spans s JOIN names n ON n.id = s.name JOIN sources o ON o.id = s.source
              LEFT JOIN errors e ON e.id = s.error
              WHERE s.trace = ? ORDER BY s.batch, s.place LIMIT {MOST_SPANS}"""  # noqa: S608 (a constant)
    found: dict[bytes, Span] = {}
    for span, parent, kind, start, duration, name, error, service, replica, *place in database.execute(sql, (trace,)):
        if span in found:
            continue
        attributes, events, links = details(_message(database, *place))
        found[span] = Span(
            trace=trace.hex(),
            span=span.hex(),
            parent=parent.hex() if parent else "",
            name=name,
            kind=cast(SpanKind, KINDS[kind]),
            start=start,
            end=start + duration,
            error=error,
            service=service,
            replica=replica,
            attributes=attributes,
            events=events,
            links=links,
        )
    return list(found.values())


def _message(database: sqlite3.Connection, batch: int, place: int, size: int) -> bytes:
    with database.blobopen("batches", "body", batch, readonly=True) as body:
        body.seek(place)
        return body.read(size)


def _conditions(wanted: LogFilter) -> tuple[str, list[object]]:
    conditions = ["l.severity >= ?"]
    found: list[object] = [_SEVERITIES.index(wanted.severity) * 4 + 1]
    if wanted.after is not None:
        conditions.append("l.id > ?")
        found.append(wanted.after)
    else:
        conditions.append("l.id > (SELECT coalesce(max(id), 0) FROM logs) - ?")
        found.append(MOST_LOOKED_AT)
    if wanted.services:
        marks = ", ".join("?" * len(wanted.services))
        conditions.append(f"l.source IN (SELECT id FROM sources WHERE service IN ({marks}))")  # noqa: S608
        found += wanted.services
    if wanted.text:
        conditions.append("instr(lower(l.body), ?)")
        found.append(wanted.text.lower())
    if wanted.trace:
        conditions.append("l.trace >= ? AND l.trace <= ?")
        found += _range(wanted.trace)
    if wanted.since:
        conditions.append("l.time >= ?")
        found.append(wanted.since)
    if wanted.until:
        conditions.append("l.time < ?")
        found.append(wanted.until)
    return " AND ".join(conditions), found


def _logs(database: sqlite3.Connection, where: str, values: Iterable[object], rest: str) -> list[Log]:
    sql = f"""SELECT l.id, l.time, l.severity, s.service, s.replica, l.body, l.trace, l.span, l.attributes
              FROM logs l JOIN sources s ON s.id = l.source WHERE {where} {rest}"""  # noqa: S608 (constants)
    return [
        Log(
            id=number,
            time=time_,
            severity=_SEVERITIES[max(severity - 1, 0) // 4],
            service=service,
            replica=replica,
            body=body,
            trace=trace.hex() if trace else "",
            span=span.hex() if span else "",
            attributes=_json(attributes),
        )
        for number, time_, severity, service, replica, body, trace, span, attributes in database.execute(
            sql, tuple(values)
        )
    ]


def _series(rows: Sequence[tuple[object, ...]]) -> Series:
    _, name, service, replica, kind, unit, attributes, *_ = rows[0]
    points = tuple((int(str(row[7])), float(str(row[8]))) for row in rows)
    return Series(str(name), str(service), str(replica), str(kind), str(unit), _json(attributes), points)  # type: ignore[arg-type]


def _json(text: object) -> dict[str, Value]:
    return msgspec.json.decode(str(text), type=dict[str, object]) if text else {}
