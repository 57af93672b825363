"""Reads the log records and metrics of OTLP requests."""

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from atoll.collector.arrivals import Arrival, LogIn, PointIn
from atoll.collector.limits import AHEAD, Limits, cut
from atoll.collector.spans import SpanReader, messages
from atoll.wire.otlp import Value, decode_attribute, decode_value
from atoll.wire.protobuf import FIXED64, LENGTH, VARINT, MalformedError, double, fields, signed, text

INFO = 9


def read_logs(data: bytes, reader: SpanReader, limits: Limits, now: int) -> Arrival:
    """Of an ExportLogsServiceRequest. now: nanoseconds, for lines without a time. Raises MalformedError."""
    found: list[LogIn] = []
    facts = _Facts(limits)
    for (service, replica), place, end in _each(data, reader):
        if len(found) >= limits.records:
            raise MalformedError(f"a request has more than {limits.records} log lines")
        found.append(_line(service, replica, data, (place, end), facts, now))
    return Arrival(size=len(data), logs=found, hits=facts.hits)


class _Facts:
    """The attributes of lines and points, within their bounds; `hits` counts those that were cut or left out."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.hits: Counter[str] = Counter()

    def add(self, found: dict[str, Value], data: bytes, start: int, end: int) -> None:
        """One more. Raises MalformedError."""
        key, value = decode_attribute(data, start, end)
        found[key] = value
        if len(found) > self._limits.attributes:
            raise MalformedError(f"a log line, or a point, has more than {self._limits.attributes} attributes")

    def of_line(self, found: Mapping[str, Value]) -> str | None:
        """As JSON; None without any."""
        return self._json(found, self._limits.text) if found else None

    def of_series(self, found: Mapping[str, Value]) -> str:
        return self._json(found, self._limits.name)

    def _json(self, found: Mapping[str, Value], most: int) -> str:
        """most: characters of a key, and of a value that is a text."""
        kept: dict[str, Value] = {}
        size = 0
        for key, value in found.items():
            name, short = cut(key, most), cut(value, most) if isinstance(value, str) else value
            if name is not key or short is not value:
                self.hits["text"] += 1
            size += len(name) + len(short if isinstance(short, str) else as_json(short))
            if size > self._limits.attributes_bytes:
                self.hits["text"] += 1
                break
            kept[name] = short
        return as_json(kept)


def _each(data: bytes, reader: SpanReader) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Whose it is, and where: records and metrics stand at the same places of their requests."""
    for source, scope in reader.scopes(data):
        for place, last in messages(data, *scope, 2):
            yield source, place, last


def _line(service: str, replica: str, data: bytes, place: tuple[int, int], facts: _Facts, now: int) -> LogIn:
    time, severity, body = 0, INFO, ""
    trace: bytes | None = None
    span: bytes | None = None
    attributes: dict[str, Value] = {}
    for number, kind, first, last in fields(data, *place):
        if number in (1, 11) and kind == FIXED64:
            time = first if number == 1 and first else time or first
        elif number == 2 and kind == VARINT:
            severity = first if 1 <= first <= 24 else INFO
        elif number == 5 and kind == LENGTH:
            body = as_text(decode_value(data, first, last))
        elif number == 6 and kind == LENGTH:
            facts.add(attributes, data, first, last)
        elif number == 9 and kind == LENGTH:
            trace = data[first:last] if last - first == 16 else None
        elif number == 10 and kind == LENGTH:
            span = data[first:last] if last - first == 8 else None
        elif number in (1, 2, 5, 6, 9, 10, 11):
            raise MalformedError("a field has another wire type than its number")
    return LogIn(service, replica, when(time, now), severity, body, trace, span, facts.of_line(attributes))


def when(said: int, now: int) -> int:
    """The time of a line, or now: of Go's zero time, which is the year 1, and of a clock in the future.

    A line that comes late keeps its time: a file is followed from where it was left, however long ago.
    """
    return said if 0 < said <= now + AHEAD * 1_000_000_000 else now


def as_text(value: Value) -> str:
    """A line as people read it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else as_json(value)


def as_json(value: Value) -> str:
    return msgspec.json.encode(value, order="sorted").decode(errors="replace")


def read_metrics(data: bytes, reader: SpanReader, limits: Limits) -> Arrival:
    """Of an ExportMetricsServiceRequest; a distribution becomes its count and its sum. Raises MalformedError."""
    found: list[PointIn] = []
    left = limits.records
    facts = _Facts(limits)
    for source, place, end in _each(data, reader):
        left -= 1  # one without points too
        for point in _metric(source, data, (place, end), facts):
            left -= 1
            found.append(point)
            if left < 0:
                break
        if left < 0:
            raise MalformedError(f"a request has more than {limits.records} metrics and points")
    return Arrival(size=len(data), points=found, hits=facts.hits)


_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY = 5, 7, 9, 10, 11


def _metric(source: tuple[str, str], data: bytes, place: tuple[int, int], facts: _Facts) -> Iterator[PointIn]:
    name, unit = "", ""
    form, start, stop = 0, 0, 0
    is_counter = False
    for number, kind, first, last in fields(data, *place):
        if number in (1, 3, _GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY) and kind != LENGTH:
            raise MalformedError("a field has another wire type than its number")
        if number == 1:
            name = text(data, first, last)
        elif number == 3:
            unit = text(data, first, last)
        elif number in (_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY):
            form, start, stop = number, first, last  # it is one of them: the last, if a sender has several
            is_counter = number == _SUM and _is_monotonic(data, first, last)
    for first, last in messages(data, start, stop, 1):
        if form in (_GAUGE, _SUM):
            at, value, attributes = _number(data, first, last, facts)
            yield PointIn(*source, name, "counter" if is_counter else "gauge", unit, attributes, at, value)
        else:
            yield from _distribution(source, name, unit, form, data[first:last], facts)


def _is_monotonic(data: bytes, start: int, end: int) -> bool:
    return any(number == 3 and value for number, _, value, _ in fields(data, start, end))


def _number(data: bytes, start: int, end: int, facts: _Facts) -> tuple[int, float, str]:
    """When (seconds since the epoch), how much, and the attributes in JSON."""
    at, value = 0, 0.0
    attributes: dict[str, Value] = {}
    for number, kind, first, last in fields(data, start, end):
        if (number in (3, 4, 6) and kind != FIXED64) or (number == 7 and kind != LENGTH):
            raise MalformedError("a field has another wire type than its number")
        if number == 3:
            at = first // 1_000_000_000
        elif number == 4:
            value = double(first)
        elif number == 6:
            value = float(signed(first))
        elif number == 7:
            facts.add(attributes, data, first, last)
    return at, value, facts.of_series(attributes)


def _distribution(
    source: tuple[str, str], name: str, unit: str, kind: int, data: bytes, facts: _Facts
) -> Iterator[PointIn]:
    where = {_HISTOGRAM: 9, _EXPONENTIAL: 1, _SUMMARY: 7}[kind]
    at, count, total = 0, 0, 0.0
    attributes: dict[str, Value] = {}
    for number, wire, first, last in fields(data, 0, len(data)):
        if (number in (3, 4, 5) and wire != FIXED64) or (number == where and wire != LENGTH):
            raise MalformedError("a field has another wire type than its number")
        if number == where:
            facts.add(attributes, data, first, last)
        elif number == 3:
            at = first // 1_000_000_000
        elif number == 4:
            count = first
        elif number == 5:
            total = double(first)
    known = facts.of_series(attributes)
    yield PointIn(*source, f"{name}.count", "histogram", "", known, at, float(count))
    yield PointIn(*source, f"{name}.sum", "histogram", unit, known, at, total)
